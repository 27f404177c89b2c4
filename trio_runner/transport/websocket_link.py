"""The link over a WebSocket.

Theory of operation. `WebSocketLink.run` is the life of one connection, in a task of the link's own that is
shielded: only the link itself ends it, always within a bounded time, and then nothing of it is left. In it:

- trio_websocket's reader, in a nursery around which whatever it raises becomes the reason of the loss. It
  makes the handshake, takes frames apart, joins messages, and answers pings and closes. In it, small messages
  are taken out before it sees them, see `shortcut`;
- `_drain`, which takes every other message from it at once;
- `Writer.run`, the only task that writes to the stream;
- `_beat`, which finds out that a silent peer is gone.

Messages and our own close frame are written here and not through trio_websocket, for three reasons: it
masks a message in one go, which stops the loop for as long as that takes; its reader would have to wait for
a long send before it could answer a ping, so two ends that send to each other could wait for ever; and
once it has sent a close frame, a ping that was on its way kills it. To it, this end never starts to close.
"""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

import trio
import trio_websocket

from ..protocol.codec import Codec
from . import frames
from .conduit import Conduit
from .heartbeat import Heartbeat
from .link import LinkSettings, Malformed
from .queued_link import QueuedLink
from .shortcut import Shortcut
from .writer import Writer

__all__ = ["RECEIVE_SIZE", "HandshakeFailed", "ShakeHands", "WebSocketLink", "hosted"]

MessageT = TypeVar("MessageT")
ShakeHands = Callable[[trio.Nursery, Conduit], Awaitable[trio_websocket.WebSocketConnection]]

RECEIVE_SIZE = 256 * 1024
"""Bytes per read. trio_websocket's own 4 KiB costs half the throughput; more than this gains nothing."""
_FAST_CLOSE = 0.5
"""Seconds for the farewell when the owner was cancelled or has failed: nobody wants to wait then."""
_SMALL = 16 * 1024
"""Bytes up to which a message takes the short way, if it comes in one frame."""
_LARGE = 1024 * 1024
"""Bytes from which a message is taken in with a pause."""
_ON_ITS_WAY = 64 * 1024
"""Bytes of an unfinished message from which on it is on its way: more than pings leave in a long silence."""
_PAUSE = 5.0
"""Seconds without a byte after which a message no longer counts as on its way."""
_NORMAL, _GOING_AWAY, _TOO_BIG, _INTERNAL_ERROR = 1000, 1001, 1009, 1011
_ABNORMAL = 1006


class HandshakeFailed(Exception):
    """The WebSocket handshake did not come about. For the edge that knows who was called.

    Attributes:
        head: the beginning of what the peer said.
        timed_out: it was still expected to say more.
    """

    def __init__(self, head: bytes, *, timed_out: bool) -> None:
        super().__init__(head, timed_out)
        self.head = head
        self.timed_out = timed_out


