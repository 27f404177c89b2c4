"""What a runner remembers of the events that pass by, for its snapshots.

Theory of operation. Every event of a runner passes through here on its way to the observer. Most are of no
interest and cost one look-up. Those that are change a few numbers: how each broker was reached, how many
tasks ended of late, and what went wrong.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import attrs
import trio

from ..scheduling import observer as events
from ..scheduling.observer import Event, Observer
from ..scheduling.rates import RateMeter, Rates
from ..scheduling.trouble import Trouble, TroubleLog
from .statistics import BrokerStanding, BrokerState

__all__ = ["Records"]

# Ends of tasks that are the operator's matter; the others are their authors'.
_TROUBLES = frozenset({"timeout", "worker-died", "no-settings", "runner"})


@attrs.define
class _Broker:
    connections: int = 0
    failures: int = 0
    last_error: str = ""
    last_error_at: float = -math.inf
    retry_at: float = -math.inf


class Records:
    """An observer between a runner and its observer.

    Args:
        observer: who is told every event afterwards.
    """

    def __init__(self, observer: Observer) -> None:
        self._observer = observer
        self._brokers: dict[str, _Broker] = {}
        self._troubles = TroubleLog()
        self._rates: RateMeter | None = None
        self._notes: dict[type, Callable[[Any], None]] = {
            events.LinkUp: self._link_up,
            events.LinkDown: self._link_down,
            events.Stalled: self._stalled,
            events.ExecutorTrouble: self._executor_trouble,
            events.TaskEnded: self._task_ended,
        }

    def observe(self, event: Event) -> None:
        """Take note of an event and pass it on."""
        note = self._notes.get(type(event))
        if note is not None:
            note(event)
        self._observer.observe(event)

    def begin(self) -> None:
        """Take note that the runner begins to run."""
        self._rates = RateMeter(trio.current_time())

    # --- what is remembered -------------------------------------------------------------------------

    def standing(self, broker: str, now: float) -> BrokerStanding:
        """Return how a broker stands that there is no connection to."""
        record = self._brokers.get(broker) or _Broker()
        return BrokerStanding(
            broker=broker,
            state=BrokerState.CONNECTING,
            connections=record.connections,
            failures=record.failures,
            last_error=record.last_error,
            last_error_age=now - record.last_error_at if record.failures else None,
            retry_in=record.retry_at - now if record.retry_at > now else None,
        )

    def rates(self, now: float) -> Rates:
        """Return how many tasks ended per second."""
        return Rates() if self._rates is None else self._rates.rates(now)

    def troubles(self, now: float) -> tuple[Trouble, ...]:
        """Return what went wrong of late, the newest first."""
        return self._troubles.recent(now)

    # --- events -------------------------------------------------------------------------------------

    def _link_up(self, event: events.LinkUp) -> None:
        self._brokers.setdefault(event.broker, _Broker()).connections += 1

    def _link_down(self, event: events.LinkDown) -> None:
        now = trio.current_time()
        record = self._brokers.setdefault(event.broker, _Broker())
        record.failures += 1
        record.last_error, record.last_error_at = event.error, now
        record.retry_at = -math.inf if event.retry_in is None else now + event.retry_in
        self._troubles.note("broker", event.broker, event.error, now)

    def _stalled(self, event: events.Stalled) -> None:
        self._troubles.note("broker", event.broker, f"no progress: {event.why}", trio.current_time())

    def _executor_trouble(self, event: events.ExecutorTrouble) -> None:
        self._troubles.note("workers", "", event.why, trio.current_time())

    def _task_ended(self, event: events.TaskEnded) -> None:
        now = trio.current_time()
        if self._rates is not None:
            self._rates.note(now)
        if event.outcome in _TROUBLES:
            self._troubles.note("task", event.outcome, event.message, now)
