"""The control groups of one process in one tree: how they are made, what they limit, and what they tell."""

from __future__ import annotations

import contextlib
import os
from typing import NamedTuple

from ..config import Limits
from .hierarchies import group_of_controller, own_group, parent_of_groups

__all__ = ["CONTROLLERS", "ZYGOTE", "Shortage", "Tree", "find_places"]

CONTROLLERS = ("memory", "pids")

ZYGOTE = "zygote"
"""Name of the leaf that the process itself is in."""

_PROCESSES, _SHARED_OUT = "cgroup.procs", "cgroup.subtree_control"
_UNLIMITED = "max"
# Where version 1 tells of the most memory in use, with swap and without.
_MOST = ("memory.memsw.max_usage_in_bytes", "memory.max_usage_in_bytes")
# Bytes by which usage may be below the limit when the kernel refuses: it is asked for several pages at once.
_NEARLY = 1024**2
# The file, what to write, and whether it may be lacking, as swap may.
_Limit = tuple[str, str, bool]


class Shortage(NamedTuple):
    """What has happened in a group whose memory, or that of a group above it, was used up.

    Attributes:
        kills: how many of its processes the kernel has killed.
        refusals: how often it was the group's own memory; of version 1, whether it was since `Tree.settle`.
    """

    kills: int = 0
    refusals: int = 0


class Tree:
    """The groups of this process in one tree.

    Args:
        parent: directory of the group below which they are made.
        name: of the one that holds them all.
        controllers: what they limit.
        limits: how much of it is for each.

    Attributes:
        unified: it is that of version 2.
        path: directory of the group that holds all of them.
        bounds_memory: memory is among what they limit.

    Raises:
        OSError: that is not permitted.
    """

    def __init__(self, parent: str, name: str, controllers: list[str], limits: Limits) -> None:
        self.unified = os.path.exists(f"{parent}/cgroup.controllers")
        self.path = os.path.join(parent, name)
        self.bounds_memory = "memory" in controllers
        self._controllers = controllers
        self._limits = limits
        self._before = own_group() if self.unified else parent
        if self.unified:
            _share_out(parent, controllers)
        os.makedirs(f"{self.path}/{ZYGOTE}", exist_ok=True)
        if self.unified:
            _write(f"{self.path}/{_SHARED_OUT}", _enabling(controllers))
        # Workers and later groups are found by it, from wherever this process has its root.
        self._directory = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)

    def make(self, name: str) -> None:
        """Make a group, with its limits."""
        with contextlib.suppress(FileExistsError):
            os.mkdir(name, dir_fd=self._directory)
        for file, value, optional in self._wanted():
            try:
                self._put(f"{name}/{file}", value)
            except FileNotFoundError:
                if not optional:
                    raise

    def _wanted(self) -> list[_Limit]:
        memory, processes = self._limits.memory, str(self._limits.processes or _UNLIMITED)
        wanted: list[_Limit] = [("pids.max", processes, False)] if "pids" in self._controllers else []
        if not self.bounds_memory:
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
        if self.unified or not self.bounds_memory:
            return None
        alarm = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        try:
            source = os.open(f"{name}/memory.oom_control", os.O_RDONLY | os.O_CLOEXEC, dir_fd=self._directory)
            try:
                self._put(f"{name}/cgroup.event_control", f"{alarm} {source}")
            finally:
                os.close(source)
        except OSError:
            os.close(alarm)
            raise
        return alarm

    def enter(self, name: str) -> None:
        """Move this process into a group."""
        self._put(f"{name}/{_PROCESSES}", "0")

    def leave(self) -> None:
        """Move this process back to where it was, if that is possible, and close what is open."""
        with contextlib.suppress(OSError):
            _write(f"{self._before}/{_PROCESSES}", "0")
        os.close(self._directory)

    def is_used(self, name: str) -> bool:
        """Whether there are processes in a group, or nobody knows."""
        try:
            return bool(self._get(f"{name}/{_PROCESSES}"))
        except OSError:
            return True

    def shortage(self, name: str) -> Shortage:
        """Return what has happened in a group, in which memory is bounded.

        Raises:
            OSError: the group is gone, or this process has no descriptor left.
        """
        if self.unified:
            events = self._get(f"{name}/memory.events")
            return Shortage(_field(events, b"oom_kill"), _field(events, b"oom"))
        kills = _field(self._get(f"{name}/memory.oom_control"), b"oom_kill")
        # Not from memory.memsw.failcnt: there are kernels that do not count there.
        limit = self._limits.memory
        return Shortage(kills, int(limit > 0 and self._most(name) >= limit - _NEARLY))

    def settle(self, name: str, found: Shortage) -> Shortage:
        """Return what a later shortage is to be compared with.

        Raises:
            OSError: as with `shortage`.
        """
        if self.unified:
            return found
        if found.refusals:
            for file in _MOST:
                with contextlib.suppress(FileNotFoundError):
                    self._put(f"{name}/{file}", "0")
        return found._replace(refusals=0)

    def _most(self, name: str) -> int:
        """Return the most memory that was in use in a group since that was settled, bytes."""
        with_swap, without = _MOST
        try:
            return int(self._get(f"{name}/{with_swap}"))
        except FileNotFoundError:
            return int(self._get(f"{name}/{without}"))

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


def _field(lines: bytes, name: bytes) -> int:
    """Return the number behind a name; 0 where the kernel does not tell."""
    found = (line.split() for line in lines.splitlines())
    return next((int(words[1]) for words in found if words[0] == name), 0)


def find_places() -> dict[str, list[str]]:
    """Return the directories below which groups are made, each with the controllers that are there.

    Raises:
        OSError: a controller is nowhere to be had.
    """
    found: dict[str, list[str]] = {}
    for controller in CONTROLLERS:
        place = group_of_controller(controller)
        if place is None:
            place = parent_of_groups()
            with open(f"{place}/cgroup.controllers", encoding="ascii") as file:
                if controller not in file.read().split():
                    raise OSError(f"no controller {controller!r} has been delegated to the runner's group")
        found.setdefault(place, []).append(controller)
    return found


def _share_out(parent: str, controllers: list[str]) -> None:
    """Have a group share its resources out to those below it."""
    with open(f"{parent}/{_SHARED_OUT}", encoding="ascii") as file:
        if set(controllers) <= set(file.read().split()):
            return
    _write(f"{parent}/{_SHARED_OUT}", _enabling(controllers))


def _enabling(controllers: list[str]) -> str:
    return " ".join(f"+{name}" for name in controllers)


def _write(path: str, value: str) -> None:
    with open(path, "w", encoding="ascii") as file:
        file.write(value)
