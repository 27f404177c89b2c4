"""The one task that writes to a WebSocket's stream."""

from __future__ import annotations

from collections.abc import Callable

import trio

from . import frames
from .conduit import Conduit
from .outbox import Outbox

__all__ = ["Writer"]


class Writer:
    """Writes whatever is next: handshake and control frames, urgent messages, bulk, and last our farewell.

    A message is cut into frames, so that between two of them pings are answered, a close gets out and other
    tasks run. Nothing is written after a close frame.

    Args:
        stream: where to.
        conduit: holds the handshake and the control frames.
        outbox: holds the messages.
        masked: frames are masked, as a client's must be.
        on_written: called when the message taken first from the outbox is written whole.
    """

    def __init__(
        self,
        stream: trio.abc.Stream,
        conduit: Conduit,
        outbox: Outbox,
        *,
        masked: bool,
        on_written: Callable[[], None],
    ) -> None:
        self._stream = stream
        self._conduit = conduit
        self._outbox = outbox
        self._masked = masked
        self._on_written = on_written
        self._message: frames.Fragments | None = None
        self._farewell: tuple[int, str] | None = None
        self._open = False
        self._at_rest = False
        self._said_farewell = False
        self._writing = False
        self._asleep = trio.lowlevel.ParkingLot()
        self._waiting_for_rest = trio.lowlevel.ParkingLot()

    @property
    def said_farewell(self) -> bool:
        """Our own close frame went out before any answer to the peer's."""
        return self._said_farewell

    def wake(self) -> None:
        """There may be something to write."""
        self._asleep.unpark()

    def open(self) -> None:
        """The handshake is done: messages may be written."""
        self._open = True
        self.wake()

    def say_farewell(self, code: int, reason: str) -> None:
        """Write our close frame once everything queued is written."""
        self._farewell = (code, reason)
        self.wake()

    def drop_message(self) -> None:
        """Leave off the message that is being written, after the frame that is being written."""
        self._message = None

    async def run(self) -> None:
        """Write until the stream breaks. Cancel it only to close the stream: it stops in mid-frame."""
        try:
            while True:
                data = self._next()
                if data is None:
                    self._waiting_for_rest.unpark_all()
                    await self._asleep.park()
                    continue
                self._writing = True
                await self._stream.send_all(data)
                self._writing = False
                self._account()
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            self._conduit.broken()
            self._writing = False
            self._waiting_for_rest.unpark_all()

    async def rest(self) -> None:
        """Write the control frames that wait, then nothing ever again: the stream is the caller's."""
        self._open = False
        while self._conduit.waiting or self._writing:
            await self._waiting_for_rest.park()
        self._at_rest = True

    def _next(self) -> bytes | None:
        if self._at_rest:
            return None
        control = self._conduit.take()
        if control is not None or self._conduit.close_queued or not self._open:
            return control
        if self._message is None:
            outgoing = self._outbox.take()
            if outgoing is None:
                return self._take_farewell()
            self._message = frames.Fragments(outgoing.payload, masked=self._masked)
        return self._message.next()

    def _take_farewell(self) -> bytes | None:
        if self._farewell is None:
            return None
        self._said_farewell = True
        self._conduit.put(frames.close_frame(*self._farewell, masked=self._masked))
        return self._conduit.take()

    def _account(self) -> None:
        if self._message is not None and self._message.finished:
            self._message = None
            self._on_written()
