"""What happens in a runner or a broker, told as values to whoever wants to know.

The core never logs and never counts: it hands events to one observer. The daemon's observer writes log
lines and metrics; an embedding application brings its own or none. Events hold no payloads and no tokens.
"""

from __future__ import annotations

from typing import Protocol

import attrs

__all__ = [
    "AcceptRejected",
    "BrokerTaskEnded",
    "Event",
    "ExecutorTrouble",
    "LinkDown",
    "LinkUp",
    "MessageIgnored",
    "NullObserver",
    "Observer",
    "OfferSent",
    "PeerJoined",
    "PeerLeft",
    "PeerRefused",
    "Registered",
    "RequestEnqueued",
    "RequestGivenUp",
    "RequestMatched",
    "RunnerDraining",
    "RunnerIdle",
    "Stalled",
    "TaskAcceptedEvent",
    "TaskEnded",
    "TaskPrinted",
    "TaskStarted",
]


# --- of a runner ------------------------------------------------------------------------------------


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
    """The worker has read the settings; the person's code runs."""

    broker: str
    task_id: str
    workflow_id: str
    workflow_name: str
    node_id: str
    node_name: str


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
            ``cancelled``, ``worker-died``, ``link-lost`` or ``no-settings``.
        message: the error message, empty for a completed task.
        seconds: from accept to end.
        result_size: bytes of the result, 0 without one.
    """

    broker: str
    task_id: str
    outcome: str
    message: str
    seconds: float
    result_size: int


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


# --- of a broker ------------------------------------------------------------------------------------


@attrs.frozen
class PeerJoined:
    """A runner or requester is connected and known. `role` is ``runner`` or ``requester``."""

    role: str
    peer_id: str
    name: str
    task_types: tuple[str, ...]


@attrs.frozen
class PeerLeft:
    """A runner or requester is gone; `tasks_failed` of its tasks were failed at once."""

    role: str
    peer_id: str
    why: str
    tasks_failed: int


@attrs.frozen
class PeerRefused:
    """A connection or token request was refused."""

    address: str
    status: int
    why: str


@attrs.frozen
class RequestEnqueued:
    """A request waits: no unexpired offer of its type is open."""

    request_id: str
    task_type: str
    waiting: int


@attrs.frozen
class RequestMatched:
    """A request was matched with an offer."""

    request_id: str
    task_id: str
    task_type: str
    runner_id: str
    waited: float


@attrs.frozen
class RequestGivenUp:
    """A request ended before any runner took it.

    `reason`: ``timeout``, ``no-runner``, ``draining``, ``queue-full``, ``cancelled`` or ``requester-left``.
    """

    request_id: str
    task_type: str
    reason: str


@attrs.frozen
class BrokerTaskEnded:
    """An accepted task has ended.

    `outcome`: ``done``, ``error``, ``cancelled``, ``runner-lost``, ``no-settings`` or ``timeout``; `seconds`
    from accept to end.
    """

    task_id: str
    task_type: str
    outcome: str
    seconds: float


Event = (
    LinkUp
    | Registered
    | LinkDown
    | OfferSent
    | TaskAcceptedEvent
    | AcceptRejected
    | TaskStarted
    | TaskPrinted
    | TaskEnded
    | MessageIgnored
    | RunnerDraining
    | RunnerIdle
    | Stalled
    | ExecutorTrouble
    | PeerJoined
    | PeerLeft
    | PeerRefused
    | RequestEnqueued
    | RequestMatched
    | RequestGivenUp
    | BrokerTaskEnded
)


class Observer(Protocol):
    """Is told what happens. Called synchronously from the event loop: it must be quick and must not raise."""

    def observe(self, event: Event) -> None:
        """Take note of one event."""
        ...


class NullObserver:
    """Takes note of nothing."""

    def observe(self, event: Event) -> None:
        """Ignore the event."""
