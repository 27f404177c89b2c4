"""What happens in a runner, as values. They hold no payloads and no tokens."""

from __future__ import annotations

import attrs

__all__ = [
    "AcceptRejected",
    "ExecutorTrouble",
    "LinkDown",
    "LinkUp",
    "MessageIgnored",
    "OfferSent",
    "Registered",
    "RunnerDraining",
    "RunnerIdle",
    "RunnerSpent",
    "Stalled",
    "TaskAcceptedEvent",
    "TaskEnded",
    "TaskPrinted",
    "TaskStarted",
    "WallsMissing",
    "WorkerGone",
]


@attrs.frozen
class LinkUp:
    """A connection to a broker was made."""

    broker: str


@attrs.frozen
class Registered:
    """A broker has registered the runner: offers flow from now on."""

    broker: str


@attrs.frozen
class LinkDown:
    """A connection to a broker could not be made or has ended.

    Attributes:
        broker: which broker.
        error: what went wrong, one line.
        retry_in: seconds until the next attempt; None: there will be none.
        tasks_stopped: tasks of this broker that were stopped because nobody waits for them any more.
    """

    broker: str
    error: str
    retry_in: float | None
    tasks_stopped: int = 0


@attrs.frozen
class OfferSent:
    """A free slot was offered."""

    broker: str
    offer_id: str
    task_type: str


@attrs.frozen
class TaskAcceptedEvent:
    """A broker took an offer and the runner took the task: a slot is held."""

    broker: str
    task_id: str
    task_type: str


@attrs.frozen
class AcceptRejected:
    """A broker took an offer but the runner could not honour it; the broker offers the task elsewhere."""

    broker: str
    task_id: str
    reason: str


@attrs.frozen
class TaskStarted:
    """The worker has read the settings; the person's code runs.

    Attributes:
        traceparent: the trace that the task belongs to (W3C Trace Context); empty: none.
    """

    broker: str
    task_id: str
    workflow_id: str
    workflow_name: str
    node_id: str
    node_name: str
    traceparent: str = ""


@attrs.frozen
class TaskPrinted:
    """The person's code called ``print()``."""

    broker: str
    task_id: str
    text: str


@attrs.frozen
class TaskEnded:
    """A task has ended and its slot is free.

    Attributes:
        outcome: ``completed``, ``user-code``, ``policy``, ``settings``, ``result``, ``timeout``,
            ``cancelled``, ``shutdown``, ``worker-died``, ``link-lost`` or ``no-settings``.
        message: the error message, empty for a completed task.
        seconds: from accept to end.
        result_size: bytes of the result, 0 without one.
        task_type: the type of the offer that was accepted.
        settings_after: seconds from accept to the arrival of its settings; None: they never came.
        started_after: seconds from accept until a worker had read the settings; None: none ever did.
        cause: for ``worker-died``, what ended the process: a limit (``memory``, ``cpu``), ``exit`` or a
            signal such as ``SIGKILL``; else empty.
    """

    broker: str
    task_id: str
    outcome: str
    message: str
    seconds: float
    result_size: int
    task_type: str = ""
    settings_after: float | None = None
    started_after: float | None = None
    cause: str = ""


@attrs.frozen
class MessageIgnored:
    """A peer sent something that has no effect; it was ignored. Told once per peer and kind.

    Attributes:
        peer: who.
        why: what was wrong with it.
        late: it was right when it was sent, and crossed the end of its task on the way: nobody's fault.
    """

    peer: str
    why: str
    late: bool = False


@attrs.frozen
class RunnerDraining:
    """The runner stops offering. `broker` is the broker that asked for it, empty at shutdown."""

    broker: str
    running_tasks: int


@attrs.frozen
class RunnerSpent:
    """The runner has done what it was started for and is about to end. `why` says what that was."""

    why: str


@attrs.frozen
class RunnerIdle:
    """No task for the idle limit: the runner is about to end."""

    seconds: float


@attrs.frozen
class Stalled:
    """The watchdog found a session that makes no progress and drops its connection."""

    broker: str
    why: str


@attrs.frozen
class ExecutorTrouble:
    """Workers could not be started or had to be replaced; tasks may wait or fail until this is mended."""

    why: str


@attrs.frozen
class WallsMissing:
    """Tasks run behind fewer walls than they should, which was permitted: this machine lacks some.

    Attributes:
        walls: their names.
        why: one line on what that means and what to do.
    """

    walls: tuple[str, ...]
    why: str


@attrs.frozen
class WorkerGone:
    """A worker process has ended, as each does after its one task.

    Attributes:
        start_seconds: from the request for it until it had been forked; None if it never was.
        peak_memory: most memory it had resident at once, bytes, what it shares with others included; None if
            the system does not tell.
        had_task: it was given a task; else it was forked ahead of need and never used.
    """

    start_seconds: float | None
    peak_memory: int | None
    had_task: bool
