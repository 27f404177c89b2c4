"""The walls that each worker raises for itself, in the order in which that is possible.

Namespaces and mounts come first, because they take rights; then the rights go; Landlock and the filter of
system calls close behind all of that.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence

from ..config import Limits
from . import basics, credentials, kernel, landlock, limits, namespaces, root, seccomp, secrets
from .groups import TaskGroups

__all__ = ["OwnWalls"]

Step = tuple[str, Callable[[], object]]

# Of other processes of this user, which count against the same limit where nothing counts tasks apart.
_MARGIN = 256


class OwnWalls:
    """The walls of the workers of one zygote.

    Args:
        wanted: names of walls; the others do not count.
        limits: what one task may use.
        network: the network is open.
        programs: programs may be started.
        own_root: this process is in a root directory of its own.
        in_cell: workers are forked into PID namespaces.
        groups: the control groups of the workers, if there are such.
        change_user: this process is root, and its workers are not to be.
    """

    def __init__(
        self,
        wanted: frozenset[str],
        limits: Limits,
        *,
        network: bool,
        programs: bool,
        own_root: bool,
        in_cell: bool,
        groups: TaskGroups | None,
        change_user: bool,
    ) -> None:
        self._wanted = wanted
        self._limits = limits
        self._network = network
        self._programs = programs
        self._own_root = own_root
        self._in_cell = in_cell
        self._groups = groups
        self._change_user = change_user
        self._uncounted = 0
        self._python: list[str] = []
        self._landlock: landlock.Landlock | None = None
        self._filter: seccomp.Filter | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the walls that a worker raises."""
        return tuple(dict.fromkeys(name for name, _ in self.steps(0, "")))

    def owner(self, worker: int) -> int | None:
        """Return the user and group id that a worker is to have, if it is another than this process's."""
        return credentials.user_for(worker) if self._change_user and "user" in self._wanted else None

    def prepare(
        self, readable: Sequence[str], devices: Sequence[str], give_up: Callable[[str, str], None]
    ) -> None:
        """Make once what every worker needs.

        Args:
            readable: paths that may be read.
            devices: paths of devices that may be used.
            give_up: told the name of a wall that cannot be had, and why.
        """
        self._python = [path for path in sys.path if path in readable and os.path.isdir(path)]
        if "limits" in self._wanted and "user-namespace" not in self._wanted and not self._change_user:
            self._uncounted = _processes_of(os.geteuid()) + _MARGIN
        try:
            if "landlock" in self._wanted:
                self._landlock = landlock.Landlock(readable, devices, network=self._network)
        except OSError as exc:
            give_up("landlock", str(exc))
        try:
            if "seccomp" in self._wanted:
                self._filter = seccomp.build(network=self._network, programs=self._programs)
        except OSError as exc:
            give_up("seccomp", str(exc))

    def close(self) -> None:
        """Close the descriptors that `prepare` opened."""
        for descriptor in self._landlock.descriptors if self._landlock else ():
            os.close(descriptor)

    def steps(self, worker: int, scratch: str) -> Iterator[Step]:
        """Yield the walls of a worker, each with the call that raises it, in their order.

        Args:
            worker: its number.
            scratch: path of its scratch directory.
        """
        for name, wall in self._all_steps(worker, scratch):
            if name in self._wanted:
                yield name, wall

    def _all_steps(self, worker: int, scratch: str) -> Iterator[Step]:
        if (groups := self._groups) is not None:
            yield "cgroup", lambda: groups.enter(worker)
        yield "first-out-of-memory", basics.volunteer_for_oom
        if self._own_root or self._in_cell:
            yield "mount-namespace" if self._own_root else "pid-namespace", lambda: self.move(worker)
        yield "ipc-namespace", lambda: kernel.unshare(kernel.CLONE_NEWIPC)
        yield "limits", lambda: limits.bound_resources(self._limits, uncounted=self._uncounted)
        if (user := self.owner(worker)) is not None:
            yield "user", lambda: credentials.become_user(user)
        yield "user-namespace", namespaces.leave_user_namespace
        yield "capabilities", credentials.drop_capabilities
        yield "private-memory", secrets.hide_memory
        if (rules := self._landlock) is not None:
            yield "landlock", lambda: rules.submit(scratch, ["/proc" if self._in_cell else "/proc/self"])
        if (calls := self._filter) is not None:
            yield "seccomp", lambda: seccomp.install(calls)

    def move(self, worker: int = 0) -> None:
        """Leave the zygote's mounts for a copy with a scratch directory and a process list of one's own.

        Raises:
            OSError: that is impossible.
        """
        kernel.unshare(kernel.CLONE_NEWNS)
        if self._own_root:
            root.mount_scratch(size=self._limits.scratch, owner=self.owner(worker), programs=self._programs)
        if self._in_cell:
            root.mount_processes(only_processes=True)

    def unusable(self, scratch: str) -> str:
        """Say what a task needs and cannot reach behind all these walls; empty: everything is there."""
        for path in self._python:
            try:
                os.scandir(path).close()
            except OSError as exc:
                return (
                    f"Python's own files in {path} cannot be read by other users ({exc.strerror}); install"
                    " Python and its packages where everybody may read them, or run as another user"
                )
        try:
            os.close(os.open(os.path.join(scratch, ".trial"), os.O_CREAT | os.O_RDWR, 0o600))
            os.unlink(os.path.join(scratch, ".trial"))
        except OSError as exc:
            return f"the scratch directory cannot be used: {exc.strerror}"
        return ""


def _processes_of(user: int) -> int:
    """Return how many processes and threads a user has."""
    count = 0
    try:
        names = [name for name in os.listdir("/proc") if name.isdecimal()]
    except OSError:
        return 0
    for name in names:
        try:
            if os.stat(f"/proc/{name}").st_uid == user:
                count += len(os.listdir(f"/proc/{name}/task"))
        except OSError:
            continue  # ended meanwhile
    return count
