"""The link: one open connection that carries typed messages.

Theory of operation. One writer owns everything that is sent and is never stopped in the middle of a frame;
`Link.send` never waits, so any code, synchronous or in a cancelled scope, may send: what the connection takes
is written at once, the rest is queued. The queue has two lanes: short answers (accepts, rejections, offers,
cancellations) go ahead of messages that carry large payloads, and within a lane order is kept. One reader
task drains the connection always, so that pings are answered however busy the owner of the link is. Both live
in a nursery of the link's own that outlives its user.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NoReturn, Protocol, TypeVar

import attrs

from ..protocol import messages as m
from ..protocol.codec import UnknownMessage

__all__ = ["BULK_MESSAGES", "Link", "LinkSettings", "LinkStatistics", "Malformed"]

MessageT_co = TypeVar("MessageT_co", covariant=True)

BULK_MESSAGES = (
    m.TaskSettings,
    m.RpcResponse,
    m.TaskDataResponse,
    m.NodeTypes,
    m.TaskDone,
    m.TaskErrorReport,
    m.RpcRequest,
    m.RequesterTaskSettings,
    m.RequesterRpcResponse,
    m.RequesterTaskDataResponse,
    m.RequesterNodeTypesResponse,
    m.TaskResult,
    m.TaskFailure,
    m.BrokerRpcRequest,
)
"""Messages that carry payloads: everything else is sent ahead of them if they are large."""


@attrs.frozen
class Malformed:
    """Something arrived that is not a message. `reason` says what is wrong with it, in wire names."""

    reason: str


@attrs.frozen(kw_only=True)
class LinkSettings:
    """Limits of a connection.

    Attributes:
        max_message: largest message in either direction, bytes; a larger one that arrives ends the link
            (close 1009), a larger one is not sent.
        connect_timeout: seconds for name resolution, TCP, TLS and the WebSocket handshake together.
        close_timeout: seconds to write out what is queued and to shake hands at the end.
        heartbeat: seconds between pings of ours; a ping unanswered when the next is due ends the link, unless
            something else has arrived since: a peer in the middle of a large message cannot answer.
            None: never ping.
        max_queued: bytes that may wait to be written before the peer counts as stuck and the next `Link.send`
            ends the link. A single message may be larger. None: no limit.
        ca_file: PEM file with certificates to trust instead of the system's store. None: the system's.
    """

    max_message: int = 1024**3
    connect_timeout: float = 10.0
    close_timeout: float = 2.0
    heartbeat: float | None = 30.0
    max_queued: int | None = None
    ca_file: str | None = None


@attrs.frozen
class LinkStatistics:
    """A snapshot of a link: whole messages and their payload bytes in each direction, and the queue.

    Attributes:
        messages_sent, messages_received, bytes_sent, bytes_received: totals since it was opened.
        queued_messages, queued_bytes: what is not written yet.
        stuck_for: seconds for which something has been waiting to be written while nothing could be.
        silent_for: seconds since anything at all came from the peer.
        round_trip: seconds that the peer took to answer the last ping; None: not known.
    """

    messages_sent: int
    messages_received: int
    bytes_sent: int
    bytes_received: int
    queued_messages: int
    queued_bytes: int
    stuck_for: float = 0.0
    silent_for: float = 0.0
    round_trip: float | None = None


class Link(Protocol[MessageT_co]):
    """One open connection to a peer."""

    @property
    def peer(self) -> str:
        """Who is on the other end, for logs: a URL without secrets, or an address."""
        ...

    @property
    def receiving(self) -> bool:
        """A large message is on its way in: the peer is not silent, although it has said nothing whole yet.

        Whoever limits the time for an answer asks this when that time is up: a payload of hundreds of
        megabytes takes seconds, and what was queued behind it comes no earlier.
        """
        ...

    def send(self, message: object, *, more: bool = False) -> None:
        """Send a message now or queue it. Never blocks, never fails for a lost connection: `receive` does.

        Args:
            message: an instance of a class in `trio_runner.protocol.messages`.
            more: another message follows at once: let them go out together.

        Raises:
            LocalProtocolError: the message is larger than `LinkSettings.max_message`. It is not queued and
                the connection lives on.
        """
        ...

    async def receive(self) -> MessageT_co | UnknownMessage | Malformed:
        """Return the next message.

        Raises:
            LinkLost: the connection has ended, and everything that arrived before has been returned.

        Cancellation:
            Safe: no message is lost.
        """
        ...

    async def receive_each(
        self, handle: Callable[[MessageT_co | UnknownMessage | Malformed], None]
    ) -> NoReturn:
        """Hand every message to a function as soon as it arrives, until the connection ends.

        Args:
            handle: called with one message at a time, in their order. It must not block.

        Raises:
            LinkLost: the connection has ended, and everything that arrived before has been handed over.
            Exception: what `handle` raised; it is not called again.

        Cancellation:
            Safe: messages that arrive later wait for `receive`.
        """
        ...

    async def flush(self) -> None:
        """Wait until everything queued so far has been written, or the link is lost."""
        ...

    def close(self, code: int = 1000, reason: str = "") -> None:
        """Begin to close: what is queued is written first, then the close frame. Never blocks.

        Args:
            code: WebSocket close code.
            reason: at most 123 bytes of text for the peer.
        """
        ...

    def statistics(self) -> LinkStatistics:
        """Return a snapshot."""
        ...
