"""Which walls are raised, where and in which order.

Walls only ever rise: none can be lowered again by a process that stands behind it. Those that workers inherit
are raised once, in the zygote; the others in each worker, between its fork and its task. A trial in a child
tells beforehand which of them this machine has. From then on a worker in which one of those cannot be raised
ends: no task ever runs behind fewer walls than were told of.
"""

from __future__ import annotations

import json
import os
import select
import signal
from collections.abc import Callable, Iterator
from functools import partial

from ..config import WALLS, SandboxConfig
from ..policy import Policy
from ..reaping import Reaped
from . import addresses, basics, credentials, kernel, limits, namespaces, root, secrets
from .cells import Cells
from .groups import TaskGroups
from .own import OwnWalls
from .trial import attempt
from .visible import DEVICES, readable_paths

__all__ = ["Walls"]

# How often trials are repeated without what failed: one wall may need another.
_TRIALS = 4


class Walls:
    """The walls of one zygote and its workers.

    Args:
        config: which are wanted.
        policy: what the code may do, which decides on the network and on programs.

    Attributes:
        own_root: the workers have a root directory, and a scratch directory, of their own.
        cells: what workers are forked into, if there are cells.
        groups: the control groups of the workers, if there are such.
        pid: the process id of this process for whoever started it.
    """

    def __init__(self, config: SandboxConfig, policy: Policy) -> None:
        self._wanted = set(config.wanted(policy))
        self._missing: dict[str, str] = {}
        self._limits, self._ports = config.limits, config.closed_ports
        self._network = config.opens_network(policy)
        self._programs = config.starts_programs(policy)
        self._by_user_namespace = False
        self.own_root = False
        self.cells: Cells | None = None
        self.groups: TaskGroups | None = None
        self.pid = os.getpid()
        self._own = self._make_own()

    @property
    def standing(self) -> tuple[str, ...]:
        """The names of the walls that stand around each worker."""
        return tuple(name for name in WALLS if name in self._wanted)

    @property
    def missing(self) -> tuple[tuple[str, str], ...]:
        """The names of those that were wanted and cannot be had, and why."""
        return tuple((name, self._missing[name]) for name in WALLS if name in self._missing)

    def _give_up(self, name: str, why: str) -> None:
        if name in self._wanted:
            self._wanted.remove(name)
            self._missing[name] = why

    # --- the zygote's ---

    def raise_shared(self, base: str) -> None:
        """Raise the walls that workers inherit. May return in another process; see `namespaces.become_first`.

        Args:
            base: path of an empty directory.
        """
        self._raise("cgroup", partial(self._divide, base))
        unified = self.groups.unified if self.groups else ""
        self._raise("addresses", partial(addresses.shut_addresses, base, self._ports, unified))
        self._move(base)
        if "capabilities" in self._wanted and credentials.has_capability(credentials.CAP_SETPCAP):
            credentials.drop_bounding_set()
        if "limits" in self._wanted:
            limits.few_arenas()
        shared = {
            "no-core-dumps": basics.forbid_core_dumps,
            "no-new-privileges": basics.forbid_new_privileges,
            "private-memory": secrets.hide_memory,
        }
        for name, wall in shared.items():
            self._raise(name, wall)

    def _divide(self, base: str) -> None:
        self.groups = TaskGroups(base, self._limits)

    def _raise(self, name: str, wall: Callable[[], object]) -> None:
        """Raise a wall if it is wanted; give it up if that is impossible."""
        if name in self._wanted:
            try:
                wall()
            except (OSError, ValueError) as exc:
                self._give_up(name, str(exc))

    def _move(self, base: str) -> None:
        """Move into as many of the wanted namespaces as the machine permits."""
        entered: frozenset[str] = frozenset()
        faults: dict[str, str] = {}
        for by_user, kinds in self._ways():
            fault = attempt(partial(self._rehearse_move, by_user, kinds, base))
            if not fault:
                self._enter(by_user, kinds, base, namespaces.become_first)
                entered = kinds
                break
            faults = dict.fromkeys(kinds, fault) | faults
        for name in self._wanted & namespaces.KINDS.keys() - entered:
            self._give_up(name, faults.get(name, "not on this system"))

    def _ways(self) -> Iterator[tuple[bool, frozenset[str]]]:
        """Yield ways to move, the best first: whether by a user namespace, and into which namespaces."""
        wanted = frozenset(self._wanted & namespaces.KINDS.keys()) if kernel.MACHINE else frozenset()
        files = {"mount-namespace"}
        # Without one of processes there is still that of files; the other two are always worth having.
        for kinds in dict.fromkeys((wanted, wanted - {"pid-namespace"}, wanted - {"pid-namespace"} - files)):
            if kinds:
                if namespaces.is_privileged():
                    yield False, kinds
                yield True, kinds

    def _rehearse_move(self, by_user: bool, kinds: frozenset[str], base: str, end: int) -> None:
        """Do, in a child, what the zygote and a worker would do."""
        self._wanted -= namespaces.KINDS.keys() - kinds
        self._enter(by_user, kinds, base, partial(namespaces.become_first_of_trial, (end,)))
        worker = self.fork(0)
        if worker == 0:
            try:
                self._make_own().move()
            except OSError as exc:
                os.write(end, str(exc).encode())
            os._exit(0)
        os.waitpid(worker, 0)

    def _enter(
        self, by_user: bool, kinds: frozenset[str], base: str, become_first: Callable[[], None]
    ) -> None:
        self._by_user_namespace = by_user
        namespaces.enter_namespaces(kinds, user=by_user)
        processes = "pid-namespace" in kinds
        if processes:
            become_first()
            self.pid = int(os.readlink("/proc/self"))  # as it is called outside
        if "mount-namespace" in kinds:
            root.OwnRoot(base, self._readable(), self._devices(), own_processes=processes).enter()
            self.own_root = True
        else:
            root.keep_mounts_private()
            if processes:
                root.mount_processes(only_processes=False)
        if processes:
            self.cells = Cells(basics.forbid_core_dumps)

    def _readable(self) -> list[str]:
        return readable_paths(network=self._network, programs=self._programs)

    def _devices(self) -> list[str]:
        return [path for path in DEVICES if os.path.exists(path)]

    # --- the workers' ---

    def fork(self, worker: int) -> int:
        """Fork, like `os.fork`, into a cell if there are cells; with a control group set aside.

        Args:
            worker: number of the worker that the child is to be.

        Raises:
            OSError: the system refuses.
        """
        if self.groups is not None:
            self.groups.take(worker)
        try:
            return os.fork() if self.cells is None else self.cells.fork(worker)
        except OSError:
            if self.groups is not None:
                self.groups.vacate(worker, empty=True)
            raise

    def expect_forks(self, count: int) -> None:
        """Prepare for so many forks at once."""
        if self.cells is not None:
            self.cells.provide(count)

    def vacate(self, worker: int, dead: Reaped) -> Reaped:
        """Take note that a worker is dead; what it left behind in its cell is killed.

        Returns:
            `dead`, with the limit that the kernel killed it for, if that is why.
        """
        empty = self.cells is not None and self.cells.vacate(worker)
        starved = self.groups is not None and self.groups.vacate(worker, empty=empty)
        return dead._replace(limit="memory") if starved and dead.status == -signal.SIGKILL else dead

    def watch(self, poll: select.poll) -> None:
        """Have a poll return when there is something for `starving` to tell."""
        if self.groups is not None:
            poll.register(self.groups.alarms, select.POLLIN)

    def starving(self) -> list[int]:
        """Return the workers that are to be ended, since the kernel kills a part of their tasks only."""
        return [] if self.groups is None else self.groups.starving()

    def is_vacant(self, worker: int) -> bool:
        """Whether nothing is left in the cell of a dead worker; always so where there are no cells."""
        return self.cells is None or self.cells.is_vacant(worker)

    def reaped(self, pid: int) -> bool:
        """Take note of the end of a child, and tell whether it was the walls' own."""
        return self.cells is not None and self.cells.reaped(pid)

    def close(self) -> None:
        """Kill everything in all cells."""
        if self.cells is not None:
            self.cells.close()

    def owner(self, worker: int) -> int | None:
        """Return the user and group id that a worker is to have, if it is another than the zygote's."""
        return self._own.owner(worker)

    def raise_own(self, worker: int, scratch: str) -> None:
        """Raise, in a worker, the walls that are its own.

        Args:
            worker: its number.
            scratch: path of its scratch directory.

        Raises:
            OSError: one of them cannot be raised.
        """
        for _, wall in self._own.steps(worker, scratch):
            wall()

    def try_own(self, scratch: Callable[[], str]) -> None:
        """Find out, in a child, which of the walls of a worker this machine has.

        Args:
            scratch: returns the path of a scratch directory for a worker.
        """
        if not self._own.names:
            return
        for _ in range(_TRIALS):
            self._own = self._make_own()
            readable = self._readable() + (list(root.ACCOUNTS) if self.own_root else [])
            self._own.prepare(readable, self._devices(), self._give_up)
            report = attempt(partial(self._rehearse_own, scratch()), fork=partial(self.fork, 0))
            self.vacate(0, Reaped(0, 0, 0))
            if not report:
                return
            for name, why in _faults(report, self._own.names):
                self._give_up(name, why)
            if "cgroup" not in self._wanted:
                self.groups = None  # no fork is to fail for want of one
            self._own.close()
        self._own = self._make_own()

    def _rehearse_own(self, scratch: str, end: int) -> None:
        """Raise the walls of a worker, and report those that cannot be raised."""
        faults: dict[str, str] = {}
        for name, wall in self._own.steps(0, scratch):
            try:
                wall()
            except OSError as exc:
                faults[name] = str(exc)
        if not faults and (fault := self._own.unusable(scratch)):
            faults["user" if self._own.owner(0) is not None else "landlock"] = fault
        if faults:
            os.write(end, json.dumps(faults).encode())

    def _make_own(self) -> OwnWalls:
        return OwnWalls(
            frozenset(self._wanted),
            self._limits,
            network=self._network,
            programs=self._programs,
            own_root=self.own_root,
            in_cell=self.cells is not None,
            groups=self.groups,
            change_user=os.geteuid() == 0 and not self._by_user_namespace,
        )


def _faults(report: str, names: tuple[str, ...]) -> list[tuple[str, str]]:
    """Return what a trial reported of which wall; if it did not get that far, of all."""
    try:
        found = json.loads(report)
        return [(str(name), str(why)) for name, why in found.items()]
    except (ValueError, AttributeError):
        return [(name, report) for name in names]
