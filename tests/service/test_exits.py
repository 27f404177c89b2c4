"""Exit codes: one place, which the help screens are made from."""

from __future__ import annotations

from pathlib import Path

import pytest

from trio_runner.service.daemon.broker_command import broker_command
from trio_runner.service.daemon.run_command import run_command
from trio_runner.service.exits import ExitCode, exit_codes_help

OPERATIONS = Path(__file__).parents[2] / "docs" / "operations.md"


@pytest.mark.parametrize("code", ExitCode)
def test_every_code_has_a_meaning_that_the_help_screen_shows(code: ExitCode) -> None:
    line = f"  {code.value:<4} {code.meaning}"
    assert line in exit_codes_help(ExitCode)
    assert line in str(run_command.epilog)
    assert (line in str(broker_command.epilog)) is (code is not ExitCode.NO_BROKER)


@pytest.mark.parametrize("code", ExitCode)
def test_the_documentation_has_the_same(code: ExitCode) -> None:
    assert f"| {code.value} | {code.meaning} |" in OPERATIONS.read_text(encoding="utf-8")
