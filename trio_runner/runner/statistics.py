"""Snapshots of a runner, for health checks, metrics and whoever embeds it."""

from __future__ import annotations

import enum
from collections.abc import Mapping

import attrs

from ..executor.contract import ExecutorStatistics
from ..scheduling.ledger import LedgerStatistics
from ..transport.link import LinkStatistics

__all__ = ["ConnectionStatistics", "RunnerPhase", "RunnerStatistics"]


class RunnerPhase(enum.Enum):
    """Where a runner is in its life; it only ever moves forward."""

    NEW = "new"
    SERVING = "serving"
    DRAINING = "draining"
    ENDED = "ended"


@attrs.frozen
class ConnectionStatistics:
    """A snapshot of one open connection to a broker.

    Attributes:
        broker: base URI of the broker.
        session: name of the session in `RunnerStatistics.ledger`.
        registered: the broker has registered the runner.
        age: seconds since the connection was made.
        running_tasks: tasks of this broker that hold a slot.
        link: the connection's own counters.
    """

    broker: str
    session: str
    registered: bool
    age: float
    running_tasks: int
    link: LinkStatistics


@attrs.frozen
class RunnerStatistics:
    """A snapshot of a runner.

    Attributes:
        phase: where the runner is in its life.
        ledger: slots, offers, accepts and rejections.
        sessions: the connections that are open now.
        executor: what runs the tasks.
        outcomes: how many tasks ended in which way, by the names of `TaskEnded.outcome`.
    """

    phase: RunnerPhase
    ledger: LedgerStatistics
    sessions: tuple[ConnectionStatistics, ...]
    executor: ExecutorStatistics
    outcomes: Mapping[str, int]

    @property
    def ready(self) -> bool:
        """Whether a task could come now: registered with a broker and not draining."""
        return self.phase is RunnerPhase.SERVING and any(session.registered for session in self.sessions)
