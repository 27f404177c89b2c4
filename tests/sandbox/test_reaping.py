"""Reaping: who has died, and the processes of its group."""

from __future__ import annotations

import os
import select
import subprocess
import sys
from pathlib import Path

import pytest

from trio_runner.sandbox.reaping import reap_dead


@pytest.mark.parametrize("look_first", [True, False])
def test_the_dead_are_reaped_and_their_groups_killed(
    look_first: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not look_first:
        monkeypatch.delattr(os, "waitid")
    with (
        subprocess.Popen(
            ["sh", "-c", "sleep 1000 & exit 3"], start_new_session=True, stdout=subprocess.PIPE
        ) as leader,
        subprocess.Popen(["sleep", "1000"]) as alive,
    ):
        assert leader.stdout is not None
        wait_without_reaping(leader.pid)
        [dead] = reap_dead({leader.pid, alive.pid})
        assert (dead.pid, dead.status) == (leader.pid, 3)
        assert dead.peak > 100_000  # bytes: no program needs less
        assert leader.stdout.read() == b""  # nobody of its group holds the other end
        alive.kill()
        leader.returncode = 3
    assert list(reap_dead({})) == []


def wait_without_reaping(pid: int) -> None:
    """Wait for a child to end, and leave it a zombie."""
    pidfd = os.pidfd_open(pid)
    select.select([pidfd], [], [], 30)
    os.close(pidfd)


ENDING = """
import os, sys, threading, time
sys.path.append(sys.argv[1])
from trio_runner.sandbox import linux, reaping

linux.become_subreaper()
reading, writing = os.pipe()

def leave_some():
    for detach in (False, True):
        if os.fork() == 0:
            if detach:
                os.setsid()
                if os.fork():
                    os._exit(0)
            time.sleep(1000)

leave_some()
forking = threading.Thread(target=leave_some)
forking.start()
while len(linux.all_children()) < 4:
    time.sleep(0.001)
reaping.end_children()
reaping.end_children()
os.close(writing)
print(len(linux.all_children()), os.read(reading, 1))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="needs procfs")
def test_children_end_whoever_forked_them_and_daemons_too() -> None:
    root = str(Path(__file__).resolve().parents[2])
    ended = subprocess.run(
        [sys.executable, "-I", "-c", ENDING, root], capture_output=True, text=True, timeout=30
    )
    assert (ended.stdout, ended.stderr) == ("0 b''\n", "")
