"""Cells: PID namespaces for workers, each with a first process that keeps it and does nothing else.

Theory of operation. The first process of a PID namespace is special: signals that would end others do not end
it, and the namespace ends with it. A task is to be an ordinary process, and a fork for a keeper of every
task would halve the rate of forks. So a keeper stays: the zygote forks each worker into a cell that is empty,
by entering the namespace for the moment of the fork. When the worker is dead the cell is looked at. If
nothing is left in it the next worker gets it; else the keeper is killed, and the kernel kills everything in
the cell at one blow, whatever it does.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from typing import TYPE_CHECKING

from .. import linux
from . import kernel

if TYPE_CHECKING:
    from typing import NoReturn

__all__ = ["Cells"]

# Not by the pidfd of a keeper: nobody may look into one whose memory is private.
_OWN, _OF_CHILDREN = "/proc/self/ns/pid", "/proc/self/ns/pid_for_children"

Prepare = Callable[[], None]


class Cells:
    """The cells of a zygote, which must be in a PID namespace of its own and have the rights to make others.

    Args:
        prepare: called in each keeper, before it begins to wait.

    Raises:
        OSError: this process has no descriptor left, or no process list.
    """

    def __init__(self, prepare: Prepare) -> None:
        self._prepare = prepare
        self._own = os.open(_OWN, os.O_RDONLY | os.O_CLOEXEC)
        self._free: list[int] = []
        self._used: dict[int, int] = {}  # worker -> keeper
        self._namespaces: dict[int, int] = {}  # keeper -> descriptor of its namespace
        self._dying: dict[int, int | None] = {}  # killed keeper -> the worker whose cell it kept

    def fork(self, worker: int) -> int:
        """Fork, like `os.fork`, with the child in a cell of its own.

        Args:
            worker: number of the worker that the child is to be.

        Raises:
            OSError: the system refuses to make a cell, or to fork.
        """
        keeper = self._free.pop() if self._free else self._make()
        self._used[worker] = keeper
        pid = -1
        try:
            kernel.setns(self._namespaces[keeper], kernel.CLONE_NEWPID)
            pid = os.fork()
        finally:
            if pid:
                kernel.setns(self._own, kernel.CLONE_NEWPID)
            if pid < 0:
                self.vacate(worker)
        return pid

    def vacate(self, worker: int) -> None:
        """Take back the cell of a dead worker. What is left in it is killed; see `is_vacant`."""
        keeper = self._used.pop(worker, None)
        if keeper is None or keeper not in self._namespaces:
            return
        if _is_empty(keeper):
            self._free.append(keeper)
        else:
            self._kill(keeper, worker)

    def is_vacant(self, worker: int) -> bool:
        """Whether nothing is left in the cell that a worker had, once it has been vacated."""
        return worker not in self._dying.values()

    def reaped(self, pid: int) -> bool:
        """Take note of the end of a child, and tell whether it was a keeper."""
        if pid in self._namespaces:  # killed by somebody else: what was in the cell is dead
            self._forget(pid)
        elif pid not in self._dying:
            return False
        self._dying.pop(pid, None)
        return True

    def close(self) -> None:
        """Kill everything in all cells."""
        for keeper in list(self._namespaces):
            self._kill(keeper, None)

    def _kill(self, keeper: int, worker: int | None) -> None:
        os.kill(keeper, signal.SIGKILL)
        self._forget(keeper)
        self._dying[keeper] = worker

    def _forget(self, keeper: int) -> None:
        os.close(self._namespaces.pop(keeper))
        if keeper in self._free:
            self._free.remove(keeper)

    def _make(self) -> int:
        kernel.unshare(kernel.CLONE_NEWPID)
        try:
            keeper = os.fork()
            if keeper == 0:
                _keep(self._prepare)
            self._namespaces[keeper] = os.open(_OF_CHILDREN, os.O_RDONLY | os.O_CLOEXEC)
        finally:
            kernel.setns(self._own, kernel.CLONE_NEWPID)
        return keeper


def _is_empty(keeper: int) -> bool:
    """Whether nothing is in a cell but its keeper, to which whatever is orphaned in it falls."""
    try:
        return not linux.contents(f"/proc/{keeper}/task/{keeper}/children").strip()
    except OSError:
        return False  # nobody knows


def _keep(prepare: Prepare) -> NoReturn:
    """Be a keeper. Whatever falls to it is reaped by the kernel."""
    try:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        linux.close_descriptors_above(2)
        prepare()
        while True:
            signal.pause()
    finally:
        os._exit(1)
