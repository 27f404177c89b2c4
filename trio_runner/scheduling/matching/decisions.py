"""What the broker's core decides, as values for the trio code around it to carry out in order.

A connection is named by a number that is never used again. So a decision can only ever be about one
connection, also when a peer comes back under the same id.
"""

from __future__ import annotations

import attrs

from ...protocol.messages import BrokerToRequester, BrokerToRunner
from ..observer import Event

__all__ = ["Decision", "Drop", "Ignored", "Observe", "Outbox", "Send"]


@attrs.frozen
class Send:
    """Send a message to a peer."""

    connection: int
    message: BrokerToRunner | BrokerToRequester


@attrs.frozen
class Drop:
    """Close a connection. Nothing is decided about it any more.

    Attributes:
        connection: which one.
        code: WebSocket close code.
        reason: for the peer and for logs, at most 123 bytes.
    """

    connection: int
    code: int
    reason: str


@attrs.frozen
class Ignored:
    """A message of a peer was ignored. `why` is one of a few fixed texts, so that each is told once."""

    connection: int
    why: str
    late: bool = False


@attrs.frozen
class Observe:
    """Tell the observer."""

    event: Event


Decision = Send | Drop | Ignored | Observe


class Outbox:
    """Collects the decisions of one step, in order."""

    def __init__(self) -> None:
        self._decisions: list[Decision] = []

    def send(self, connection: int, message: BrokerToRunner | BrokerToRequester) -> None:
        """Decide to send a message."""
        self._decisions.append(Send(connection, message))

    def drop(self, connection: int, code: int, reason: str) -> None:
        """Decide to close a connection."""
        self._decisions.append(Drop(connection, code, reason))

    def ignore(self, connection: int, why: str, *, late: bool = False) -> None:
        """Take note that a message was ignored; `late`: it may have crossed the end of its task."""
        self._decisions.append(Ignored(connection, why, late))

    def observe(self, event: Event) -> None:
        """Decide to tell the observer."""
        self._decisions.append(Observe(event))

    def take(self) -> tuple[Decision, ...]:
        """Return what was decided since the last call."""
        decisions = tuple(self._decisions)
        self._decisions.clear()
        return decisions
