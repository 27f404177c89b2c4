"""The queue of what a link still has to write: two lanes, order kept within each. No I/O."""

from __future__ import annotations

import math
from collections import deque

import attrs

from .link import BULK_MESSAGES

__all__ = ["Outbox", "Outgoing"]

_SMALL = 4 * 1024
"""Bytes up to which a payload keeps its place among short answers: it holds them up no more than they do."""


@attrs.frozen
class Outgoing:
    """One encoded message that waits to be written. `number` counts the messages of a link from 0."""

    number: int
    payload: bytes


class Outbox:
    """What was queued and is not written yet.

    A message stays counted from `put` until `written`: `take` only decides that it is next.
    """

    def __init__(self) -> None:
        self._urgent: deque[Outgoing] = deque()
        self._bulk: deque[Outgoing] = deque()
        self._taken: deque[Outgoing] = deque()
        self._put = 0
        self._bytes = 0

    @property
    def messages(self) -> int:
        """Messages not written yet."""
        return len(self._urgent) + len(self._bulk) + len(self._taken)

    @property
    def size(self) -> int:
        """Payload bytes of the messages not written yet."""
        return self._bytes

    @property
    def count(self) -> int:
        """Messages ever put, which is the number the next one gets."""
        return self._put

    def put(self, message: object, payload: bytes) -> None:
        """Queue a message, encoded as `payload`, in the lane of its class.

        One with a small payload goes with the short answers, unless it would overtake another payload.
        """
        outgoing = Outgoing(self._put, payload)
        self._put += 1
        self._bytes += len(payload)
        waits = isinstance(message, BULK_MESSAGES) and (self._bulk or len(payload) > _SMALL)
        (self._bulk if waits else self._urgent).append(outgoing)

    def take(self) -> Outgoing | None:
        """Return the message to write next, None if all are taken."""
        lane = self._urgent or self._bulk
        if not lane:
            return None
        outgoing = lane.popleft()
        self._taken.append(outgoing)
        return outgoing

    def written(self) -> Outgoing:
        """Take note that the message taken first is written; return it."""
        outgoing = self._taken.popleft()
        self._bytes -= len(outgoing.payload)
        return outgoing

    def oldest(self) -> float:
        """Return the number of the oldest message not written yet; infinity if there is none."""
        lanes = (self._urgent, self._bulk, self._taken)
        return min((lane[0].number for lane in lanes if lane), default=math.inf)

    def discard(self) -> None:
        """Forget every message that is not taken: nothing more of them will be written."""
        self._urgent.clear()
        self._bulk.clear()
        self._bytes = sum(len(outgoing.payload) for outgoing in self._taken)

    def clear(self) -> None:
        """Forget every message, the taken ones too: the connection is gone."""
        self._taken.clear()
        self.discard()
