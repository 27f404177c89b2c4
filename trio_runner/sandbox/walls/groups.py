"""A control group for each task: memory and processes of all its processes together have an upper bound.

Theory of operation. The zygote makes a group of its own where that is permitted, in the tree of version 2 or
in those of version 1, moves into a leaf of it, and makes one group for each worker that there is at one time.
A worker moves into its group before it raises its other walls; groups are used again, because the kernel
keeps a group that is gone for as long as anything is charged to it. A task whose group has used up its memory
ends as a whole: version 2 kills all of it at one blow; version 1 kills the largest process and says so, and
the zygote does the rest. What the kernel kills in a group is counted there, which tells why a worker died.
"""

from __future__ import annotations

import contextlib
import os
import select

from ..config import Limits
from .hierarchies import group_of_controller, parent_of_groups, parents

__all__ = ["CONTROLLERS", "TaskGroups", "kill_groups", "remove_abandoned_groups", "remove_groups"]

CONTROLLERS = ("memory", "pids")

_ZYGOTE = "zygote"
_PROCESSES, _SHARED_OUT = "cgroup.procs", "cgroup.subtree_control"
_UNLIMITED = "max"
# The file, what to write, and whether it may be lacking, as swap may.
_Limit = tuple[str, str, bool]


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
        self._limits = limits
        self._free: list[str] = []
        self._lingering: list[str] = []  # something may be left in them
        self._used: dict[int, str] = {}  # worker -> name of its group
        self._starved: set[int] = set()
        self._kills: dict[str, int] = {}  # name -> how many the kernel is known to have killed in it
        self._trees: list[_Tree] = []
        self._by_alarm: dict[int, str] = {}  # descriptor -> name
        self.alarms = select.epoll()
        try:
            for parent, controllers in _places().items():
                self._trees.append(_Tree(parent, os.path.basename(base), controllers))
        except OSError:
            remove_groups(base)
            raise
        self.unified = next((tree.path for tree in self._trees if tree.unified), "")

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
        found = [worker for worker, name in self._used.items() if name in names]
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
        (self._free if empty else self._lingering).append(name)
        known = self._kills[name]
        self._kills[name] = self._count_kills(name)
        starved = worker in self._starved or self._kills[name] > known
        self._starved.discard(worker)
        return starved

    def _look_again(self) -> None:
        """Find out which of the groups that were not empty are so by now."""
        if self._lingering:
            left = [name for name in self._lingering if any(tree.is_used(name) for tree in self._trees)]
            self._free += [name for name in self._lingering if name not in left]
            self._lingering = left

    def _make(self) -> str:
        name = str(len(self._kills))
        for tree in self._trees:
            tree.make(name, self._limits)
            if (alarm := tree.make_alarm(name)) is not None:
                self._by_alarm[alarm] = name
                self.alarms.register(alarm, select.EPOLLIN)
        self._kills[name] = self._count_kills(name)
        return name

    def _count_kills(self, name: str) -> int:
        return sum(tree.count_kills(name) for tree in self._trees)


