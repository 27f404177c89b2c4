"""Pings: they find out that a silent peer is gone, and how long one that is there takes to answer."""

from __future__ import annotations

import os

import trio

from . import frames
from .conduit import Conduit

__all__ = ["Heartbeat"]

_LATE = 1.0
"""Seconds a timer may be late before its verdict is not trusted: the loop, not the peer, was asleep."""
_FIRST = 1.0
"""Seconds until a client's first ping: the first messages go first, and the round trip is known soon."""
_PAYLOAD = 8
"""Random bytes in a ping, by which its answer is known."""


class Heartbeat:
    """Pings the peer of one connection.

    Args:
        conduit: where pings go and bytes are heard.
        client: this end called.

    Attributes:
        round_trip: seconds that the peer took to answer the last ping. Known to a client only: what a server
            sends is not masked, so that its answer can be told in advance.
    """

    def __init__(self, conduit: Conduit, *, client: bool) -> None:
        self.round_trip: float | None = None
        self._conduit = conduit
        self._client = client
        self._asked = 0.0

    async def run(self, period: float) -> None:
        """Ping every `period` seconds; return when not one byte came until the next ping was due."""
        await trio.sleep(min(_FIRST, period) if self._client else period)
        while True:
            asked = self._asked = trio.current_time()
            self._ping()
            await trio.sleep_until(asked + period)
            late = trio.current_time() - (asked + period)
            if self._conduit.last_heard < asked and late < _LATE:
                return

    def _ping(self) -> None:
        payload = os.urandom(_PAYLOAD)
        self._conduit.put(frames.frame(frames.PING, payload, masked=self._client))
        if self._client:
            self._conduit.watch_for(frames.frame(frames.PONG, payload, masked=False), self._answered)

    def _answered(self) -> None:
        self.round_trip = trio.current_time() - self._asked
