"""What a broker remembers of the events that pass by, for its snapshots."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs
import trio

from ..scheduling import observer as events
from ..scheduling.matching.statistics import BrokerStatistics
from ..scheduling.observer import Event, Observer
from ..scheduling.rates import RateMeter
from ..scheduling.trouble import TroubleLog

__all__ = ["Records"]

# Why a request may end that is nobody's trouble but the requester's own.
_THEIR_OWN_WISH = frozenset({"cancelled", "requester-left", "draining"})
# Ends of tasks that are the operator's matter.
_TROUBLES = frozenset({"runner-lost", "timeout", "no-settings"})


class Records:
    """An observer between a broker and its observer.

    Args:
        observer: who is told every event afterwards.
    """

    def __init__(self, observer: Observer) -> None:
        self._observer = observer
        self._troubles = TroubleLog()
        self._rates = RateMeter(trio.current_time())
        self._notes: dict[type, Callable[[Any], None]] = {
            events.RequestGivenUp: self._given_up,
            events.PeerLeft: self._left,
            events.PeerRefused: self._refused,
            events.BrokerTaskEnded: self._ended,
        }

    def observe(self, event: Event) -> None:
        """Take note of an event and pass it on."""
        note = self._notes.get(type(event))
        if note is not None:
            note(event)
        self._observer.observe(event)

    def complete(self, statistics: BrokerStatistics) -> BrokerStatistics:
        """Add to a snapshot what is remembered here: rates, and what went wrong of late."""
        now = trio.current_time()
        return attrs.evolve(statistics, rates=self._rates.rates(now), troubles=self._troubles.recent(now))

    def _given_up(self, event: events.RequestGivenUp) -> None:
        if event.reason not in _THEIR_OWN_WISH:
            self._note("request", event.task_type, f"a request was given up: {event.reason}")

    def _left(self, event: events.PeerLeft) -> None:
        if event.role == "runner" and event.tasks_failed:
            self._note("runner", event.peer_id, f"gone with {event.tasks_failed} tasks: {event.why}")

    def _refused(self, event: events.PeerRefused) -> None:
        self._note("refused", event.address, event.why)

    def _ended(self, event: events.BrokerTaskEnded) -> None:
        self._rates.note(trio.current_time())
        if event.outcome in _TROUBLES:
            self._note("task", event.task_type, f"a task ended: {event.outcome}")

    def _note(self, source: str, subject: str, message: str) -> None:
        self._troubles.note(source, subject, message, trio.current_time())
