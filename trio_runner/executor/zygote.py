"""The runner's side of the zygote: start it, ask it for workers, notice its end, leave nothing of it.

Requests are only queued, never awaited: workers may be forked and ended by any code, in a cancelled scope
too. What comes of it shows on the `Worker`. One deadline watches over all of them: a zygote that does not
answer in time is killed, and a zygote that is gone, however it went, ends all its workers.
"""

from __future__ import annotations

from binascii import b2a_base64
from collections.abc import Callable, Sequence

import trio

from ..errors import ConfigError
from ..sandbox import control
from .config import ProcessExecutorConfig
from .contract import ZygoteStatistics
from .control_link import ControlLink
from .retirement import Retirement
from .spawn import ZygoteProcess, spawn_zygote
from .strictness import check_walls
from .worker import Worker

__all__ = ["UnfitModule", "Zygote", "start_zygote"]

# Seconds for one answer. The zygote itself gives up on stuck processes after two.
_ANSWER_LIMIT = 10.0
# Seconds a timer may be late before its verdict is not trusted: this process, not the zygote, was asleep.
_LATE = 1.0
# Seconds for killed workers to die when there is no zygote to see to it.
_DEATH_LIMIT = 5.0
# Seconds for all clearing up together, whatever the kernel holds back.
_CLOSE_LIMIT = 30.0


class UnfitModule(Exception):
    """A zygote could not load a module, and is lost because of it.

    Args:
        module: which.
        why: what it did.
    """

    def __init__(self, module: str, why: str) -> None:
        super().__init__(f"{module}: {why}")
        self.module = module
        self.why = why


