"""Tasks in processes: a pool of workers, forked ahead of need, for one task each unless told otherwise.

Theory of operation. A task takes a worker that waits for one (see `warm`), or a new one. A worker runs one
task and is killed with all it left behind: in the background once the reply is complete, under a shield
before `Cancelled` leaves if the task is cancelled. The next task of its slot waits for that. Why a worker
ended is known because the pool decided it, not guessed from the exit code: `WorkerDied` is what remains. If
`reuse` is configured, a worker may clear up instead, and wait for its workflow's next task (see `kept`).

If a zygote is lost, so are its workers; tasks that run end as `WorkerDied`, tasks that arrive wait for the
next zygote (see `supply`). One task supervises all of this and nothing outlives `open_process_executor`.
"""

from __future__ import annotations

import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import attrs
import trio

from ..scheduling.backoff import Backoff
from ..scheduling.observer import ExecutorTrouble, NullObserver, Observer, WallsMissing, WorkerGone
from ..scheduling.outcome import Completed, Failed, WorkerDied
from .ailment import Ailment
from .approvals import Approvals
from .config import ProcessExecutorConfig
from .contract import ExecutorEvent, ExecutorStatistics, Job, OnEvent
from .conversation import converse, read_rest
from .death import describe_death, wait_for_end
from .kept import KeptWorkers, Term, Workflow
from .process_executor import ProcessExecutor
from .reply import Approved, Reply
from .spawn import remove_abandoned
from .strictness import describe_missing, worth_telling
from .supply import ZygoteSupply
from .warm import WarmWorkers
from .worker import Worker
from .zygote import Zygote

__all__ = ["ProcessExecutor", "ProcessExecutorConfig", "open_process_executor"]

_NOBODY: Observer = NullObserver()


@asynccontextmanager
async def open_process_executor(
    config: ProcessExecutorConfig, *, observer: Observer = _NOBODY
) -> AsyncIterator[ProcessExecutor]:
    """Open an executor that runs each task in a process of its own.

    Args:
        config: policy, sizes and interpreter.
        observer: told when workers cannot be started or had to be replaced.

    Raises:
        ConfigError: the interpreter cannot be used. Nothing was left running.

    Cancellation:
        Kills all tasks. When the context is left, for whatever reason, no process of it is left.
    """
    pool = _Pool(config, observer)
    zygote = await pool.start_zygote()
    error: BaseException | None = None
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(pool.supervise, zygote)
            nursery.start_soon(remove_abandoned)
            try:
                yield pool
            except BaseException as exc:
                error = exc
                raise
            finally:
                pool.close()
                nursery.cancel_scope.cancel()
    except BaseExceptionGroup as group:
        # The nursery is nobody's business but ours: what the caller raised leaves as the caller raised it.
        if error is None or group.exceptions != (error,):
            raise
    if error is not None:
        raise error


