"""``trio-runner demo`` as a person starts it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from trio_runner.service.demo.process_tree import descendants, still_alive

# Seconds; it takes three on a machine with nothing else to do.
LIMIT = 100
COMMAND = [sys.executable, "-I", "-m", "trio_runner", "demo"]

pytestmark = [pytest.mark.process, pytest.mark.timeout(LIMIT + 20)]


def environment(**more: str) -> dict[str, str]:
    """Return an environment in which nobody has set anything up."""
    return {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", **more}


def test_it_does_real_work_and_leaves_nothing(tmp_path: Path) -> None:
    before = descendants()
    ended = subprocess.run(
        COMMAND, cwd=tmp_path, env=environment(), capture_output=True, text=True, timeout=LIMIT, check=False
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert ended.stderr == ""
    assert descendants() <= before
    lines = ended.stdout.splitlines()
    assert "\x1b" not in ended.stdout
    assert max(map(len, lines)) <= 80
    assert sum(bool(re.match(r"(clean|add up) \d+ .* done +\d+\.\d\d s$", line)) for line in lines) == 15
    assert any(line.startswith("convert blindly") and "failed in line 4" in line for line in lines)
    assert any(line.startswith("loop for ever") and "cancelled, dead" in line for line in lines)
    assert [line for line in lines if line.startswith("ok")] == [
        "ok  The same answer as a plain loop over the rows here.",
        "ok  All 17 tasks ended as planned.",
        *(line for line in lines if line.startswith("ok  Nothing is left of the runner's ")),
    ]
    assert lines[-1].startswith("Done in ")


def test_one_slot_is_enough(tmp_path: Path) -> None:
    ended = subprocess.run(
        [*COMMAND, "--slots", "1"],
        cwd=tmp_path,
        env=environment(NO_COLOR="1"),
        capture_output=True,
        text=True,
        timeout=LIMIT,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_everything(tmp_path: Path, number: signal.Signals) -> None:
    with subprocess.Popen(
        COMMAND, cwd=tmp_path, env=environment(PYTHONUNBUFFERED="1"), stdout=subprocess.PIPE, text=True
    ) as demo:
        assert demo.stdout is not None
        while not demo.stdout.readline().startswith("  Data"):
            assert demo.poll() is None
        processes = descendants(demo.pid)
        demo.send_signal(number)
        rest, _ = demo.communicate(timeout=LIMIT)
    assert demo.returncode == 128 + number
    assert rest.splitlines()[-1] == "Interrupted; everything that was started has been stopped."
    assert processes
    assert still_alive(processes) == set()
