"""Reports about walls, as a table for people and as JSON."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterable, Sequence

from rich.text import Text

from ...executor.probing import WallReport, WallState
from ...sandbox.config import OPTIONAL
from ..terminal import PersonConsole, plain

__all__ = ["as_json", "is_sound", "write_table"]

_STYLES = {
    WallState.TESTED: "green",
    WallState.STANDS: "green",
    WallState.BROKEN: "bold red",
    WallState.MISSING: "yellow",
    WallState.OFF: "yellow",
    WallState.NOT_NEEDED: "dim",
}
_NAME_WIDTH, _STATE_WIDTH = 20, 12
_MARGIN = " " * (2 + _NAME_WIDTH + _STATE_WIDTH)
# Columns where there is no terminal to ask.
_WIDTH = 80


def is_sound(reports: Iterable[WallReport]) -> bool:
    """Whether every wall stands that counts: those that few machines have may be missing."""
    broken = {WallState.BROKEN, WallState.OFF}
    return not any(
        report.state in broken or (report.state is WallState.MISSING and report.name not in OPTIONAL)
        for report in reports
    )


def write_table(console: PersonConsole, reports: Sequence[WallReport]) -> None:
    """Write a line for each wall: its name, how it stands, what it does; below it why not, and a remedy.

    Args:
        console: where to.
        reports: what was found out.
    """
    width = max(_WIDTH, console.width) if console.is_terminal else _WIDTH
    console.line(f"  {'wall':<{_NAME_WIDTH}}{'state':<{_STATE_WIDTH}}what it does", "bold")
    for report in reports:
        lines = _wrapped(report.about, width) or [""]
        head = Text(f"  {report.name:<{_NAME_WIDTH}}")
        head.append(f"{report.state.value:<{_STATE_WIDTH}}", _STYLES[report.state])
        head.append(lines[0])
        console.line(head)
        more = [*lines[1:], *_wrapped(_said(report), width)]
        more += _wrapped(report.remedy and f"-> {report.remedy}", width)
        for line in more:
            console.line(_MARGIN + line)
    console.line()
    console.line(_summary(reports), "bold green" if is_sound(reports) else "bold red")


def as_json(reports: Sequence[WallReport]) -> str:
    """Return the reports as one JSON document."""
    walls = [
        {
            "name": report.name,
            "state": report.state.value,
            "about": report.about,
            "why": report.why,
            "remedy": report.remedy,
            "optional": report.name in OPTIONAL,
        }
        for report in reports
    ]
    return json.dumps({"sound": is_sound(reports), "walls": walls}, indent=2, ensure_ascii=False)


def _said(report: WallReport) -> str:
    match report.state:
        case WallState.BROKEN:
            return f"An attempt came through: {report.why}"
        case WallState.MISSING:
            return f"Missing: {report.why}"
        case _:
            return report.why


def _summary(reports: Sequence[WallReport]) -> str:
    counts = {state: sum(1 for report in reports if report.state is state) for state in WallState}
    standing = counts[WallState.TESTED] + counts[WallState.STANDS]
    parts = [f"{standing} walls stand, {counts[WallState.TESTED]} of them withstood an attempt"]
    for state, word in ((WallState.BROKEN, "broken"), (WallState.MISSING, "missing"), (WallState.OFF, "off")):
        if counts[state]:
            parts.append(f"{counts[state]} {word}")
    return ", ".join(parts)


def _wrapped(text: str, width: int) -> list[str]:
    return textwrap.wrap(plain(text), width - len(_MARGIN), break_on_hyphens=False)
