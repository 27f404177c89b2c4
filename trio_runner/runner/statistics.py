"""Snapshots of a runner, for health checks, metrics and whoever embeds it.

They are plain values that JSON can hold as they are. Times are seconds before the snapshot, since the clock
behind them means nothing to anybody else.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping

import attrs

from ..executor.contract import ExecutorStatistics
from ..scheduling.ledger import LedgerStatistics
from ..scheduling.rates import Rates
from ..scheduling.trouble import Trouble
from ..transport.link import LinkStatistics

__all__ = [
    "BrokerStanding",
    "BrokerState",
    "ConnectionStatistics",
    "HeldTask",
    "Readiness",
    "RunnerPhase",
    "RunnerStatistics",
]


class RunnerPhase(enum.Enum):
    """Where a runner is in its life; it only ever moves forward."""

    NEW = "new"
    SERVING = "serving"
    DRAINING = "draining"
    ENDED = "ended"


class BrokerState(enum.Enum):
    """How a runner stands with one of its brokers."""

    CONNECTING = "connecting"
    """No connection: one is being made, or will be after a pause."""
    CONNECTED = "connected"
    """A connection, but the broker has not registered the runner yet."""
    REGISTERED = "registered"
    """Offers flow."""
    DRAINING = "draining"
    """Connected, but no offers any more: the broker asked for it, or the runner is shutting down."""


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


@attrs.frozen(kw_only=True)
class BrokerStanding:
    """A snapshot of how the runner stands with one broker, connected or not.

    Attributes:
        broker: base URI of the broker.
        state: see `BrokerState`.
        session_age: seconds since the connection was made; None without one.
        connections: connections made since the start.
        failures: connections that were lost or could not be made since the start.
        last_error: why the last one was lost or could not be made; empty if that never happened.
        last_error_age: seconds since then.
        retry_in: seconds until the next attempt; None if none is waited for.
        open_offers: offers that this broker may take now.
        held: slots taken by its tasks.
        round_trip: seconds that it took to answer the last ping; None: not known.
        silent_for: seconds since anything came from it; None without a connection.
        stuck_for: seconds for which something has been waiting to be written to it while nothing could be.
    """

    broker: str
    state: BrokerState
    session_age: float | None = None
    connections: int = 0
    failures: int = 0
    last_error: str = ""
    last_error_age: float | None = None
    retry_in: float | None = None
    open_offers: int = 0
    held: int = 0
    round_trip: float | None = None
    silent_for: float | None = None
    stuck_for: float = 0.0


@attrs.frozen(kw_only=True)
class HeldTask:
    """A snapshot of a task that holds a slot.

    Attributes:
        task_id: the broker's id of it.
        broker: base URI of its broker.
        task_type: the type of the offer that was accepted.
        phase: ``awaiting-settings``, ``starting`` (no worker has read them yet), ``running`` or ``ending``.
        age: seconds since it was accepted.
        running_for: seconds since a worker read its settings; None before that.
        workflow_id, workflow_name, node_id, node_name: whose task it is, empty when not known.
    """

    task_id: str
    broker: str
    task_type: str
    phase: str
    age: float
    running_for: float | None = None
    workflow_id: str = ""
    workflow_name: str = ""
    node_id: str = ""
    node_name: str = ""


@attrs.frozen
class Readiness:
    """Whether a task could come now.

    Attributes:
        ready: it could.
        state: a short, stable word: ``offering`` or ``full``; or, if it could not, ``starting``,
            ``draining``, ``ended``, ``no-workers``, ``no-broker``, ``broker-draining``, ``stuck`` or
            ``not-offering``.
        reason: the same for a person, one line.
    """

    ready: bool
    state: str
    reason: str


@attrs.frozen(kw_only=True)
class RunnerStatistics:
    """A snapshot of a runner.

    Attributes:
        runner_id: its id.
        name: what it calls itself.
        task_types: what it runs.
        phase: where it is in its life.
        uptime: seconds since it began to run; 0 before that.
        readiness: whether a task could come now.
        ledger: slots, offers, accepts and rejections.
        brokers: how it stands with each broker, in the order of the configuration.
        tasks: the tasks that hold a slot, the oldest first.
        sessions: the connections that are open now.
        executor: what runs the tasks.
        outcomes: how many tasks ended in which way, by the names of `TaskEnded.outcome`.
        rates: tasks ended per second.
        troubles: what went wrong of late, the newest first.
    """

    runner_id: str
    name: str
    task_types: tuple[str, ...]
    phase: RunnerPhase
    uptime: float
    readiness: Readiness
    ledger: LedgerStatistics
    brokers: tuple[BrokerStanding, ...]
    tasks: tuple[HeldTask, ...]
    sessions: tuple[ConnectionStatistics, ...]
    executor: ExecutorStatistics
    outcomes: Mapping[str, int]
    rates: Rates
    troubles: tuple[Trouble, ...]

    @property
    def ready(self) -> bool:
        """Whether a task could come now."""
        return self.readiness.ready
