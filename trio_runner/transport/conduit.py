"""What trio_websocket takes for its connection.

trio_websocket reads through it from the real stream, but what it sends lands in a queue that the link's one
writer empties. So its reader never waits for a peer that does not read, and never holds up a pong. Small
messages are taken out of what it reads, see `shortcut`.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable

import trio

from . import frames
from .shortcut import Shortcut

__all__ = ["Conduit"]

_FINAL = 0x80
_PONG_BYTE = _FINAL | frames.PONG
_CLOSE_BYTE = _FINAL | frames.CLOSE
_HEAD = 1024
"""Bytes of the peer's first words that are kept to explain a failed handshake."""


def _nothing() -> None:
    pass


class Conduit(trio.abc.Stream):
    """A stream whose sending half is a queue.

    Args:
        stream: the real one.
        wake: called when the queue has something to write.
        replay: bytes to receive before those of the stream.
        shortcut: takes out what trio_websocket is not to see; None: nothing.

    Attributes:
        head: the first bytes that came from the stream.
        last_heard: when bytes came last, on trio's clock.
        unfinished: bytes that have come since the last whole message was taken in.
        close_queued: a close frame is in the queue or has been written: no frame may follow it.
        finished: the stream has ended, or trio_websocket has given it up.
        on_finished: called once when that happens.
    """

    def __init__(
        self,
        stream: trio.abc.Stream,
        wake: Callable[[], None],
        *,
        replay: bytes = b"",
        shortcut: Shortcut | None = None,
    ) -> None:
        self.head = b""
        self.last_heard = trio.current_time()
        self.unfinished = 0
        self.close_queued = False
        self.finished = False
        self.on_finished: Callable[[], None] = _nothing
        self._stream = stream
        self._wake = wake
        self._replay = replay
        self._shortcut = shortcut
        self._queue: deque[bytes] = deque()
        self._broken = False
        self._drained = False  # the last read took all there was
        self._watched_for = b""
        self._on_seen: Callable[[], None] = _nothing

    # --- for the link -------------------------------------------------------------------------------

    @property
    def waiting(self) -> bool:
        """There are frames to write."""
        return bool(self._queue)

    def put(self, data: bytes) -> None:
        """Queue a control frame, or a part of the handshake, to be written ahead of everything else."""
        if self.close_queued or self._broken:
            return
        # The handshake is ASCII, so these bytes are never the first of it.
        if data[0] == _PONG_BYTE and self._queue and self._queue[-1][0] == _PONG_BYTE:
            self._queue.pop()  # the latest ping is the only one that must be answered
        self.close_queued = data[0] == _CLOSE_BYTE
        self._queue.append(data)
        self._wake()

    def take(self) -> bytes | None:
        """Return what to write next, None if there is nothing."""
        return self._queue.popleft() if self._queue else None

    def watch_for(self, data: bytes, on_seen: Callable[[], None]) -> None:
        """Call a function once when these bytes come in one piece; only the latest such wish counts.

        Args:
            data: a short frame. One that comes cut in two is missed: this is for measuring, not for rules.
            on_seen: what to call.
        """
        self._watched_for, self._on_seen = data, on_seen

    def broken(self) -> None:
        """Nothing can be written any more: drop what waits, and whatever else comes."""
        self._broken = True
        self._queue.clear()

    # --- for trio_websocket -------------------------------------------------------------------------

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Queue a frame."""
        await trio.lowlevel.checkpoint()
        if data:
            self.put(bytes(data))

    async def wait_send_all_might_not_block(self) -> None:
        """Return: sending never blocks."""
        await trio.lowlevel.checkpoint()

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        """Receive from the real stream what is trio_websocket's."""
        if self.finished:
            await trio.lowlevel.checkpoint()
            raise trio.ClosedResourceError
        if self._replay:
            await trio.lowlevel.checkpoint()
            data, self._replay = self._replay, b""
            return self._sifted(data)
        while True:
            try:
                received = await self._receive(max_bytes)
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                self._finish()
                raise
            self._heard(received, max_bytes)
            rest = self._sifted(received)
            self.unfinished += len(rest)
            if rest or not received:
                return rest

    async def aclose(self) -> None:
        """Take note that trio_websocket is done. The link closes the real stream."""
        self._finish()
        await trio.lowlevel.checkpoint()

    async def _receive(self, max_bytes: int | None) -> bytes | bytearray:
        if not self._drained or max_bytes is None or not isinstance(self._stream, trio.SocketStream):
            return await self._stream.receive_some(max_bytes)
        # Nothing is there: to try and fail would cost more than to wait. When there is, it is read at once.
        while True:
            await trio.lowlevel.wait_readable(self._stream.socket)
            try:
                return os.read(self._stream.socket.fileno(), max_bytes)
            except BlockingIOError:
                continue
            except OSError as exc:
                raise trio.BrokenResourceError(f"socket connection broken: {exc}") from exc

    def _sifted(self, data: bytes | bytearray) -> bytes | bytearray:
        return data if self._shortcut is None or not data else self._shortcut.sift(data)

    def _heard(self, received: bytes | bytearray, max_bytes: int | None) -> None:
        self._drained = max_bytes is not None and len(received) < max_bytes
        self.last_heard = trio.current_time()
        if self._watched_for and self._watched_for in received:
            self._watched_for = b""
            self._on_seen()
        if not received:
            self._finish()
        elif len(self.head) < _HEAD:
            self.head += received[: _HEAD - len(self.head)]

    def _finish(self) -> None:
        if not self.finished:
            self.finished = True
            self.on_finished()