class _Tree:
    """The groups of this process in one tree.

    Args:
        parent: directory of the group below which they are made.
        name: of the one that holds them all.
        controllers: what they limit.
    """

    def __init__(self, parent: str, name: str, controllers: list[str]) -> None:
        self.unified = os.path.exists(f"{parent}/cgroup.controllers")
        self.path = os.path.join(parent, name)
        self._controllers = controllers
        if self.unified:
            _share_out(parent, controllers)
        try:
            os.makedirs(f"{self.path}/{_ZYGOTE}", exist_ok=True)
            if self.unified:
                _write(f"{self.path}/{_SHARED_OUT}", _enabling(controllers))
            _write(f"{self.path}/{_ZYGOTE}/{_PROCESSES}", "0")
        except OSError as exc:
            raise _refusal(parent, exc) from exc
        # Workers and later groups are found by it, from wherever this process has its root.
        self._directory = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)

    def make(self, name: str, limits: Limits) -> None:
        """Make a group, with its limits."""
        with contextlib.suppress(FileExistsError):
            os.mkdir(name, dir_fd=self._directory)
        for file, value, optional in self._wanted(limits):
            try:
                self._put(f"{name}/{file}", value)
            except FileNotFoundError:
                if not optional:
                    raise

    def _wanted(self, limits: Limits) -> list[_Limit]:
        memory, processes = limits.memory, str(limits.processes or _UNLIMITED)
        wanted: list[_Limit] = [("pids.max", processes, False)] if "pids" in self._controllers else []
        if "memory" not in self._controllers:
            return wanted
        if self.unified:
            return [
                *wanted,
                ("memory.max", str(memory or _UNLIMITED), False),
                ("memory.swap.max", "0" if memory else _UNLIMITED, True),
                ("memory.oom.group", "1", True),  # from Linux 4.19: all of the task, not a part of it
            ]
        bytes_ = str(memory or -1)
        return [
            *wanted,
            ("memory.limit_in_bytes", bytes_, False),
            ("memory.memsw.limit_in_bytes", bytes_, True),
        ]

    def make_alarm(self, name: str) -> int | None:
        """Return a descriptor that is readable once memory is used up in a group; None: no need for one."""
        if self.unified or "memory" not in self._controllers:
            return None
        alarm = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        source = os.open(f"{name}/memory.oom_control", os.O_RDONLY | os.O_CLOEXEC, dir_fd=self._directory)
        try:
            self._put(f"{name}/cgroup.event_control", f"{alarm} {source}")
        finally:
            os.close(source)
        return alarm

    def enter(self, name: str) -> None:
        """Move this process into a group."""
        self._put(f"{name}/{_PROCESSES}", "0")

    def is_used(self, name: str) -> bool:
        """Whether there are processes in a group."""
        return bool(self._get(f"{name}/{_PROCESSES}"))

    def count_kills(self, name: str) -> int:
        """Return how many processes the kernel has killed in a group because its memory was used up."""
        if "memory" not in self._controllers:
            return 0
        file = "memory.events" if self.unified else "memory.oom_control"
        for line in self._get(f"{name}/{file}").splitlines():
            if line.startswith(b"oom_kill "):
                return int(line.split()[1])
        return 0

    def _put(self, path: str, value: str) -> None:
        descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC, dir_fd=self._directory)
        try:
            os.write(descriptor, value.encode("ascii"))
        finally:
            os.close(descriptor)

    def _get(self, path: str) -> bytes:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC, dir_fd=self._directory)
        try:
            return os.read(descriptor, 65536)
        finally:
            os.close(descriptor)


def _places() -> dict[str, list[str]]:
    """Return the directories below which groups are made, each with the controllers that are there.

    Raises:
        OSError: a controller is nowhere to be had.
    """
    places: dict[str, list[str]] = {}
    for controller in CONTROLLERS:
        place = group_of_controller(controller)
        if place is None:
            place = parent_of_groups()
            with open(f"{place}/cgroup.controllers", encoding="ascii") as file:
                if controller not in file.read().split():
                    raise OSError(f"no controller {controller!r} has been delegated to the runner's group")
        places.setdefault(place, []).append(controller)
    return places


def _share_out(parent: str, controllers: list[str]) -> None:
    """Have a group share its resources out to those below it."""
    try:
        with open(f"{parent}/{_SHARED_OUT}", encoding="ascii") as file:
            if set(controllers) <= set(file.read().split()):
                return
        _write(f"{parent}/{_SHARED_OUT}", _enabling(controllers))
    except OSError as exc:
        raise _refusal(parent, exc) from exc


def _enabling(controllers: list[str]) -> str:
    return " ".join(f"+{name}" for name in controllers)


def _refusal(parent: str, error: OSError) -> OSError:
    return OSError(f"the control group {parent} is not the runner's to divide: {error.strerror or error}")


def _write(path: str, value: str) -> None:
    with open(path, "w", encoding="ascii") as file:
        file.write(value)


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
        with contextlib.suppress(OSError):  # from Linux 5.14
            _write(os.path.join(parent, name, "cgroup.kill"), "1")


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
        os.rmdir(f"{group}/{_ZYGOTE}")
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
