"""The zygote: a process of one thread that forks workers, reaps them, and leaves nothing of them behind.

Theory of operation. The zygote holds the standard library, the sandbox, and nothing of the runner: no trio,
no tokens, no descriptors but the control socket. It does what `control` messages ask and what deaths demand.

It is a subreaper: whatever a worker leaves running becomes a child of the zygote when the worker dies. So
every child that is neither a worker nor the janitor is a stray, and dies by SIGKILL on sight; its own
children become the next strays, until none is left. Only then the worker counts as ended. A process that
the kernel holds back even from SIGKILL is waited for a limited time and reported.

A worker's process group is killed while its dead leader is still unreaped, so the number cannot have been
given to anybody else. The end of the control socket, which comes even if the runner is killed, ends the
zygote and everything below it.
"""

from __future__ import annotations

import contextlib
import fcntl
import gc
import os
import selectors
import signal
import socket
import time
from collections.abc import Callable, Container, Iterator, Sequence

from . import control, linux
from .policy import Policy
from .scratch import remove_tree
from .walls import raise_shared_walls
from .worker import WorkerPlan, run_worker

__all__ = ["main"]

# Seconds until a process that outlives SIGKILL, waiting inside the kernel, is reported instead of waited for.
_STUCK_AFTER = 2.0
# Seconds for everything to die once the runner is gone.
_LAST_WAIT = 3.0


def main(control_descriptor: int) -> None:
    """Run the zygote until the control socket ends.

    Args:
        control_descriptor: number of the zygote's end of the control socket.
    """
    channel = socket.socket(fileno=control_descriptor)
    channel.set_inheritable(False)
    for ignored in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        # A service manager may signal the whole group at shutdown: the end of the control socket decides.
        signal.signal(ignored, signal.SIG_IGN)
    linux.become_subreaper()
    walls = raise_shared_walls()
    gc.disable()
    gc.freeze()  # the workers share these pages; a collection would copy them all
    Zygote(channel, walls).serve()


