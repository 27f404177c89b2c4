"""The table of walls and its JSON."""

from __future__ import annotations

import io
import json

import pytest

from trio_runner.executor.probing import WallReport, WallState
from trio_runner.sandbox.config import OPTIONAL
from trio_runner.service.doctor.rendering import as_json, is_sound, write_table
from trio_runner.service.terminal import open_console

REPORTS = [
    WallReport("seccomp", "system calls are refused", WallState.TESTED),
    WallReport("user", "nobody", WallState.STANDS),
    WallReport(
        "landlock", "files are out of reach " * 5, WallState.MISSING, "no \x1b[31mLandlock", "a new kernel"
    ),
    WallReport("limits", "upper bounds", WallState.BROKEN, "opened 4096 files"),
    WallReport("capabilities", "no special rights", WallState.OFF),
    WallReport("addresses", "metadata stays shut", WallState.NOT_NEEDED),
]


def written(reports: list[WallReport]) -> str:
    stream = io.StringIO()
    write_table(open_console(stream), reports)
    return stream.getvalue()


def test_each_wall_with_its_state_reason_and_remedy_in_80_columns() -> None:
    text = written(REPORTS)
    assert max(map(len, text.splitlines())) <= 80
    assert "\x1b" not in text
    for words in (
        "seccomp             tested      system calls are refused",
        "landlock            missing     files are out of reach",
        "Missing: no",
        "-> a new kernel",
        "An attempt came through: opened 4096 files",
        "addresses           not needed  metadata",
        "2 walls stand, 1 of them withstood an attempt, 1 broken, 1 missing, 1 off",
    ):
        assert words in text


def test_json_says_the_same() -> None:
    document = json.loads(as_json(REPORTS))
    assert document["sound"] is False
    assert [wall["state"] for wall in document["walls"]] == [report.state.value for report in REPORTS]
    assert document["walls"][2]["remedy"] == "a new kernel"


@pytest.mark.parametrize("state", WallState)
def test_what_counts_as_sound(state: WallState) -> None:
    expected = state in (WallState.TESTED, WallState.STANDS, WallState.NOT_NEEDED)
    assert is_sound([WallReport("landlock", "", state)]) is expected
    assert is_sound([WallReport(OPTIONAL[0], "", WallState.MISSING)])
