"""Finding the processes below one, and seeing that they have ended."""

from __future__ import annotations

import os
import subprocess
import sys

from trio_runner.service.demo.process_tree import Process, descendants, still_alive

# Starts a child of its own and waits until its standard input is closed.
PARENT = """
import subprocess, sys
child = subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE)
print(child.pid, flush=True)
sys.stdin.read()
child.stdin.close()
child.wait()
"""


def test_grandchildren_are_found_and_seen_to_end() -> None:
    before = descendants()
    with subprocess.Popen(
        [sys.executable, "-c", PARENT], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        grandchild = int(parent.stdout.readline())
        found = descendants() - before
        assert {process.pid for process in found} == {parent.pid, grandchild}
        assert descendants(parent.pid) == {process for process in found if process.pid == grandchild}
        assert still_alive(found) == found
        parent.communicate()
    assert still_alive(found) == set()


def test_another_process_with_the_same_number_is_not_taken_for_it() -> None:
    assert still_alive({Process(os.getpid(), started=1)}) == set()
