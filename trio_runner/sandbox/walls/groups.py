"""A control group for each task: memory and processes of all its processes together have an upper bound.

Theory of operation. The zygote makes a group of its own where that is permitted, in the tree of version 2 or
in those of version 1, moves into a leaf of it, and makes one group for each worker that there is at one time.
A worker moves into its group before it raises its other walls; groups are used again, because the kernel
keeps a group that is gone for as long as anything is charged to it. A task whose group has used up its memory
ends as a whole: version 2 kills all of it at one blow; version 1 kills the largest process and says so, and
the zygote does the rest. What the kernel kills in a group is counted there, as is what it refused for the
group's own limit: both together tell why a worker died. Where a group above runs out of memory, or all of
the machine, the kernel kills too, and version 1 raises the alarm of every group below.
"""

from __future__ import annotations

import contextlib
import os
import select

from ..config import Limits
from .hierarchies import parents
from .tree import CONTROLLERS, ZYGOTE, Shortage, Tree, find_places

__all__ = ["TaskGroups", "kill_groups", "remove_abandoned_groups", "remove_groups"]


class TaskGroups:
    """The control groups of the workers of this process, which moves into one of its own.

    Args:
        base: path whose last part becomes the name of the groups of this process; see `remove_groups`.
        limits: what one task may use.

    Attributes:
        unified: directory of the groups in the tree of version 2, empty if they are elsewhere.
        alarms: becomes readable when there is something for `starving` to tell.

    Raises:
        OSError: that is not permitted, or there are no such controllers.
    """

    def __init__(self, base: str, limits: Limits) -> None:
        self._free: list[str] = []
        self._lingering: list[str] = []  # something may be left in them
        self._used: dict[int, str] = {}  # worker -> name of its group
        self._starved: set[int] = set()
        self._known: dict[str, Shortage] = {}  # name -> what is known to have happened in it
        self._trees: list[Tree] = []
        self._alarms: dict[str, int] = {}  # name -> descriptor
        self._by_alarm: dict[int, str] = {}
        places = find_places()  # first: only Linux has any, or alarms
        self.alarms = select.epoll()
        parent = ""
        try:
            for parent, controllers in places.items():
                self._trees.append(Tree(parent, os.path.basename(base), controllers, limits))
            self._memory = next((tree for tree in self._trees if tree.bounds_memory), None)
            self._free.append(self._make())  # what is impossible is to show here, and not at the first fork
            for tree in self._trees:
                tree.enter(ZYGOTE)
        except OSError as exc:
            self._retreat()
            remove_groups(base)
            why = exc.strerror or exc
            raise OSError(f"the control group {parent} is not the runner's to divide: {why}") from exc
        self.unified = next((tree.path for tree in self._trees if tree.unified), "")

    def _retreat(self) -> None:
        for tree in self._trees:
            tree.leave()
        for alarm in self._by_alarm:
            os.close(alarm)
        self.alarms.close()

    def take(self, worker: int) -> None:
        """Set a group aside for a worker.

        Raises:
            OSError: the system refuses to make one.
        """
        self._look_again()
        self._used[worker] = self._free.pop() if self._free else self._make()

    def enter(self, worker: int) -> None:
        """Move this process, which is that worker, into its group.

        Raises:
            OSError: the system refuses.
        """
        for tree in self._trees:
            tree.enter(self._used[worker])

    def starving(self) -> list[int]:
        """Return the workers of whose tasks the kernel kills a part because their memory is used up."""
        names = set()
        for descriptor, _ in self.alarms.poll(0):
            os.read(descriptor, 8)
            names.add(self._by_alarm[descriptor])
        found = [worker for worker, name in self._used.items() if name in names and self._is_short(name)]
        self._starved.update(found)
        return found

    def vacate(self, worker: int, *, empty: bool) -> bool:
        """Take back the group of a dead worker.

        Args:
            worker: its number.
            empty: nothing is left in it for certain.

        Returns:
            Whether the kernel killed something in it since memory was used up.
        """
        name = self._used.pop(worker, None)
        if name is None:
            return False
        starved = worker in self._starved
        self._starved.discard(worker)
        with contextlib.suppress(OSError):  # it is gone, or nobody can look at it: it is not used again
            starved |= self._settle(name)
            (self._free if empty else self._lingering).append(name)
        return starved

    def _look_again(self) -> None:
        """Find out which of the groups that were not empty are so by now."""
        for name in self._lingering[:]:
            if not any(tree.is_used(name) for tree in self._trees):
                self._lingering.remove(name)
                with contextlib.suppress(OSError):
                    self._settle(name)
                    self._free.append(name)

    def _settle(self, name: str) -> bool:
        """Put down to a group's present user what has happened in it, so that the next is not blamed.

        Returns:
            Whether the kernel killed something in it since its memory was used up.
        """
        if (alarm := self._alarms.get(name)) is not None:
            with contextlib.suppress(BlockingIOError):
                os.read(alarm, 8)
        if (tree := self._memory) is None:
            return False
        before, now = self._known[name], tree.shortage(name)
        self._known[name] = tree.settle(name, now)
        return now.kills > before.kills and now.refusals > before.refusals

    def _is_short(self, name: str) -> bool:
        with contextlib.suppress(OSError):  # it is gone, or nobody can look at it
            if self._memory is not None:
                return self._memory.shortage(name).refusals > self._known[name].refusals
        return False

    def _make(self) -> str:
        name = str(len(self._known))
        for tree in self._trees:
            tree.make(name)
        if self._memory is not None and (alarm := self._memory.make_alarm(name)) is not None:
            self._alarms[name], self._by_alarm[alarm] = alarm, name
            self.alarms.register(alarm, select.EPOLLIN)
        self._known[name] = Shortage()
        return name


# --- afterwards, from outside -----------------------------------------------------------------------


def remove_groups(base: str) -> None:
    """Remove the control groups that a process made which has ended; nothing to do if there are none."""
    name = os.path.basename(base)
    for parent in parents(CONTROLLERS):
        _remove(os.path.join(parent, name))


def kill_groups(base: str) -> None:
    """Kill whatever is in the control groups of a process that was killed, as far as the kernel does that."""
    name = os.path.basename(base)
    for parent in parents(()):
        kill = os.path.join(parent, name, "cgroup.kill")  # from Linux 5.14
        with contextlib.suppress(OSError), open(kill, "w", encoding="ascii") as file:
            file.write("1")


def remove_abandoned_groups(prefix: str, older_than: float) -> None:
    """Remove the control groups of runners that were killed: old ones with nobody in them.

    Args:
        prefix: how their names begin.
        older_than: time of day, in seconds; a younger one may be about to be moved into.
    """
    for parent in parents(CONTROLLERS):
        with contextlib.suppress(OSError):
            for entry in os.scandir(parent):
                if (
                    entry.name.startswith(prefix)
                    and entry.is_dir()
                    and entry.stat().st_mtime < older_than
                    and _is_abandoned(entry.path)
                ):
                    _remove(entry.path)


def _is_abandoned(group: str) -> bool:
    """Whether the zygote that made a group is gone. Groups of a living one stay, even with nobody in them."""
    try:
        os.rmdir(f"{group}/{ZYGOTE}")
    except FileNotFoundError:
        return True  # it was made for addresses alone; who is in it keeps it
    except OSError:
        return False
    return True


def _remove(group: str) -> None:
    with contextlib.suppress(OSError):
        for entry in os.scandir(group):
            if entry.is_dir():
                with contextlib.suppress(OSError):  # somebody is in it
                    os.rmdir(entry.path)
        os.rmdir(group)
