"""Reaping: who has died, and the processes of its group."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = str(Path(__file__).resolve().parents[2])


# In processes of their own: whatever else is a child of the tests' process would be reaped too.
REAPING = """
import os, select, subprocess, sys
sys.path.append(sys.argv[1])
from trio_runner.sandbox.reaping import reap_dead

if not int(sys.argv[2]):
    del os.waitid
group = ["sh", "-c", "sleep 1000 & exit 3"]
leader = subprocess.Popen(group, start_new_session=True, stdout=subprocess.PIPE)
alive = subprocess.Popen(["sleep", "1000"])
select.select([os.pidfd_open(leader.pid)], [], [])  # it has ended, and is a zombie
[dead] = reap_dead({leader.pid, alive.pid})
assert (dead.pid, dead.status) == (leader.pid, 3), dead
assert dead.peak > 100_000, dead  # bytes: no program needs less
assert leader.stdout.read() == b"", "one of its group holds the other end"
leader.returncode = 3
alive.kill()
alive.wait()
assert list(reap_dead({})) == []
"""


@pytest.mark.parametrize("look_first", [True, False])
def test_the_dead_are_reaped_and_their_groups_killed(look_first: bool) -> None:
    ended = subprocess.run(
        [sys.executable, "-I", "-c", REAPING, ROOT, str(int(look_first))], capture_output=True, text=True
    )
    assert (ended.returncode, ended.stderr) == (0, "")


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
    # From 3.12 on, Python warns of what this does on purpose: to fork beside other threads.
    ended = subprocess.run(
        [sys.executable, "-I", "-W", "ignore::DeprecationWarning", "-c", ENDING, ROOT],
        capture_output=True,
        text=True,
        timeout=50,
    )
    assert (ended.stdout, ended.stderr) == ("0 b''\n", "")
