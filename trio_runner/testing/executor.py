"""An executor that runs nothing: the test decides what every run prints and how it ends."""

from __future__ import annotations

from collections.abc import Callable

import trio

from ..executor.contract import ExecutorStatistics, Job, OnEvent, Printed, Started
from ..protocol.raw_json import RawJson
from ..scheduling.outcome import Completed, Failed, FailureKind, WorkerDied

__all__ = ["ScriptedExecutor", "ScriptedRun"]

Outcome = Completed | Failed | WorkerDied


class ScriptedRun:
    """One run of a `ScriptedExecutor`: the test is the worker.

    Attributes:
        job: what the executor was asked to run.
        cancelled: the run was cancelled by its caller.
        ended: set once the run is over, in whichever way.
    """

    def __init__(self, job: Job, on_event: OnEvent) -> None:
        self.job = job
        self.cancelled = False
        self.ended = trio.Event()
        self._on_event = on_event
        self._outcome: Outcome | Exception | None = None
        self._decided = trio.Event()
        self._cancel_requested = trio.Event()
        self._cleanup: trio.Event | None = None

    def start(
        self,
        *,
        continue_on_fail: bool = False,
        workflow_id: str = "Unknown",
        workflow_name: str = "Unknown",
        node_id: str = "Unknown",
        node_name: str = "Unknown",
        traceparent: str = "",
    ) -> None:
        """Report `Started`, as a worker does once it has read the settings."""
        self._on_event(Started(continue_on_fail, workflow_id, workflow_name, node_id, node_name, traceparent))

    def print(self, *words: str) -> None:
        """Report one `Printed` with these words as the formatted arguments."""
        self._on_event(Printed(RawJson.of([repr(word) for word in words]), " ".join(words)))

    def complete(self, result: object = None) -> None:
        """End the run with a result, any value that JSON can hold."""
        self.end(Completed(RawJson.of(result)))

    def fail(self, message: str, *, description: str = "", kind: FailureKind = "user-code") -> None:
        """End the run with a failure."""
        self.end(Failed(message, description, kind))

    def die(self, exit_code: int = -9, description: str = "") -> None:
        """End the run as if its process had died; a negative code is a signal."""
        self.end(WorkerDied(exit_code, description))

    def end(self, outcome: Outcome | Exception) -> None:
        """End the run with any outcome; an exception is raised out of `run`, as a broken executor would.

        Raises:
            RuntimeError: the run's end was decided before.
        """
        if self._outcome is not None:
            raise RuntimeError(f"run of {self.job.task_id} was already ended with {self._outcome!r}")
        self._outcome = outcome
        self._decided.set()

    def hold_cleanup(self) -> Callable[[], None]:
        """Make a cancelled run linger, as killing a real process takes time.

        Returns:
            A function to call when the lingering is to end.
        """
        self._cleanup = trio.Event()
        return self._cleanup.set

    async def wait_cancelled(self) -> None:
        """Wait until the caller of `run` has cancelled it."""
        await self._cancel_requested.wait()

    async def outcome(self) -> Outcome:
        """Wait until the run is ended, and return how. This is what `ScriptedExecutor.run` does."""
        try:
            await self._decided.wait()
        except trio.Cancelled:
            self.cancelled = True
            self._cancel_requested.set()
            if self._cleanup is not None:
                with trio.CancelScope(shield=True):
                    await self._cleanup.wait()
            raise
        assert self._outcome is not None
        if isinstance(self._outcome, Exception):
            raise self._outcome
        return self._outcome


class ScriptedExecutor:
    """An `Executor` whose runs are steered by the test.

    Args:
        task_types: what it claims to run.
        answer: if given, called with every job; its outcome ends the run at once, without the test's help.
            Returning None leaves that run to the test.

    Attributes:
        runs: every run so far, in the order they began.
        reloads: how often it was asked to reload.
    """

    def __init__(
        self,
        task_types: tuple[str, ...] = ("python",),
        *,
        answer: Callable[[Job], Outcome | None] | None = None,
    ) -> None:
        self.runs: list[ScriptedRun] = []
        self.reloads = 0
        self._task_types = task_types
        self._answer = answer
        self._handed_out = 0
        self._begun = trio.lowlevel.ParkingLot()
        self._worker_deaths = 0
        self._unavailable: frozenset[str] = frozenset()
        self._availability = trio.lowlevel.ParkingLot()

    @property
    def task_types(self) -> tuple[str, ...]:
        """The task types this executor claims to run."""
        return self._task_types

    @property
    def running(self) -> tuple[ScriptedRun, ...]:
        """The runs that are not over."""
        return tuple(run for run in self.runs if not run.ended.is_set())

    async def reload(self) -> None:
        """Count it. See `Executor.reload`."""
        self.reloads += 1
        await trio.lowlevel.checkpoint()

    async def run(self, job: Job, on_event: OnEvent) -> Outcome:
        """Begin a run and wait until the test ends it. See `Executor.run`."""
        run = ScriptedRun(job, on_event)
        self.runs.append(run)
        self._begun.unpark_all()
        outcome = self._answer(job) if self._answer is not None else None
        if outcome is not None:
            run.start()
            run.end(outcome)
        try:
            ended = await run.outcome()
        finally:
            run.ended.set()
        self._worker_deaths += isinstance(ended, WorkerDied)
        return ended

    async def next_run(self) -> ScriptedRun:
        """Wait for the next run to begin; each is returned once, in order."""
        await trio.lowlevel.checkpoint()
        while self._handed_out >= len(self.runs):
            await self._begun.park()
        self._handed_out += 1
        return self.runs[self._handed_out - 1]

    def make_unavailable(self, *task_types: str) -> None:
        """Be able to run all task types but these from now on."""
        self._unavailable = frozenset(task_types)
        self._availability.unpark_all()

    def available(self, task_type: str) -> bool:
        """Whether the test has not made it unavailable. See `Executor.available`."""
        return task_type in self._task_types and task_type not in self._unavailable

    async def wait_available(self) -> None:
        """Wait until the test changes that. See `Executor.wait_available`."""
        await self._availability.park()

    def statistics(self) -> ExecutorStatistics:
        """Return a snapshot."""
        return ExecutorStatistics(
            running=len(self.running), started=len(self.runs), worker_deaths=self._worker_deaths
        )
