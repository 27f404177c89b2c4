"""``trio-runner doctor`` as a process: the walls of this machine, exit codes, no traceback."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from trio_runner.sandbox.config import WALLS

pytestmark = pytest.mark.process


def doctor(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-I", "-m", "trio_runner", "doctor", *arguments],
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        timeout=55,
        check=False,
    )


def test_every_wall_is_told_of_and_none_is_broken() -> None:
    ended = doctor("--json")
    assert ended.stderr == ""
    document = json.loads(ended.stdout)
    assert [wall["name"] for wall in document["walls"]] == list(WALLS)
    assert not [wall for wall in document["walls"] if wall["state"] == "broken"]
    assert ended.returncode == (0 if document["sound"] else 1)


def test_a_wall_that_is_switched_off_shows() -> None:
    ended = doctor("--sandbox-disable", "seccomp")
    assert (ended.returncode, ended.stderr) == (1, "")
    assert "  seccomp             off " in ended.stdout


def test_a_wall_that_there_is_not_is_one_line() -> None:
    ended = doctor("--sandbox-disable", "moat")
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.count("\n") == 1
    assert "moat" in ended.stderr