class _Pool:
    """The executor that `open_process_executor` opens."""

    def __init__(self, config: ProcessExecutorConfig, observer: Observer) -> None:
        self._config = config
        self._observer = observer
        self._approvals = Approvals()
        self._backoff = Backoff()
        self._running = 0
        self._not_before = -float("inf")  # no fork before this time: the last ones failed
        wait, calm = self._wait_until_forking, lambda: not self._running
        self._warm = WarmWorkers(config.warm_workers, self._fork, wait, calm)
        self._kept = KeptWorkers(config, self._on_left)
        self._leaving: set[Worker] = set()  # they have done their tasks, and something of them may be left
        self._left = trio.Event()  # one of them has gone
        self._supply = ZygoteSupply(config, observer, self._backoff, self.on_worker_ended, self._on_arrival)
        self._closed = False
        self._started = 0
        self._deaths = 0
        self._waiting = 0
        self._ailment = Ailment()
        self._news = trio.Event()  # workers may be had again, or not any more

    # --- the executor ---

    @property
    def task_types(self) -> tuple[str, ...]:
        """The task types this executor runs."""
        return self._config.task_types

    def available(self, task_type: str) -> bool:
        """Whether a task would find a worker, or soon get one; see `Executor.available`."""
        return task_type in self.task_types and (self._warm.any or self._can_fork())

    async def wait_available(self) -> None:
        """Wait until that may be so again; see `Executor.wait_available`."""
        while True:
            with trio.move_on_at(self._ailment.ends_at(trio.current_time())):
                await self._news.wait()
            if self._can_fork():
                return

    def _can_fork(self) -> bool:
        """Whether there is a zygote, and nothing is known that speaks against a fork."""
        return self._supply.ready.is_set() and math.isinf(self._ailment.ends_at(trio.current_time()))

    def statistics(self) -> ExecutorStatistics:
        """Return a snapshot."""
        current = self._supply.current
        zygote = None if current is None else current.statistics()
        return ExecutorStatistics(
            running=self._running,
            idle_workers=len(self._warm) + len(self._kept),
            started=self._started,
            worker_deaths=self._deaths,
            waiting=self._waiting,
            trouble=self._ailment.now(zygote, trio.current_time()),
            zygote=zygote,
        )

    async def run(self, job: Job, on_event: OnEvent) -> Completed | Failed | WorkerDied:
        """Run one task in a worker; see `Executor.run`.

        Raises:
            trio.ClosedResourceError: the executor has been closed.
        """
        self._running += 1
        self._started += 1
        try:
            return await self._run(job, on_event)
        finally:
            self._running -= 1

    async def _run(self, job: Job, on_event: OnEvent) -> Completed | Failed | WorkerDied:
        retried = False
        workflow = self._kept.workflow(job)
        while True:
            self._waiting += 1
            try:
                worker = await self._acquire(workflow)
            finally:
                self._waiting -= 1
            term = self._kept.term(workflow)
            reply = Reply(max_result=self._config.max_payload, nonce=term.nonce if term else b"")
            outcome = await self._run_on(worker, reply, job, on_event, term)
            if worker.served and not reply.started:
                workflow = None  # it was dead, or something an earlier task left spoke for it
                continue
            if not isinstance(outcome, WorkerDied):
                return outcome
            if reply.started or (retried and worker.exit_code is not None):
                self._deaths += 1
                return outcome
            # It was gone before it had read its settings: none of the code has run, another may try. Once
            # only if it died by itself: reading the settings may have killed it.
            retried = retried or worker.exit_code is not None

    async def _run_on(
        self, worker: Worker, reply: Reply, job: Job, on_event: OnEvent, term: Term | None
    ) -> Completed | Failed | WorkerDied:
        def deliver(event: ExecutorEvent | Approved) -> None:
            if isinstance(event, Approved):
                self._approvals.note(event, worker, self._supply.current)
            else:
                on_event(event)

        stays, last = False, term is None and self._running > 1  # else its end waits for the result
        try:
            before = term.keep if term else b""
            await converse(worker.channel, job.settings.data, reply, deliver, before=before, last=last)
            if reply.outcome is None:
                hung_up = await wait_for_end(worker)
                return describe_death(worker, hung_up=hung_up, limits=self._config.sandbox.limits)
            stays = term is not None and self._kept.may_stay(worker, term, reply.outcome)
        except BaseException:
            worker.kill()
            with trio.CancelScope(shield=True):
                # Bounded: a zygote that does not answer is killed, and its workers end.
                await worker.ended.wait()
            read_rest(worker.channel, reply, deliver)
            raise
        finally:
            if reply.started:
                self._backoff.reset()
            if not stays:
                worker.release()
        if not worker.ended.is_set():
            self._leaving.add(worker)  # its slot is free when nothing of it is left
        if term is None:
            worker.retire()
        elif stays:
            self._kept.stay(worker, term, reply.rest)
        else:
            worker.kill()  # by itself, it would stay
        return reply.outcome

    async def reconfigure(self, config: ProcessExecutorConfig, *, afresh: bool = False) -> None:
        """Have later tasks run by another configuration; see `ProcessExecutor.reconfigure`.

        Raises:
            ConfigError: workers cannot be started with it; everything stays as it is.
            trio.ClosedResourceError: the executor has been closed.
        """
        if afresh or _for_zygotes(config) != _for_zygotes(self._config):
            await self._supply.renew(config)
        else:
            await trio.lowlevel.checkpoint()
        self._config = config
        self._kept.end_all(config)
        self._warm.resize(config.warm_workers)
        self._room_may_have_come()

    async def reload(self) -> None:
        """Have later tasks run in processes that have loaded everything afresh; see `Executor.reload`.

        Raises:
            ConfigError: the interpreter cannot be started any more; everything stays as it is.
            trio.ClosedResourceError: the executor has been closed.
        """
        await self._supply.renew()

    # --- workers ---

    async def _acquire(self, workflow: Workflow | None) -> Worker:
        """Return a worker that has not been given a task, or none but of this workflow."""
        await trio.lowlevel.checkpoint_if_cancelled()  # whoever gets a worker waits for its reply in any case
        while self._leaving and self._running + len(self._leaving) > self._config.workers:
            # What the last task of this slot left behind is being killed: this one is not to see it.
            for leaving in self._leaving:
                leaving.hang_up()
            await self._left.wait()
        while True:
            if self._closed:
                raise trio.ClosedResourceError("this executor has been closed")
            if workflow is not None and (worker := self._kept.take(workflow)) is not None:
                return worker
            if (worker := self._warm.take()) is not None:
                return worker
            await self._wait_until_forking()

    def _fork(self, count: int) -> list[Worker]:
        """Ask for new workers, unless there is no zygote to ask, or the last forks failed just now."""
        zygote = self._supply.current
        if zygote is None or not zygote.alive or trio.current_time() < self._not_before:
            return []
        try:
            return zygote.fork(count)
        except OSError as exc:
            self._pause(f"a worker cannot be made: {exc.strerror or exc}")
            return []

    async def _wait_until_forking(self) -> None:
        await self._supply.ready.wait()
        await trio.sleep_until(self._not_before)

    def _on_left(self, worker: Worker) -> None:
        """Take note that nothing of a worker's task is left."""
        self._leaving.discard(worker)
        self._room_may_have_come()

    def on_worker_ended(self, worker: Worker) -> None:
        """Take note of a worker's end: nothing to do for one that had a task."""
        idle = self._warm.remove(worker)
        self._on_left(worker)
        zygote = self._supply.current
        if (idle or worker.exit_code is None) and zygote is not None and zygote.alive:
            death = describe_death(worker, hung_up=False)
            self._pause(f"a worker ended without having had a task: {death.description}")
        elif worker.epitaph and worker.exit_code is not None:
            self._observer.observe(ExecutorTrouble(f"a worker did not end as it should: {worker.epitaph}"))
        self._observer.observe(WorkerGone(worker.start_seconds, worker.peak_memory, had_task=not idle))
        if idle:
            worker.release()

    def _room_may_have_come(self) -> None:
        self._left.set()
        self._left = trio.Event()

    def _pause(self, why: str) -> None:
        self._not_before = trio.current_time() + self._backoff.next_delay()
        self._ailment.note(why, self._not_before)
        self._warm.refill()
        self._observer.observe(ExecutorTrouble(why))
        self._ring()

    def _ring(self) -> None:
        self._news.set()
        self._news = trio.Event()

    def _on_arrival(self, _zygote: Zygote) -> None:
        """Have a new zygote fork the workers that wait for a task.

        It makes its programs anew: it may be of another version of Python, or of this package.
        """
        self._approvals.clear()
        self._kept.end_all()
        self._warm.replace_all()
        self._ring()

    # --- from the opening to the end ---

    async def supervise(self, zygote: Zygote) -> None:
        """Keep zygotes and warm workers. Ends by cancellation, with nothing left of them."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._warm.keep)
            nursery.start_soon(self._kept.serve)
            nursery.start_soon(self._supply.supervise, zygote)

    async def start_zygote(self) -> Zygote:
        """Start the first zygote, to be supervised, and tell of the walls that it lacks."""
        zygote = await self._supply.start()
        if missing := worth_telling(zygote.missing):
            names = tuple(name for name, _ in missing)
            self._observer.observe(WallsMissing(names, describe_missing(missing)))
        return zygote

    def close(self) -> None:
        """Refuse further tasks."""
        self._closed = True
        self._supply.close()  # whoever waits for a zygote learns that there will be none


def _for_zygotes(config: ProcessExecutorConfig) -> ProcessExecutorConfig:
    """Return a configuration without what concerns the pool alone."""
    return attrs.evolve(config, workers=1, warm=None, max_payload=1, reuse=0)
