"""What the runner asks of anything that runs tasks.

There are two implementations: processes for code that nobody trusts (`trio_runner.executor.pool`) and
handlers for functions that the embedding application registers (`trio_runner.executor.handlers`). Both
pass one contract suite.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import attrs

from ..protocol.raw_json import RawJson
from ..protocol.trace_context import valid_traceparent
from ..scheduling.outcome import Completed, Failed, WorkerDied

__all__ = [
    "Executor",
    "ExecutorEvent",
    "ExecutorStatistics",
    "Job",
    "OnEvent",
    "Printed",
    "Started",
    "ZygoteStatistics",
]


@attrs.frozen
class Job:
    """One task as the executor sees it.

    Attributes:
        task_id: the broker's id, for logs only.
        task_type: one of the executor's `task_types`.
        settings: the task's settings, still JSON: only the worker reads them.
    """

    task_id: str
    task_type: str
    settings: RawJson


@attrs.frozen
class Started:
    """The worker has read the settings; analysis and the person's code come next.

    Attributes:
        continue_on_fail: a later failure is to become a result.
        workflow_id, workflow_name, node_id, node_name: whose task it is, ``Unknown`` when not told.
        traceparent: the trace that it belongs to (W3C Trace Context); what is none becomes empty.
    """

    continue_on_fail: bool = False
    workflow_id: str = "Unknown"
    workflow_name: str = "Unknown"
    node_id: str = "Unknown"
    node_name: str = "Unknown"
    traceparent: str = attrs.field(default="", converter=valid_traceparent)


@attrs.frozen
class Printed:
    """One ``print()`` of the person's code.

    Attributes:
        params: JSON list of strings, the formatted arguments: the params of ``logNodeOutput``.
        text: the same as one line of plain text, for the runner's own log.
    """

    params: RawJson
    text: str


ExecutorEvent = Started | Printed
OnEvent = Callable[[ExecutorEvent], None]


@attrs.frozen
class ZygoteStatistics:
    """A snapshot of the process that forks the workers.

    Attributes:
        pid: its process id.
        age: seconds since it was started.
        workers: its workers that have not ended, those that are being forked included.
        walls: names of the walls between the workers and this machine.
        unanswered_for: seconds for which it has left a request unanswered; 0 without an open one.
    """

    pid: int
    age: float
    workers: int
    walls: tuple[str, ...]
    unanswered_for: float = 0.0


@attrs.frozen
class ExecutorStatistics:
    """A snapshot of an executor. One that has no processes leaves what is about them at its default.

    Attributes:
        running: tasks being run now.
        idle_workers: processes that wait for a task.
        started: tasks begun since the executor was opened.
        worker_deaths: workers that ended on their own without a result.
        waiting: tasks that wait for a process.
        trouble: why workers cannot be started just now, one line; empty while they can.
        zygote: the process that forks the workers, if there is one now.
    """

    running: int = 0
    idle_workers: int = 0
    started: int = 0
    worker_deaths: int = 0
    waiting: int = 0
    trouble: str = ""
    zygote: ZygoteStatistics | None = None


class Executor(Protocol):
    """Runs tasks of some types, each isolated as far as the implementation promises."""

    @property
    def task_types(self) -> tuple[str, ...]:
        """The task types this executor runs."""
        ...

    async def run(self, job: Job, on_event: OnEvent) -> Completed | Failed | WorkerDied:
        """Run one task to its end.

        Args:
            job: the task.
            on_event: called synchronously, in order, from the task that called `run`: at most one `Started`,
                then any `Printed`. It must not block. It is never called after `run` has ended.

        Returns:
            How the task ended on its own account. What the person's code does is never an exception here.

        Cancellation:
            Cancelling stops the work: when `Cancelled` leaves this function, no process of the task is left,
            and everything it had printed has been handed to `on_event`.
        """
        ...

    async def reload(self) -> None:
        """Have later tasks use what is on disk now: new versions of packages. Running tasks are not touched.

        Raises:
            ConfigError: that is impossible; everything stays as it is.
        """
        ...

    def available(self, task_type: str) -> bool:
        """Whether a task of this type that came now would be begun. Slots are offered while that is so."""
        ...

    async def wait_available(self) -> None:
        """Wait until a task type may be available again that was not; it may return without a reason too."""
        ...

    def statistics(self) -> ExecutorStatistics:
        """Return a snapshot."""
        ...
