"""The zygote: a process of one thread that forks workers, reaps them, and leaves nothing of them behind.

Theory of operation. The zygote holds the standard library, the sandbox, and nothing of the runner: no trio,
no tokens, no descriptors but the control socket. It does what `control` messages ask and what deaths demand.

Its first message tells which walls are wanted. It raises those that its workers inherit, which may move it
into a process of its own, and finds out in a trial which others there are. Where the system permits, each
worker is forked into a cell (see `walls.cells`), and what it leaves running is killed with the cell.

Else, as a subreaper, whatever a worker leaves running becomes a child of the zygote when the worker dies. So
every child that is neither a worker nor the janitor is a stray, and dies by SIGKILL on sight; its own
children become the next strays, until none is left. Only then the worker counts as ended. A process that
the kernel holds back even from SIGKILL is waited for a limited time and reported.

Forking is what it is for, so what makes a fork dear is kept away: it loads little, and not `threading`, whose
work in each child is a quarter of a fork. It has rehearsed a task so that its workers find everything warm.
It forks several at a time where it can: the first it writes to after a fork are pages that it shares with its
child and has to copy.

A worker's process group is killed while its dead leader is still unreaped, so the number cannot have been
given to anybody else. The end of the control socket, which comes even if the runner is killed, ends the
zygote and everything below it.
"""

from __future__ import annotations

import gc
import math
import os
import select
import signal
import socket
import time
from binascii import a2b_base64
from collections.abc import Sequence

from . import control, linux
from .config import SandboxConfig
from .policy import Policy
from .preload import Spoilt, load
from .reaping import Reaped, kill, kill_group, reap_dead
from .scratch import ScratchDirectories, be_janitor, lock_directory, remove_tree
from .task import enter, rehearse
from .walls.raising import Walls
from .walls.root import HOME
from .worker import WorkerPlan, run_worker, set_up_signals

__all__ = ["main"]

# Seconds until a process that outlives SIGKILL, waiting inside the kernel, is reported instead of waited for.
_STUCK_AFTER = 2.0
# Seconds for everything to die once the runner is gone.
_LAST_WAIT = 3.0
# Until Python has specialised the code that every task runs through: its notes go into pages that are shared.
_REHEARSALS = 10
# Number of the worker that never was: the runner counts from one.
_TRIAL = 0


def main(control_descriptor: int) -> None:
    """Run the zygote until the control socket ends.

    Args:
        control_descriptor: number of the zygote's end of the control socket.
    """
    channel = socket.socket(fileno=control_descriptor)
    channel.set_inheritable(False)
    set_up_signals()
    decoder = control.ControlDecoder()
    configure = control.receive_first(channel, decoder)
    if configure is None:
        os._exit(0)
    lock_directory(configure.scratch)
    policy = Policy.from_json(configure.policy)
    walls = Walls(SandboxConfig.from_json(configure.sandbox), policy)
    walls.raise_shared(configure.scratch)
    linux.become_subreaper()
    gc.disable()
    zygote = Zygote(channel, walls, policy, configure.scratch, decoder)
    if zygote.get_ready(configure.preload):
        zygote.serve()
    os._exit(0)  # at once, whatever modules have loaded: threads, or handlers for the end of the process


