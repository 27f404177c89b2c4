"""The end of processes: reaping children, and killing what is sure to be ours."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Container, Iterator
from typing import NamedTuple

from . import linux

__all__ = ["Reaped", "end_children", "kill", "kill_group", "reap_dead"]

# What the system counts peak memory in, bytes.
_MEMORY_UNIT = 1 if sys.platform == "darwin" else 1024

# Seconds for the children of a task to die: far more than a kill takes. What is left, the zygote ends.
_CHILDREN_LIMIT = 1.0


class Reaped(NamedTuple):
    """A child that has been reaped.

    Attributes:
        pid: its process id.
        status: how it ended: ≥ 0 an exit status, < 0 the negated signal number.
        peak: the most memory it had resident, bytes.
        limit: name of the limit of a task that the kernel killed it for; empty: none.
    """

    pid: int
    status: int
    peak: int
    limit: str = ""


def reap_dead(workers: Container[int]) -> Iterator[Reaped]:
    """Reap the dead children one by one.

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
        pid, status, usage = os.wait4(found.si_pid, 0)
        yield Reaped(pid, os.waitstatus_to_exitcode(status), usage.ru_maxrss * _MEMORY_UNIT)


def _dead_and_reaped(workers: Container[int]) -> Iterator[Reaped]:
    while True:
        try:
            pid, status, usage = os.wait4(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            return
        if pid in workers:
            kill(os.killpg, pid)
        yield Reaped(pid, os.waitstatus_to_exitcode(status), usage.ru_maxrss * _MEMORY_UNIT)


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