class WebSocketLink(QueuedLink[MessageT]):
    """A link over a stream that is connected and, if wanted, secured. `hosted` gives it its tasks.

    Args:
        stream: the connection; the link closes it.
        codec: decodes what arrives.
        settings: limits of the connection.
        peer: who is on the other end.
        client: this end called: its frames are masked.
        replay: bytes that were read from the stream already.
    """

    def __init__(
        self,
        stream: trio.abc.Stream,
        codec: Codec[MessageT],
        settings: LinkSettings,
        peer: str,
        *,
        client: bool,
        replay: bytes = b"",
    ) -> None:
        super().__init__(codec, settings, peer)
        self._stream = stream
        self._client = client
        self._life = trio.CancelScope(shield=True)
        largest = min(_SMALL, settings.max_message)
        self._shortcut = Shortcut(self._take_small, masked=not client, largest=largest)
        self._conduit = Conduit(stream, self._wake, replay=replay, shortcut=self._shortcut)
        self._writer = Writer(
            stream, self._conduit, self._outbox, masked=client, on_written=self._message_written
        )
        self._open = False
        self._peer_closed = False
        self._heartbeat = Heartbeat(self._conduit, client=client)
        self._handshake_over = trio.Event()
        self._failure: BaseException | None = None

    @property
    def receiving(self) -> bool:
        """A large message is on its way in: a good part of it is here, and more came only just now."""
        silence = trio.current_time() - self._conduit.last_heard
        return self._conduit.unfinished >= _ON_ITS_WAY and silence < _PAUSE

    # --- for `hosted` -------------------------------------------------------------------------------

    async def run(self, shake_hands: ShakeHands) -> None:
        """Be the connection until it is over and closed. Raises nothing that a peer can cause."""
        try:
            with self._life:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._write)
                    await self._converse(nursery, shake_hands)
                    if self._open or not self._client:
                        await self._part()
                    nursery.cancel_scope.cancel()
        finally:
            self._end(
                f"connection to {self._peer} " + ("lost" if self._closing is None else "closed on this side")
            )
            self._handshake_over.set()
            with trio.CancelScope(shield=True):
                await trio.aclose_forcefully(self._stream)

    async def opened(self, deadline: float) -> None:
        """Wait until the handshake is done.

        Args:
            deadline: on trio's clock.

        Raises:
            HandshakeFailed: it failed, or was not done in time.
        """
        with trio.move_on_at(deadline):
            await self._handshake_over.wait()
        if not self._open:
            timed_out = not self._handshake_over.is_set()
            self._life.cancel()
            raise HandshakeFailed(self._conduit.head, timed_out=timed_out) from self._failure

    def close(self, code: int = _NORMAL, reason: str = "") -> None:
        """Begin to close, see `Link.close`. It ends within `LinkSettings.close_timeout`, come what may."""
        super().close(code, reason)
        self._part_within(self._settings.close_timeout)

    def hang_up(self, code: int) -> None:
        """Close fast: forget what is queued, say farewell, and wait only briefly for the answer."""
        self._outbox.discard()
        self._writer.drop_message()
        super().close(code)
        self._part_within(min(_FAST_CLOSE, self._settings.close_timeout) if self._open else 0)

    # --- the connection -----------------------------------------------------------------------------

    async def _converse(self, nursery: trio.Nursery, shake_hands: ShakeHands) -> None:
        """Shake hands and take in what the peer sends, until one side closes or the connection is lost."""
        try:
            async with trio.open_nursery() as engine:
                connection = await self._shake_hands(engine, shake_hands)
                if connection is not None:
                    self._open = True
                    self._shortcut.open()
                    self._writer.open()
                    self._handshake_over.set()
                    if self._settings.heartbeat is not None:
                        nursery.start_soon(self._beat, self._settings.heartbeat)
                    await self._drain(connection)
                engine.cancel_scope.cancel()
        except* Exception as group:  # trio_websocket and wsproto raise all sorts on a hostile peer
            self._failure = group
            if self._open:
                self._end(f"connection to {self._peer} lost: {_innermost(group)!r}")

    async def _shake_hands(
        self, engine: trio.Nursery, shake_hands: ShakeHands
    ) -> trio_websocket.WebSocketConnection | None:
        """Return the open connection; None if the stream ended first: trio_websocket would wait for ever."""
        with trio.CancelScope() as attempt:
            self._conduit.on_finished = attempt.cancel
            return await shake_hands(engine, self._conduit)
        return None

    async def _drain(self, connection: trio_websocket.WebSocketConnection) -> None:
        """Take in every message at once: trio_websocket answers no ping while one waits."""
        try:
            while True:
                await self._take_in(await connection.get_message())
        except trio_websocket.ConnectionClosed as exc:
            self._closed(exc.reason)

    async def _take_in(self, content: str | bytes) -> None:
        came = self._conduit.unfinished
        if isinstance(content, bytes):
            self._admit(Malformed("binary frame; every message is a text frame"))
        else:
            payload = content.encode()
            del content  # it may be large, and decoding needs room of its own
            if len(payload) > _LARGE:
                # Others run between two steps that each take a while, and trio_websocket lets go of its copy.
                await trio.lowlevel.checkpoint()
            if len(payload) > self._settings.max_message:  # trio_websocket has counted characters
                self._refuse_large()
            elif self._ended is None:
                self._arrived(payload)
        # Only now: until it is handed over, it is still on its way. What came meanwhile is of the next one.
        self._conduit.unfinished -= came
        self._shortcut.handed_over()

    def _take_small(self, payload: bytes) -> None:
        if self._ended is None:
            self._arrived(payload)

    def _refuse_large(self) -> None:
        limit = self._settings.max_message
        self._conduit.put(
            frames.close_frame(_TOO_BIG, f"Exceeded maximum message size: {limit} bytes", masked=self._client)
        )
        self._end(f"{self._peer} sent more than the limit of {limit} bytes; closed with code {_TOO_BIG}")
        self._hurry(self._settings.close_timeout)

    def _closed(self, reason: trio_websocket.CloseReason | None) -> None:
        """Find out who closed, and why. A parse error of ours looks like a close of the peer's."""
        code, text = (_ABNORMAL, None) if reason is None else (reason.code, reason.reason)
        limit = self._settings.max_message
        if code == _ABNORMAL:
            return  # `run` knows what to say
        if not self._conduit.close_queued:
            self._conduit.put(frames.close_frame(code, text or "", masked=self._client))
            self._end(f"{self._peer} broke the WebSocket protocol: {text}; closed with code {code}")
        elif code == _TOO_BIG and text == f"Exceeded maximum message size: {limit} bytes":
            self._end(f"{self._peer} sent more than the limit of {limit} bytes; closed with code {code}")
        else:
            self._peer_closed = True
            if not self._writer.said_farewell:
                why = f" ({text})" if text else ""
                self._end(f"{self._peer} closed the connection: code {int(code)}{why}")

    async def _part(self) -> None:
        """Write what must still be written, and let the peer read it: a reset would destroy it on its way."""
        self._hurry(self._settings.close_timeout)
        await self._writer.rest()
        if self._peer_closed and not self._client:
            return  # both have said farewell, and then it is the server that hangs up
        try:
            if isinstance(self._stream, trio.SocketStream):
                await self._stream.send_eof()
            while await self._stream.receive_some(RECEIVE_SIZE):
                pass
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass

    def _part_within(self, seconds: float) -> None:
        """Say farewell after what is queued, and be gone this many seconds from now."""
        if self._closing is not None:
            self._writer.say_farewell(*self._closing)
        self._hurry(seconds)

    def _hurry(self, seconds: float) -> None:
        """From now on the connection has this long to end by itself."""
        self._life.deadline = min(self._life.deadline, trio.current_time() + seconds)

    def _break(self, reason: str) -> None:
        self._end(reason)
        self._life.cancel()

    # --- writing and pinging ------------------------------------------------------------------------

    async def _write(self) -> None:
        await self._writer.run()
        # The stream is broken. What the peer said before may still wait to be read: give that a moment.
        self._hurry(self._settings.close_timeout)

    def _wake(self, *, more: bool = False) -> None:
        self._writer.wake(more=more)

    def _progressed(self) -> float:
        return max(self._last_progress, self._writer.progressed)

    def _heard(self) -> float:
        return self._conduit.last_heard

    def _last_round_trip(self) -> float | None:
        return self._heartbeat.round_trip

    def _message_written(self) -> None:
        if self._ended is None:
            self._written()

    async def _beat(self, period: float) -> None:
        """Ping, and end the connection if not one byte came until the next ping is due."""
        await self._heartbeat.run(period)
        self._break(f"connection to {self._peer} lost: no answer to a ping for {period:g} s")


@asynccontextmanager
async def hosted(
    link: WebSocketLink[MessageT], shake_hands: ShakeHands, deadline: float = math.inf
) -> AsyncIterator[WebSocketLink[MessageT]]:
    """Give a link its tasks for the time of a block, and close it when the block ends.

    Args:
        link: a new link.
        shake_hands: makes the WebSocket handshake through trio_websocket.
        deadline: for the handshake, on trio's clock.

    Raises:
        HandshakeFailed: there was no handshake; the block did not run.

    Cancellation:
        A block that returns has its queue written and the connection closed within `close_timeout`. A block
        that raises or is cancelled drops the queue and says farewell within half a second. What it raises
        passes unchanged.
    """
    error: BaseException | None = None
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(link.run, shake_hands)
            try:
                await link.opened(deadline)
                yield link
            except trio.Cancelled:
                link.hang_up(_GOING_AWAY)
                raise
            except BaseException as exc:
                error = exc  # raised again below, where no nursery wraps it in a group
                link.hang_up(_INTERNAL_ERROR)
            else:
                link.close()
        if error is not None:
            raise error
    finally:
        del error


def _innermost(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
