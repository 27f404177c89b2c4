"""An observer that keeps what it is told."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import trio

from ..scheduling.observer import Event

__all__ = ["RecordingObserver"]

EventT = TypeVar("EventT", bound=Event)


class RecordingObserver:
    """An `Observer` that keeps what it is told.

    Attributes:
        events: everything so far, in order.
    """

    def __init__(self) -> None:
        self.events: list[Event] = []
        self._news = trio.lowlevel.ParkingLot()

    def observe(self, event: Event) -> None:
        """Keep the event and wake whoever waits for it."""
        self.events.append(event)
        self._news.unpark_all()

    def of(self, event_type: type[EventT]) -> list[EventT]:
        """Return the events of one type so far, in order."""
        return [event for event in self.events if isinstance(event, event_type)]

    async def wait_for(
        self,
        event_type: type[EventT],
        *,
        count: int = 1,
        where: Callable[[EventT], bool] = lambda _: True,
    ) -> EventT:
        """Wait until `count` events of a type have been told since the beginning; return the last of them.

        Args:
            event_type: one of the classes in `trio_runner.scheduling.observer`.
            count: how many of them, at least 1.
            where: counts only the events for which it is true.

        Cancellation:
            Safe: bring a timeout as a cancel scope.
        """
        await trio.lowlevel.checkpoint()
        while True:
            found = [event for event in self.of(event_type) if where(event)]
            if len(found) >= count:
                return found[count - 1]
            await self._news.park()