class Zygote:
    """Forks, kills and reaps on behalf of the runner at the other end of `channel`.

    Args:
        channel: the control socket.
        walls: those around the workers; they stand as far as they are this process's.
        policy: what the code may do.
        scratch: path of the directory for scratch directories.
        decoder: what has come in already.
    """

    def __init__(
        self,
        channel: socket.socket,
        walls: Walls,
        policy: Policy,
        scratch: str,
        decoder: control.ControlDecoder,
    ) -> None:
        self._channel, self._decoder = channel, decoder
        self._walls, self._policy, self._unsent = walls, policy, b""
        self._scratch = ScratchDirectories(scratch)
        self._approved: dict[str, bytes] = {}
        self._workers: dict[int, int] = {}  # number -> process id, until reported as ended
        self._numbers: dict[int, int] = {}  # process id -> number, until reaped or given up
        self._dead: dict[int, Reaped] = {}  # number -> how it ended, from reaped to reported
        self._ending: dict[int, float] = {}  # number -> when to report it even if something is stuck
        self._stuck: set[int] = set()  # process ids that nobody waits for any more
        self._janitor: int | None = None
        self._open = True

    def get_ready(self, modules: Sequence[str]) -> bool:
        """Load modules, try the walls of the workers and say hello; False: this process has been spoilt."""
        if not all(map(self._load, modules)):
            self._flush()
            return False
        self._walls.try_own(lambda: self._take_scratch(_TRIAL))
        self._scratch.give_back(_TRIAL)
        self._warm_up()
        self._send(control.Hello(self._walls.pid, self._walls.standing, self._walls.missing))
        self._flush()
        return True

    def serve(self) -> None:
        """Do what is asked until the runner hangs up; then end everything."""
        wakeups, wakeup = os.pipe()
        for end in (wakeups, wakeup):
            os.set_blocking(end, False)
        signal.set_wakeup_fd(wakeup, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)  # without a handler there is no wakeup
        poll = select.poll()
        poll.register(wakeups, select.POLLIN)
        poll.register(self._channel, select.POLLIN)
        self._walls.watch(poll)
        while self._open:
            self._step(poll, wakeups, min(self._ending.values(), default=None))
        poll.unregister(self._channel)
        self._end_everything(poll, wakeups)

    def _step(self, poll: select.poll, wakeups: int, due: float | None) -> None:
        """Wait for something to do, at most until `due`, and do it."""
        timeout = None if due is None else math.ceil(max(0.0, due - time.monotonic()) * 1000)
        for descriptor, _ in poll.poll(timeout):
            if descriptor == wakeups:
                os.read(wakeups, 4096)
            elif descriptor == self._channel.fileno():
                self._receive()
            else:
                for number in self._walls.starving():
                    self._end(number)
        if self._reap() or self._ending:
            self._report_ended(self._kill_strays())
        self._flush()

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
            case control.Fork(workers):
                self._fork(workers, descriptors)
            case control.End(worker):
                self._end(worker)
            case control.Approve(digest, program, forget):
                self._approved.pop(forget or "", None)
                self._approved[digest] = a2b_base64(program)

    def _load(self, module: str) -> bool:
        """Load a module, and tell whether this process is still fit to be forked."""
        self._send(control.Loading(module))
        self._flush()  # what comes next may take long, or end the process
        try:
            why = load(module)
        except Spoilt as spoilt:
            self._send(control.Unfit(module, str(spoilt)))
            return False
        if why is not None:
            self._send(control.Unfit(module, why))
        return True

    def _warm_up(self) -> None:
        """Do once, before any fork, what every worker would do first."""
        enter(self._policy)
        for _ in range(_REHEARSALS):
            rehearse(self._policy)
        gc.collect()
        gc.freeze()  # the workers share these pages; a collection would copy them all

    def _send(self, message: control.Message, descriptors: Sequence[int] = ()) -> None:
        """Write to the runner with the next `_flush`; at once if descriptors travel with it."""
        self._unsent += control.encode(message, len(descriptors))
        if descriptors:
            self._flush(descriptors)

    def _flush(self, descriptors: Sequence[int] = ()) -> None:
        """Write to the runner, which always reads. A runner that is gone shows as the end of the socket."""
        data, self._unsent = self._unsent, b""
        try:
            sent = self._channel.sendmsg([data], control.ancillary(descriptors)) if data else 0
            if sent < len(data):
                self._channel.sendall(data[sent:])
        except OSError:
            self._open = False

    # --- the life of a worker ---

    def _fork(self, numbers: Sequence[int], descriptors: list[int]) -> None:
        self._walls.expect_forks(len(numbers))
        born: dict[int, int] = {}
        for number, channel, stderr in zip(numbers, descriptors[::2], descriptors[1::2], strict=True):
            try:
                born[number] = self._fork_one(number, channel, stderr)
            except OSError as exc:
                self._clear_scratch(number)
                self._send(control.ForkFailed(number, str(exc)))
        for descriptor in descriptors:
            os.close(descriptor)
        if born:
            self._introduce(born)

    def _fork_one(self, number: int, channel: int, stderr: int) -> int:
        plan = WorkerPlan(
            number=number,
            channel=channel,
            stderr=stderr,
            scratch=self._take_scratch(number),
            policy=self._policy,
            approved=self._approved,
            walls=self._walls,
            zygote=0 if self._walls.cells else os.getpid(),
        )
        pid = self._walls.fork(number)
        if pid == 0:
            run_worker(plan)
        return pid

    def _take_scratch(self, number: int) -> str:
        """Return the path of the scratch directory of a worker, which makes its own where it can."""
        return HOME if self._walls.own_root else self._scratch.take(number, self._walls.owner(number))

    def _introduce(self, born: dict[int, int]) -> None:
        self._workers |= born
        self._numbers |= {pid: number for number, pid in born.items()}
        pidfds = [pidfd for pid in born.values() if (pidfd := linux.open_pidfd(pid)) is not None]
        self._send(control.Forked(tuple(born), tuple(born.values())), pidfds * (len(pidfds) == len(born)))
        for pidfd in pidfds:
            os.close(pidfd)

    def _end(self, number: int) -> None:
        if number in self._workers and number not in self._dead:
            self._begin_ending(number)
            kill_group(self._workers[number])

    def _begin_ending(self, number: int) -> None:
        self._ending.setdefault(number, time.monotonic() + _STUCK_AFTER)

    def _reap(self) -> bool:
        """Reap whatever has died, and tell whether anything had."""
        reaped = False
        for dead in reap_dead(self._numbers):
            reaped = True
            self._stuck.discard(dead.pid)
            number = self._numbers.pop(dead.pid, None)
            if number is not None:
                self._begin_ending(number)
                self._dead[number] = self._walls.vacate(number, dead)
            elif not self._walls.reaped(dead.pid) and dead.pid == self._janitor:
                self._janitor = None
                self._send_janitor()
        return reaped

    def _kill_strays(self) -> set[int]:
        """Kill every child that belongs to no living worker, and return those that are waited for."""
        if self._walls.cells is not None:
            return set()  # nothing leaves a cell
        strays = linux.children() - self._numbers.keys() - {self._janitor}
        for pid in strays:
            kill(os.kill, pid)  # a child of ours that nobody else reaps: the number is still its own
        return strays - self._stuck

    def _report_ended(self, strays: set[int]) -> None:
        """Tell the runner of every ending worker of which nothing is left, or that took too long to die."""
        now = time.monotonic()
        for number, due in list(self._ending.items()):
            dead = number in self._dead
            left = len(strays) + (not self._walls.is_vacant(number))
            if dead and not left:
                self._forget(number, stuck=0)
            elif now >= due:
                self._stuck |= strays
                if not dead:
                    self._stuck.add(self._workers[number])
                    self._numbers.pop(self._workers[number])
                self._forget(number, stuck=left + (not dead))

    def _forget(self, number: int, *, stuck: int) -> None:
        dead = self._dead.pop(number, None) or Reaped(self._workers[number], -signal.SIGKILL, 0)
        del self._ending[number], self._workers[number]
        self._clear_scratch(number)
        self._send(control.Ended(number, dead.status, stuck, dead.peak, dead.limit))

    # --- scratch directories ---

    def _clear_scratch(self, number: int) -> None:
        self._scratch.give_back(number)
        self._send_janitor()

    def _send_janitor(self) -> None:
        """Have a child of its own remove what was left, however much it is, unless one is at work already."""
        if self._janitor is not None or not self._scratch.litter or not self._open:
            return
        zygote = os.getpid()
        try:
            self._janitor = os.fork()
        except OSError:
            return  # the next scratch directory brings the next attempt
        if self._janitor == 0:
            be_janitor(self._scratch.litter, zygote)
        self._scratch.litter = []

    # --- the end ---

    def _end_everything(self, poll: select.poll, wakeups: int) -> None:
        for number in list(self._workers):
            self._end(number)
        if self._janitor is not None:
            kill(os.kill, self._janitor)
        self._walls.close()
        due = time.monotonic() + _LAST_WAIT
        self._scratch.litter = []
        while linux.children() - self._stuck or self._numbers:
            if time.monotonic() >= due:
                break
            self._step(poll, wakeups, due)
        self._channel.close()  # tells a runner that still listens: all are dead
        if not self._walls.own_root:  # else it is out of sight
            remove_tree(self._scratch.root)
