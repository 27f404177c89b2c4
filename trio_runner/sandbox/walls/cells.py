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
from contextlib import suppress

from .. import linux
from . import kernel
from .keeper import make_keepers

__all__ = ["Cells"]

_OWN = "/proc/self/ns/pid"

Prepare = Callable[[], None]


class Cells:
    """The cells of a zygote, which must be in a PID namespace of its own and have the rights to make others.

    Args:
        prepare: called for each keeper, in the process that makes it.

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

    def provide(self, count: int) -> None:
        """Have so many cells ready for forks, made together, unless the system refuses."""
        missing = count - len(self._free)
        if missing > 0:
            with suppress(OSError):  # the fork that finds none says why
                self._make(missing)

    def fork(self, worker: int) -> int:
        """Fork, like `os.fork`, with the child in a cell of its own.

        Args:
            worker: number of the worker that the child is to be.

        Raises:
            OSError: the system refuses to make a cell, or to fork.
        """
        if not self._free:
            self._make(1)
        keeper = self._used[worker] = self._free.pop()
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

    def vacate(self, worker: int) -> bool:
        """Take back the cell of a dead worker. What is left in it is killed; see `is_vacant`.

        Returns:
            Whether nothing was left in it.
        """
        keeper = self._used.pop(worker, None)
        if keeper is None or keeper not in self._namespaces:
            return False
        empty = _is_empty(keeper)
        if empty:
            self._free.append(keeper)
        else:
            self._kill(keeper, worker)
        return empty

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

    def _make(self, count: int) -> None:
        """Make cells, all or none.

        Raises:
            OSError: the system refuses.
        """
        for keeper, namespace in make_keepers(count, self._prepare):
            self._namespaces[keeper] = namespace
            self._free.append(keeper)


def _is_empty(keeper: int) -> bool:
    """Whether nothing is in a cell but its keeper, to which whatever is orphaned in it falls."""
    try:
        return not linux.contents(f"/proc/{keeper}/task/{keeper}/children").strip()
    except OSError:
        return False  # nobody knows