class Zygote:
    """Forks, kills and reaps on behalf of the runner at the other end of `channel`.

    Args:
        channel: the control socket.
        walls: names of the walls that stand, for the runner to know.
    """

    def __init__(self, channel: socket.socket, walls: tuple[str, ...]) -> None:
        self._channel = channel
        self._walls = walls
        self._decoder = control.ControlDecoder()
        self._selector = selectors.DefaultSelector()
        self._policy = Policy()
        self._scratch = ""
        self._approved: dict[str, None] = {}
        self._workers: dict[int, int] = {}  # number -> process id, until reported as ended
        self._numbers: dict[int, int] = {}  # process id -> number, until reaped or given up
        self._status: dict[int, int] = {}  # number -> exit status, from reaped to reported
        self._ending: dict[int, float] = {}  # number -> when to report it even if something is stuck
        self._stuck: set[int] = set()  # process ids that nobody waits for any more
        self._janitor: int | None = None
        self._litter: list[str] = []  # scratch directories for the next janitor
        self._open = True

    def serve(self) -> None:
        """Do what is asked until the runner hangs up; then end everything."""
        wakeups, wakeup = socket.socketpair()
        for end in (wakeups, wakeup):
            end.setblocking(False)
        signal.set_wakeup_fd(wakeup.fileno(), warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)  # without a handler there is no wakeup
        self._selector.register(wakeups, selectors.EVENT_READ, lambda: wakeups.recv(4096))
        self._selector.register(self._channel, selectors.EVENT_READ, self._receive)
        while self._open:
            self._step(min(self._ending.values(), default=None))
        self._selector.unregister(self._channel)
        self._end_everything()

    def _step(self, due: float | None) -> None:
        """Wait for something to do, at most until `due`, and do it."""
        timeout = None if due is None else max(0.0, due - time.monotonic())
        for key, _ in self._selector.select(timeout):
            key.data()
        if self._reap() or self._ending:
            self._report_ended(self._kill_strays())

    # --- what the runner asks ---

    def _receive(self) -> None:
        try:
            data, descriptors = control.receive(self._channel)
        except OSError:
            data, descriptors = b"", []
        if not data:
            self._open = False
        for message, its_descriptors in self._decoder.feed(data, descriptors):
            self._handle(message, its_descriptors)

    def _handle(self, message: control.Message, descriptors: list[int]) -> None:
        match message:
            case control.Fork(worker):
                self._fork(worker, descriptors)
            case control.End(worker):
                self._end(worker)
            case control.Approve(digest, forget):
                if forget is not None:
                    self._approved.pop(forget, None)
                self._approved[digest] = None
            case control.Configure(policy, scratch):
                self._policy, self._scratch = Policy.from_json(policy), scratch
                _lock(scratch)
                self._send(control.Hello(os.getpid(), self._walls))

    def _send(self, message: control.Message, descriptors: Sequence[int] = ()) -> None:
        """Write to the runner, which always reads. A runner that is gone shows as the end of the socket."""
        data = control.encode(message, len(descriptors))
        try:
            sent = self._channel.sendmsg([data], control.ancillary(descriptors))
            self._channel.sendall(data[sent:])
        except OSError:
            self._open = False

    # --- the life of a worker ---

    def _fork(self, number: int, descriptors: list[int]) -> None:
        channel, stderr = descriptors
        plan = WorkerPlan(
            channel=channel,
            stderr=stderr,
            scratch=self._scratch_of(number),
            policy=self._policy,
            approved=self._approved,
            zygote=os.getpid(),
        )
        try:
            pid = os.fork()
            if pid == 0:
                run_worker(plan)
        except OSError as exc:
            self._send(control.ForkFailed(number, str(exc)))
        else:
            self._introduce(number, pid)
        os.close(channel)
        os.close(stderr)

    def _introduce(self, number: int, pid: int) -> None:
        self._workers[number] = pid
        self._numbers[pid] = number
        pidfd = linux.open_pidfd(pid)
        self._send(control.Forked(number, pid), [] if pidfd is None else [pidfd])
        if pidfd is not None:
            os.close(pidfd)

    def _end(self, number: int) -> None:
        if number in self._workers and number not in self._status:
            self._begin_ending(number)
            _kill_group(self._workers[number])

    def _begin_ending(self, number: int) -> None:
        self._ending.setdefault(number, time.monotonic() + _STUCK_AFTER)

    def _reap(self) -> bool:
        """Reap whatever has died, and tell whether anything had."""
        reaped = False
        for pid, status in _dead(self._numbers):
            reaped = True
            self._stuck.discard(pid)
            number = self._numbers.pop(pid, None)
            if number is not None:
                self._status[number] = status
                self._begin_ending(number)
            elif pid == self._janitor:
                self._janitor = None
                self._send_janitor()
        return reaped

    def _kill_strays(self) -> set[int]:
        """Kill every child that belongs to no living worker, and return those that are waited for."""
        strays = linux.children() - self._numbers.keys() - {self._janitor}
        for pid in strays:
            _kill(os.kill, pid)  # a child of ours that nobody else reaps: the number is still its own
        return strays - self._stuck

    def _report_ended(self, strays: set[int]) -> None:
        """Tell the runner of every ending worker of which nothing is left, or that took too long to die."""
        now = time.monotonic()
        for number, due in list(self._ending.items()):
            dead = number in self._status
            if dead and not strays:
                self._forget(number, stuck=0)
            elif now >= due:
                self._stuck |= strays
                if not dead:
                    self._stuck.add(self._workers[number])
                    self._numbers.pop(self._workers[number])
                self._forget(number, stuck=len(strays) + (not dead))

    def _forget(self, number: int, *, stuck: int) -> None:
        del self._ending[number], self._workers[number]
        self._clear_scratch(self._scratch_of(number))
        self._send(control.Ended(number, self._status.pop(number, -signal.SIGKILL), stuck))

    # --- scratch directories ---

    def _scratch_of(self, number: int) -> str:
        return os.path.join(self._scratch, str(number))

    def _clear_scratch(self, directory: str) -> None:
        try:
            os.rmdir(directory)  # the usual case: nothing was written
        except FileNotFoundError:
            pass
        except OSError:
            self._litter.append(directory)
            self._send_janitor()

    def _send_janitor(self) -> None:
        """Have a child of its own remove what was left, however much it is, unless one is at work already."""
        if self._janitor is not None or not self._litter or not self._open:
            return
        zygote = os.getpid()
        try:
            self._janitor = os.fork()
        except OSError:
            return  # the next scratch directory brings the next attempt
        if self._janitor == 0:
            _clean(self._litter, zygote)
        self._litter = []

    # --- the end ---

    def _end_everything(self) -> None:
        for number in list(self._workers):
            self._end(number)
        if self._janitor is not None:
            _kill(os.kill, self._janitor)
        due = time.monotonic() + _LAST_WAIT
        self._litter = []
        while linux.children() - self._stuck or self._numbers:
            if time.monotonic() >= due:
                break
            self._step(due)
        self._channel.close()  # tells a runner that still listens: all are dead
        if self._scratch:
            remove_tree(self._scratch)


def _dead(workers: Container[int]) -> Iterator[tuple[int, int]]:
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
            _kill_group(found.si_pid)
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
            _kill(os.killpg, pid)
        yield pid, os.waitstatus_to_exitcode(status)


def _lock(directory: str) -> None:
    """Mark the directory as in use until this process ends: a later runner clears those that are not."""
    with contextlib.suppress(OSError):
        fcntl.flock(os.open(directory, os.O_RDONLY), fcntl.LOCK_SH)


def _kill_group(worker: int) -> None:
    """Kill an unreaped worker and the processes in its group, which it may not have made yet."""
    for kill in (os.kill, os.killpg):
        _kill(kill, worker)


def _kill(kill: Callable[[int, int], None], target: int) -> None:
    try:
        kill(target, signal.SIGKILL)
    except OSError:
        return  # gone, or out of reach: then it is reported as stuck


def _clean(litter: list[str], zygote: int) -> None:
    """Be the janitor: remove directories, then end. Never returns."""
    try:
        signal.set_wakeup_fd(-1)
        linux.die_with_parent(zygote)
        linux.close_descriptors_above(2)
        os.nice(10)
        for directory in litter:
            remove_tree(directory)
    finally:
        os._exit(0)
