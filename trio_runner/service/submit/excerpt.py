"""The lines of a person's code around the one that failed."""

from __future__ import annotations

from rich.text import Text

from ..terminal import plain

__all__ = ["excerpt"]

_BEFORE = 3
_AFTER = 2


def excerpt(code: str, line_number: int, *, width: int) -> list[Text]:
    """Return the lines around `line_number`, numbered, that line marked; empty if the code has no such line.

    Args:
        code: the whole code.
        line_number: 1-based.
        width: columns to fit into; longer lines are cut.
    """
    lines = code.splitlines()
    if not 1 <= line_number <= len(lines):
        return []
    first = max(1, line_number - _BEFORE)
    last = min(len(lines), line_number + _AFTER)
    digits = len(str(last))
    return [
        _numbered(number, lines[number - 1], digits, width, marked=number == line_number)
        for number in range(first, last + 1)
    ]


def _numbered(number: int, line: str, digits: int, width: int, *, marked: bool) -> Text:
    text = Text("  > " if marked else "    ", style="bold red" if marked else "")
    text.append(f"{number:>{digits}} | ", style="dim" if not marked else "bold red")
    text.append(plain(line.expandtabs(4)), style="bold" if marked else "dim")
    text.truncate(width, overflow="ellipsis")
    return text
