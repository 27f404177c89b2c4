"""The end of processes: reaping children, and killing what is sure to be ours."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Container, Iterator

from . import linux

__all__ = ["end_children", "kill", "kill_group", "reap_dead"]

# Seconds for the children of a task to die: far more than a kill takes. What is left, the zygote ends.
_CHILDREN_LIMIT = 1.0


def reap_dead(workers: Container[int]) -> Iterator[tuple[int, int]]:
    """Reap the dead children one by one; yield process id and exit status of each.

    The group of a dead worker is killed before the worker is reaped, where the system lets one look first.
    """
    if not hasattr(os, "waitid"):  # macOS, until Python 3.13
        yield from _dead_and_reaped(workers)
        return
    while True:
        try:
            found = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:
            return
        if found is None:
            return
        if found.si_pid in workers:
            kill_group(found.si_pid)
        pid, status = os.waitpid(found.si_pid, 0)
        yield pid, os.waitstatus_to_exitcode(status)


def _dead_and_reaped(workers: Container[int]) -> Iterator[tuple[int, int]]:
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            return
        if pid in workers:
            kill(os.killpg, pid)
        yield pid, os.waitstatus_to_exitcode(status)


def end_children() -> None:
    """Kill every child of this process and, as they fall to it, every descendant, until none is left.

    One system call where there are none. Without procfs nothing is killed: there is no list of them.
    """
    deadline = time.monotonic() + _CHILDREN_LIMIT
    while time.monotonic() < deadline:
        try:
            pid, _ = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid:
            continue
        # The quick list knows only the children of this thread; the code may have forked in others.
        children = linux.children() or linux.all_children()
        if not children:
            return
        for child in children:
            kill(os.kill, child)
        os.waitpid(-1, 0)


def kill_group(worker: int) -> None:
    """Kill an unreaped worker and the processes in its group, which it may not have made yet."""
    for call in (os.kill, os.killpg):
        kill(call, worker)


def kill(call: Callable[[int, int], None], target: int) -> None:
    """Send SIGKILL by ``os.kill`` or ``os.killpg``, to one that may be gone."""
    try:
        call(target, signal.SIGKILL)
    except OSError:
        return  # gone, or out of reach: then it is reported as stuck
