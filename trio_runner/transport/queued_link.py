"""What every implementation of `Link` has in common: its queues, its limits and how it ends.

An implementation moves bytes: it takes messages from the outbox when `_wake` says that there is something to
do, hands whole incoming texts to `_arrived`, and calls `_end` once when the connection is over.
"""

from __future__ import annotations

import abc
from collections import deque
from collections.abc import Callable
from typing import Generic, NoReturn, TypeVar

import trio

from ..errors import LinkLost, LocalProtocolError, RemoteProtocolError
from ..protocol.codec import Codec, UnknownMessage, encode
from .frames import cut_reason
from .link import LinkSettings, LinkStatistics, Malformed
from .outbox import Outbox

__all__ = ["QueuedLink"]

MessageT = TypeVar("MessageT")

_AT_ONCE = 32 * 1024
"""Bytes up to which a message is written by whoever sends it. A larger one waits for the writer's turn: what
is sent in the same go and is urgent gets out before it."""
_CLOSE_CODES_NOT_SENT = (1004, 1005, 1006, 1015)
"""Close codes that no close frame may carry. Source: RFC 6455, section 7.4.1."""


class QueuedLink(abc.ABC, Generic[MessageT]):
    """A link whose `send` queues and whose `receive` takes from a queue.

    Args:
        codec: decodes what arrives.
        settings: limits of the connection.
        peer: who is on the other end, for logs and error messages.
    """

    def __init__(self, codec: Codec[MessageT], settings: LinkSettings, peer: str) -> None:
        self._codec = codec
        self._settings = settings
        self._peer = peer
        self._outbox = Outbox()
        self._inbox: deque[MessageT | UnknownMessage | Malformed] = deque()
        self._closing: tuple[int, str] | None = None
        self._ended: str | None = None
        self._receivers = trio.lowlevel.ParkingLot()
        self._handle: Callable[[MessageT | UnknownMessage | Malformed], None] | None = None
        self._fault: Exception | None = None  # what `_handle` raised
        self._flushers = trio.lowlevel.ParkingLot()
        self._messages_sent = self._messages_received = 0
        self._bytes_sent = self._bytes_received = 0
        self._last_progress = self._last_arrival = trio.current_time()

    @property
    def peer(self) -> str:
        """Who is on the other end, for logs: a URL without secrets, or an address."""
        return self._peer

    @property
    def receiving(self) -> bool:
        """A large message is on its way in. Never, where messages arrive whole."""
        return False

    def send(self, message: object, *, more: bool = False) -> None:
        """Send a message now or queue it. Never blocks, never fails for a lost connection: `receive` does.

        Args:
            message: an instance of a class in `trio_runner.protocol.messages`.
            more: another message follows at once: let them go out together.

        Raises:
            LocalProtocolError: the message is larger than `LinkSettings.max_message`. It is not queued and
                the connection lives on.
        """
        if self._closing is not None or self._ended is not None:
            return
        payload = encode(message)
        limit = self._settings.max_message
        if len(payload) > limit:
            raise LocalProtocolError(
                f"{type(message).__name__} of {len(payload)} bytes is larger than the limit of {limit} bytes"
                " and was not sent; send less, or raise the largest payload on both sides"
            )
        max_queued = self._settings.max_queued
        if max_queued is not None and self._outbox.size >= max_queued:
            self._break(
                f"{self._peer} does not read: {self._outbox.size} bytes wait to be sent,"
                f" the limit is {max_queued}; connection closed"
            )
            return
        if not self._outbox.messages:
            self._last_progress = trio.current_time()  # nothing has waited until now
        self._outbox.put(message, payload)
        self._wake(more=more or len(payload) > _AT_ONCE)

    async def receive(self) -> MessageT | UnknownMessage | Malformed:
        """Return the next message.

        Raises:
            LinkLost: the connection has ended, and everything that arrived before has been returned.

        Cancellation:
            Safe: no message is lost.
        """
        await trio.lowlevel.checkpoint()
        while not self._inbox:
            if self._ended is not None:
                raise LinkLost(self._ended)
            await self._receivers.park()
        return self._inbox.popleft()

    async def receive_each(self, handle: Callable[[MessageT | UnknownMessage | Malformed], None]) -> NoReturn:
        """Hand every message to a function as soon as it arrives, until the connection ends.

        This is `receive` in a loop, without a task that has to be woken for each message.

        Args:
            handle: called with one message at a time, in their order, from whatever task took it in. It must
                not block.

        Raises:
            LinkLost: the connection has ended, and everything that arrived before has been handed over.
            Exception: what `handle` raised; it is not called again.

        Cancellation:
            Safe: messages that arrive later wait for `receive`.
        """
        await trio.lowlevel.checkpoint()
        try:
            while self._inbox:
                handle(self._inbox.popleft())
            self._handle = handle
            while self._ended is None and self._fault is None:
                await self._receivers.park()
        finally:
            self._handle = None
            fault, self._fault = self._fault, None
        if fault is not None:
            raise fault
        raise LinkLost(self._ended or "")

    async def flush(self) -> None:
        """Wait until everything queued so far has been written, or the link is lost.

        Cancellation:
            Safe: it only stops waiting.
        """
        queued = self._outbox.count
        await trio.lowlevel.checkpoint()
        while self._outbox.oldest() < queued:
            await self._flushers.park()

    def close(self, code: int = 1000, reason: str = "") -> None:
        """Begin to close: what is queued is written first, then the close frame. Never blocks.

        Only the first call counts. From here on `send` queues nothing.

        Args:
            code: WebSocket close code.
            reason: at most 123 bytes of text for the peer; more is cut.

        Raises:
            ValueError: no close frame may carry this code.
        """
        if not 1000 <= code <= 4999 or code in _CLOSE_CODES_NOT_SENT:
            raise ValueError(f"{code} is no WebSocket close code to send; use 1000, 1001 or 4000 to 4999")
        if self._closing is None and self._ended is None:
            self._closing = (code, cut_reason(reason))
            self._wake()

    def statistics(self) -> LinkStatistics:
        """Return a snapshot."""
        now = trio.current_time()
        return LinkStatistics(
            messages_sent=self._messages_sent,
            messages_received=self._messages_received,
            bytes_sent=self._bytes_sent,
            bytes_received=self._bytes_received,
            queued_messages=self._outbox.messages,
            queued_bytes=self._outbox.size,
            stuck_for=now - self._progressed() if self._outbox.messages else 0.0,
            silent_for=now - self._heard(),
            round_trip=self._last_round_trip(),
        )

    # --- for implementations ------------------------------------------------------------------------

    @abc.abstractmethod
    def _wake(self, *, more: bool = False) -> None:
        """There is something to write, or the link begins to close; `more` to write comes at once."""

    @abc.abstractmethod
    def _break(self, reason: str) -> None:
        """End the connection at once; `receive` is to raise `LinkLost` with `reason`."""

    def _progressed(self) -> float:
        """Return when something was last written, or began to wait for it, on trio's clock."""
        return self._last_progress

    def _heard(self) -> float:
        """Return when something last came from the peer, on trio's clock."""
        return self._last_arrival

    def _last_round_trip(self) -> float | None:
        """Return how long the peer took to answer the last ping, seconds; None: not known."""
        return None

    def _arrived(self, payload: bytes) -> None:
        """Decode one whole text and hand it to the owner."""
        self._last_arrival = trio.current_time()
        self._messages_received += 1
        self._bytes_received += len(payload)
        try:
            self._admit(self._codec.decode(payload))
        except RemoteProtocolError as exc:
            self._admit(Malformed(str(exc)))

    def _admit(self, item: MessageT | UnknownMessage | Malformed) -> None:
        if self._handle is None:
            self._inbox.append(item)
            self._receivers.unpark_all()
            return
        try:
            self._handle(item)
        except Exception as exc:  # `receive_each` raises it, in the task of whoever called that
            self._handle, self._fault = None, exc
            self._receivers.unpark_all()

    def _written(self) -> None:
        """Take note that the message taken first from the outbox is written whole."""
        outgoing = self._outbox.written()
        self._last_progress = trio.current_time()
        self._messages_sent += 1
        self._bytes_sent += len(outgoing.payload)
        self._flushers.unpark_all()

    def _end(self, reason: str) -> None:
        """The connection is over. Only the first reason counts."""
        if self._ended is None:
            self._ended = reason
        self._outbox.clear()
        self._receivers.unpark_all()
        self._flushers.unpark_all()
