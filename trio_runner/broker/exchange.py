"""The exchange: carries out what the matchmaker decides, over the links of the peers.

Theory of operation. Every event goes into the matchmaker with the current time, and the decisions that come
back are carried out at once, without waiting: sending only queues. So there is no moment in which the
matchmaker's picture and what was sent differ, and no lock. One task watches the matchmaker's next deadline.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Iterable
from typing import Any

import trio

from ..errors import LocalProtocolError
from ..protocol import messages as m
from ..protocol.codec import UnknownMessage
from ..scheduling.matching.decisions import Decision, Drop, Ignored, Observe, Send
from ..scheduling.matching.limits import MatchingLimits
from ..scheduling.matching.matchmaker import Matchmaker
from ..scheduling.matching.statistics import BrokerStatistics
from ..scheduling.observer import Event, MessageIgnored, Observer
from ..transport.link import Link, Malformed

__all__ = ["Exchange"]

_TOO_BIG = 1009
# How late a time limit may be kept before whoever keeps them counts as dead, seconds.
_LATE = 10.0
# Different faults of one peer that are told; a peer that finds more ways to be wrong is no news.
_FAULTS_TOLD = 20


class _Connection:
    """A link and what was told about it."""

    def __init__(self, link: Link[Any], peer: str) -> None:
        self.link = link
        self.peer = peer
        self.told: set[str] = set()


class Exchange:
    """Connects links with the matchmaker.

    Args:
        limits: time limits and bounds of the matching.
        observer: is told what happens.
    """

    def __init__(self, limits: MatchingLimits, observer: Observer) -> None:
        self._matchmaker = Matchmaker(limits, receiving=self._is_receiving, now=trio.current_time())
        self._observer = observer
        self._connections: dict[int, _Connection] = {}
        self._numbers = itertools.count()
        self._undone: deque[Decision] = deque()
        self._untold: deque[Event] = deque()
        self._carrying_out = False
        self._alarm = trio.CancelScope()
        self._changed = trio.lowlevel.ParkingLot()

    # --- connections --------------------------------------------------------------------------------

    def attach(self, link: Link[Any], peer: str) -> int:
        """Enter a link and return its number. Nothing is sent over it before its peer has joined.

        Args:
            link: an open link.
            peer: who that is, for the observer.
        """
        number = next(self._numbers)
        self._connections[number] = _Connection(link, peer)
        return number

    def detach(self, number: int, why: str) -> None:
        """Forget a link that has ended, and let the matchmaker see to what its peer leaves behind."""
        now = trio.current_time()
        # Until then it may be written to: a time limit that passed just now comes before its leaving.
        self._carry_out(self._matchmaker.runner_left(number, why, now))
        self._carry_out(self._matchmaker.requester_left(number, why, now))
        del self._connections[number]
        self._changed.unpark_all()

    # --- what peers say -----------------------------------------------------------------------------

    def runner_joined(self, number: int, runner_id: str, info: m.RunnerInfo) -> None:
        """A runner has said who it is."""
        now = trio.current_time()
        self._carry_out(self._matchmaker.runner_joined(number, runner_id, info.name, info.types, now))

    def runner_said(self, number: int, message: m.RunnerToBroker | UnknownMessage | Malformed) -> None:
        """Something came from a registered runner."""
        if isinstance(message, UnknownMessage | Malformed):
            self._matchmaker.heard_from(number)
            self.ignore(number, message)
        else:
            self._carry_out(self._matchmaker.runner_said(number, message, trio.current_time()))

    def requester_joined(self, number: int, requester_id: str) -> None:
        """A requester is connected."""
        self._carry_out(self._matchmaker.requester_joined(number, requester_id, trio.current_time()))

    def requester_said(self, number: int, message: m.RequesterToBroker | UnknownMessage | Malformed) -> None:
        """Something came from a requester."""
        if isinstance(message, UnknownMessage | Malformed):
            self.ignore(number, message)
        else:
            self._carry_out(self._matchmaker.requester_said(number, message, trio.current_time()))

    def ignore(self, number: int, message: UnknownMessage | Malformed | str, *, late: bool = False) -> None:
        """Tell the observer that a message was ignored: once per connection and kind."""
        connection, why = self._connections[number], _fault(message)
        if why in connection.told or len(connection.told) > _FAULTS_TOLD:
            return
        connection.told.add(why)
        if len(connection.told) > _FAULTS_TOLD:
            why = "too many different faults; no more of this connection will be told"
        self._observer.observe(MessageIgnored(connection.peer, why, late))

    # --- the whole ----------------------------------------------------------------------------------

    async def watch_deadlines(self) -> None:
        """Keep the matchmaker's time limits, until cancelled."""
        while True:
            with trio.CancelScope() as self._alarm:
                self._alarm.deadline = self._matchmaker.next_deadline()
                await trio.sleep_forever()
            self._carry_out(self._matchmaker.tick(trio.current_time()))

    def drain(self) -> None:
        """Take no more requests; see `Matchmaker.drain`."""
        self._carry_out(self._matchmaker.drain(trio.current_time()))

    async def drained(self) -> None:
        """Wait until it drains and no task is left."""
        await trio.lowlevel.checkpoint()
        while not self._matchmaker.drained:
            await self._changed.park()

    async def flushed(self) -> None:
        """Wait until everything queued so far has been written to every peer that is still there."""
        for connection in tuple(self._connections.values()):
            await connection.link.flush()

    def stop(self) -> None:
        """End every task: its runner and its requester are told."""
        self._carry_out(self._matchmaker.stop(trio.current_time()))

    def close(self, code: int, reason: str) -> None:
        """Begin to close all connections."""
        for connection in self._connections.values():
            connection.link.close(code, reason)

    async def emptied(self) -> None:
        """Wait until no connection is left."""
        await trio.lowlevel.checkpoint()
        while self._connections:
            await self._changed.park()

    def stalled(self, now: float) -> str | None:
        """Return why the broker makes no progress, one line, or None: it does."""
        late = now - self._matchmaker.next_deadline()
        return None if late < _LATE else f"a time limit of the matching is overdue by {late:.0f} s"

    def statistics(self) -> BrokerStatistics:
        """Return a snapshot."""
        self._carry_out(self._matchmaker.tick(trio.current_time()))
        return self._matchmaker.statistics()

    # --- decisions ----------------------------------------------------------------------------------

    def _is_receiving(self, number: int) -> bool:
        connection = self._connections.get(number)
        return connection is not None and connection.link.receiving

    def _carry_out(self, decisions: Iterable[Decision]) -> None:
        """Carry decisions out in the order they were taken, also when the observer causes more of them.

        The observer, who may take his time to write a line, is told when everything has been sent.
        """
        self._undone.extend(decisions)
        if self._carrying_out:
            return
        self._carrying_out = True
        try:
            while self._undone or self._untold:
                if self._undone:
                    self._do(self._undone.popleft())
                else:
                    self._observer.observe(self._untold.popleft())
        finally:
            self._carrying_out = False
        self._alarm.deadline = self._matchmaker.next_deadline()
        if self._matchmaker.drained:
            self._changed.unpark_all()

    def _do(self, decision: Decision) -> None:
        match decision:
            case Send(number, message):
                self._send(self._connections[number], message)
            case Drop(number, code, reason):
                self._connections[number].link.close(code, reason)
            case Ignored(number, why, late):
                self.ignore(number, why, late=late)
            case Observe(event):
                self._untold.append(event)

    def _send(self, connection: _Connection, message: object) -> None:
        try:
            connection.link.send(message)
        except LocalProtocolError as exc:
            # Passed on under its new name, a message of the largest size has grown past it. The peer that
            # cannot be told would wait for ever: its connection ends, and with it its tasks do.
            self._observer.observe(MessageIgnored(connection.peer, str(exc)))
            connection.link.close(_TOO_BIG, "a message for this peer is larger than the limit")


def _fault(message: UnknownMessage | Malformed | str) -> str:
    """Say what is wrong with a message, in no more than a line."""
    match message:
        case UnknownMessage(wire_type):
            return f"message type {wire_type[:100]!r} is none that it may send"
        case Malformed(reason):
            return reason[:500]
        case str():
            return message
