"""The lines of code around a failure."""

from __future__ import annotations

import pytest

from trio_runner.service.submit.excerpt import excerpt

CODE = "\n".join(f"line {number}" for number in range(1, 13))


def shown(code: str, line: int, width: int = 80) -> list[str]:
    return [text.plain for text in excerpt(code, line, width=width)]


def test_the_line_is_marked_between_its_neighbours() -> None:
    assert shown(CODE, 10) == [
        "     7 | line 7",
        "     8 | line 8",
        "     9 | line 9",
        "  > 10 | line 10",
        "    11 | line 11",
        "    12 | line 12",
    ]


def test_the_first_line_has_none_before_it() -> None:
    assert shown("return 1/0", 1) == ["  > 1 | return 1/0"]


@pytest.mark.parametrize("line", [0, -1, 13])
def test_a_line_the_code_does_not_have_shows_nothing(line: int) -> None:
    assert shown(CODE, line) == []


def test_long_lines_are_cut_and_controls_shown() -> None:
    (line,) = shown("\tx = '\x1b[31m" + "y" * 100, 1, width=40)
    assert line.startswith("  > 1 |     x = '\\x1b[31myyy")
    assert len(line) == 40
    assert line.endswith("…")
