"""Finding marked processes, and only those."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest

from trio_runner.executor.leftovers import kill_leftovers

pytestmark = pytest.mark.process


def test_marked_processes_are_killed_and_others_are_not(tmp_path: Path) -> None:
    scratch = tmp_path / f"scratch-{os.getpid()}"
    (scratch / "1").mkdir(parents=True)
    sleep = ["sleep", "1000"]
    marked = [
        subprocess.Popen(sleep, env={"TMPDIR": str(scratch)}),
        subprocess.Popen(sleep, env={"HOME": str(scratch / "1")}),
        subprocess.Popen(sleep, env={}, cwd=scratch / "1"),
        subprocess.Popen(sleep, env={"TMPDIR": str(scratch)}, start_new_session=True),
    ]
    bystander = subprocess.Popen(sleep, env={"TMPDIR": str(tmp_path)}, cwd=tmp_path)
    try:
        assert kill_leftovers(str(scratch)) == 4
        assert [process.wait(30) for process in marked] == [-signal.SIGKILL] * 4
        assert bystander.poll() is None
        assert kill_leftovers(str(scratch)) == 0
    finally:
        for process in [*marked, bystander]:
            process.kill()
            process.wait()