class Zygote:
    """One running zygote.

    Made by `start_zygote`; `serve` must run for it to answer.

    Args:
        spawned: the zygote's process.
        on_ended: called with each worker that has ended.

    Attributes:
        pid: its process id; that of its first process until it has greeted.
        walls: names of the walls around each worker.
        missing: those that this machine does not have, and why.
        alive: it can be asked for workers; False from the moment its end is noticed.
        lost: why it is gone, once `serve` has returned.
        unfit: modules that it was to load and did not, and why.
    """

    def __init__(self, spawned: ZygoteProcess, on_ended: Callable[[Worker], None]) -> None:
        self.pid = spawned.started.pid
        self.walls: tuple[str, ...] = ()
        self.missing: tuple[tuple[str, str], ...] = ()
        self.alive = True
        self.lost = ""
        self.unfit: dict[str, str] = {}
        self._loading = ""
        self._leaving = False
        self._progress = trio.CancelScope()
        self._start_limit = 0.0
        self._began = trio.current_time()
        self._spawned = spawned
        self._link = ControlLink(spawned.channel)
        self._on_ended = on_ended
        self._workers: dict[int, Worker] = {}
        self._next_number = 0
        self._due: dict[Worker, float] = {}  # when the answer about a worker is due; oldest first
        self._retirement = Retirement(self.end)
        self._asked = trio.Event()  # the watch has something to watch
        self._greeted = trio.Event()

    def statistics(self) -> ZygoteStatistics:
        """Return a snapshot."""
        now = trio.current_time()
        due = next(iter(self._due.values()), now + _ANSWER_LIMIT)
        silence = max(0.0, now + _ANSWER_LIMIT - due)
        return ZygoteStatistics(self.pid, now - self._began, len(self._workers), self.walls, silence)

    async def greet(self, config: ProcessExecutorConfig, preload: tuple[str, ...]) -> None:
        """Send the policy and wait until the zygote is ready. See `start_zygote`."""
        policy = config.sandbox.policy_for(config.policy).to_json()
        sandbox, scratch = config.sandbox.to_json(), self._spawned.scratch
        self._link.post(control.Configure(policy, sandbox, scratch, preload))
        self._start_limit = config.start_limit
        with trio.move_on_after(config.start_limit) as limit:
            self._progress = limit
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._link.write)
                await self._read(until=self._greeted)
                nursery.cancel_scope.cancel()
            # If it has hung up, its last words are complete when it ends.
            await (self._spawned.settle(self.pid) if self._greeted.is_set() else self._spawned.wait())
        if self._greeted.is_set():
            return
        if self._loading:
            took_long = f"its import takes more than {config.start_limit:g} seconds"
            why = (
                took_long if limit.cancelled_caught else f"its import ends the process: {self._last_words()}"
            )
            raise UnfitModule(self._loading, self.unfit.get(self._loading, why))
        if limit.cancelled_caught:
            raise ConfigError(
                f"python: {config.python!r} started but was not ready within {config.start_limit:g} seconds"
            )
        why = self.lost or self._spawned.last_line() or "it ended at once, without a word"
        raise ConfigError(f"python: {config.python!r} cannot run tasks: {why}")

    def _last_words(self) -> str:
        return self._spawned.last_line() or self._spawned.cause_of_death()

    async def serve(self, on_lost: Callable[[], None]) -> None:
        """Carry requests and answers until the zygote is gone, then see to it that all its workers are.

        Args:
            on_lost: called as soon as it is known that the zygote is gone, before the clearing up.

        Cancellation:
            Ends the zygote. When `Cancelled` leaves, no process of it is left.
        """
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._link.write)
                nursery.start_soon(self._watch)
                nursery.start_soon(self._retirement.hang_up)
                nursery.start_soon(self._retirement.end_who_stays)
                await self._read()
                nursery.cancel_scope.cancel()
        finally:
            self.alive = False
            on_lost()
            with trio.move_on_after(_CLOSE_LIMIT, shield=True):
                await self.close()

    # --- requests ---

    def fork(self, count: int = 1) -> list[Worker]:
        """Ask for workers, which are forked together. They can be sent their tasks at once.

        Args:
            count: how many.

        Returns:
            At most as many: fewer if there are no descriptors for more.

        Raises:
            OSError: this process has no descriptors for even one.
        """
        workers: list[Worker] = []
        try:
            while len(workers) < min(count, control.BATCH):
                workers.append(Worker(self._next_number + 1, self))
                self._next_number += 1
        except OSError:
            if not workers:
                raise
        self._workers |= {worker.number: worker for worker in workers}
        for worker in workers:
            self._expect(worker)
        descriptors = [descriptor for worker in workers for descriptor in worker.hand_over()]
        self._link.post(control.Fork(tuple(worker.number for worker in workers)), descriptors)
        return workers

    def approve(self, digest: str, program: bytes, forget: str | None) -> None:
        """Have later workers know that this code is fit to run, and as which program.

        Args:
            digest: stands for the code.
            program: see `Approved`.
            forget: digest of another code, to be forgotten.
        """
        self._link.post(control.Approve(digest, b2a_base64(program, newline=False).decode(), forget))

    def leave(self) -> None:
        """Fork no more, and end with the last of the workers there are; `serve` returns then."""
        self.alive = False
        self._leaving = True
        if not self._workers:
            self._link.hang_up()

    def kill(self, why: str) -> None:
        """Give the zygote up: `serve` ends soon, and so do all workers."""
        self.lost = self.lost or why
        self._spawned.kill()

    # --- the conversation ---

    def end(self, worker: Worker) -> None:
        """Have a worker and all it left behind killed."""
        self._retirement.remove(worker)
        self._expect(worker)
        self._link.post(control.End(worker.number))

    def retire(self, worker: Worker) -> None:
        """Have a worker and all it left behind killed, unless it soon ends by itself."""
        self._retirement.add(worker)

    async def _read(self, until: trio.Event | None = None) -> None:
        """Take in answers until the zygote hangs up, or until an event."""
        try:
            await self._link.read(self._handle, until)
        except ValueError as exc:
            self.kill(str(exc))

    def _handle(self, message: control.Message, descriptors: list[int]) -> None:
        match message:
            case control.Loading(module):
                self._loading = module
                self._progress.deadline = trio.current_time() + self._start_limit
            case control.Unfit(module, why):
                self.unfit[module] = why
            case control.Hello(pid, walls, missing):
                self.pid, self.walls, self.missing = pid, walls, missing
                self._loading = ""
                self._greeted.set()
            case control.Forked(numbers, pids):
                pidfds: Sequence[int | None] = descriptors or [None] * len(numbers)
                for number, pid, pidfd in zip(numbers, pids, pidfds, strict=True):
                    worker = self._workers[number]
                    now = trio.current_time()
                    asked = self._due.pop(worker, now + _ANSWER_LIMIT) - _ANSWER_LIMIT
                    worker.be_born(pid, pidfd, now - asked)
            case control.ForkFailed(number, why):
                self._bury(self._workers[number], f"The system could not start a process: {why}.")
            case control.Ended(number, _, stuck):
                epitaph = f"{stuck} of its processes cannot be killed: the kernel holds them."
                self._bury(self._workers[number], epitaph if stuck else "", message)

    def _bury(self, worker: Worker, epitaph: str, told: control.Ended | None = None) -> None:
        self._due.pop(worker, None)
        self._retirement.remove(worker)
        del self._workers[worker.number]
        if told is None:
            worker.end(None, epitaph=epitaph)
        else:
            worker.end(told.status, epitaph=epitaph, peak_memory=told.peak or None, limit=told.limit)
        self._on_ended(worker)
        if self._leaving and not self._workers:
            self._link.hang_up()

    def _expect(self, worker: Worker) -> None:
        self._due.setdefault(worker, trio.current_time() + _ANSWER_LIMIT)
        self._asked.set()

    async def _watch(self) -> None:
        """Kill a zygote that leaves a request unanswered: it is stopped, or worse."""
        while True:
            while not self._due:
                self._asked = trio.Event()
                await self._asked.wait()
            worker, due = next(iter(self._due.items()))
            await trio.sleep_until(due)
            if trio.current_time() - due >= _LATE:
                # It is this process that was stopped: the answer may be waiting to be read.
                await trio.sleep(_ANSWER_LIMIT)
            if self._due.get(worker) == due:
                self.kill(f"it did not answer for {_ANSWER_LIMIT:g} seconds")
                await trio.sleep_forever()

    # --- the end ---

    async def close(self) -> None:
        """Leave nothing: no zygote, no process of theirs, no file. Bounded; for a shielded scope."""
        self.alive = False
        try:
            if not await self._spawned.end():
                await self._kill_orphans()
            await self._spawned.remove_scratch()
        except OSError as exc:  # no descriptors left, say: the next zygote must come all the same
            self.lost = self.lost or f"clearing up after it failed: {exc.strerror or exc}"
        finally:
            self._drop_workers()
            self._spawned.close()

    async def _kill_orphans(self) -> None:
        """Kill what a zygote could not that did not end in good order."""
        for worker in self._workers.values():
            worker.kill_process()
        with trio.move_on_after(_DEATH_LIMIT):
            for worker in list(self._workers.values()):
                await worker.wait_dead()
        await self._spawned.kill_leftovers()

    def _drop_workers(self) -> None:
        self.lost = self.lost or self._last_words()
        for worker in list(self._workers.values()):
            self._bury(worker, f"The process that forks the workers was lost ({self.lost}).")
        self._link.close()


async def start_zygote(
    config: ProcessExecutorConfig, on_ended: Callable[[Worker], None], *, preload: tuple[str, ...] = ()
) -> Zygote:
    """Start a zygote and wait until it is ready.

    Args:
        config: the interpreter and the policy.
        on_ended: called with each worker that has ended.
        preload: modules for it to load.

    Raises:
        UnfitModule: one of the modules has spoilt it: to be tried again without.
        ConfigError: the interpreter cannot be started, cannot import the sandbox, or is too slow; there is no
            directory for temporary files; or the walls that are required cannot be had.

    Cancellation:
        Nothing is left.
    """
    zygote = Zygote(await spawn_zygote(config.python), on_ended)
    try:
        await zygote.greet(config, preload)
        check_walls(config.sandbox, zygote.walls, zygote.missing)
    except BaseException:
        zygote.kill("it was not ready")
        with trio.move_on_after(_CLOSE_LIMIT, shield=True):
            await zygote.close()
        raise
    return zygote
