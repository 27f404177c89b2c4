"""What happens in a runner or a broker, told as values to whoever wants to know.

The core never logs and never counts: it hands events to one observer. The daemon's observer writes log
lines and metrics; an embedding application brings its own or none. Events hold no payloads and no tokens.
"""

from __future__ import annotations

from typing import Protocol

from .broker_events import (
    BrokerTaskEnded,
    MatchDeclined,
    PeerJoined,
    PeerLeft,
    PeerRefused,
    RequestAccepted,
    RequestEnqueued,
    RequestGivenUp,
    RequestMatched,
)
from .runner_events import (
    AcceptRejected,
    ExecutorTrouble,
    LinkDown,
    LinkUp,
    MessageIgnored,
    OfferSent,
    Registered,
    RunnerDraining,
    RunnerIdle,
    RunnerSpent,
    Stalled,
    TaskAcceptedEvent,
    TaskEnded,
    TaskPrinted,
    TaskStarted,
    WallsMissing,
    WorkerGone,
)

__all__ = [
    "AcceptRejected",
    "BrokerTaskEnded",
    "Event",
    "ExecutorTrouble",
    "LinkDown",
    "LinkUp",
    "MatchDeclined",
    "MessageIgnored",
    "NullObserver",
    "Observer",
    "OfferSent",
    "PeerJoined",
    "PeerLeft",
    "PeerRefused",
    "Registered",
    "RequestAccepted",
    "RequestEnqueued",
    "RequestGivenUp",
    "RequestMatched",
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
    | RunnerSpent
    | Stalled
    | ExecutorTrouble
    | WallsMissing
    | WorkerGone
    | PeerJoined
    | PeerLeft
    | PeerRefused
    | RequestEnqueued
    | RequestMatched
    | RequestAccepted
    | MatchDeclined
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
