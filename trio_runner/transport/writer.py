"""The one place that writes to a WebSocket's stream.

Theory of operation. While its task is not at work, nothing is half written. Then what is queued is written at
once by whoever queues it, if the socket takes it without waiting: a small message costs one system call, and
no task has to be woken for it. What the socket does not take, and everything behind it, is the task's. So
there is one writer at any time, and what it has begun it finishes.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable

import trio

from . import frames
from .conduit import Conduit
from .outbox import Outbox

__all__ = ["Writer"]

_BATCH = 32 * 1024
"""Bytes up to which small frames are joined: one system call here, and one for the peer to read them."""


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

    Attributes:
        progressed: when the stream last took something, on trio's clock.
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
        self._held: bytes | memoryview = b""  # taken, and not written yet
        self._completes = 0  # messages that are written whole when what is held is
        self._farewell: tuple[int, str] | None = None
        self._open = False
        self._at_rest = False
        self._said_farewell = False
        self._running = False
        self._writing = False
        self._taking = False
        self.progressed = -math.inf
        self._asleep = trio.lowlevel.ParkingLot()
        self._waiting_for_rest = trio.lowlevel.ParkingLot()

    @property
    def said_farewell(self) -> bool:
        """Our own close frame went out before any answer to the peer's."""
        return self._said_farewell

    def wake(self, *, more: bool = False) -> None:
        """There may be something to write.

        Args:
            more: another message follows at once: let them go out together.
        """
        if self._taking:
            return  # what wakes us is being taken already
        if more or self._writing or not self._running or not self._write_now():
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
        self._running = True
        try:
            while True:
                if not self._hold():
                    self._waiting_for_rest.unpark_all()
                    await self._asleep.park()
                    continue
                self._writing = True
                await self._stream.send_all(self._held)
                self._writing = False
                self._account()
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            self._conduit.broken()
            self._held = b""
        finally:
            self._running = self._writing = False
            self._waiting_for_rest.unpark_all()

    async def rest(self) -> None:
        """Write the control frames that wait, then nothing ever again: the stream is the caller's."""
        self._open = False
        while self._conduit.waiting or self._writing or self._held:
            await self._waiting_for_rest.park()
        self._at_rest = True

    def _write_now(self) -> bool:
        """Write what the socket takes without waiting, and tell whether nothing is left."""
        if not isinstance(self._stream, trio.SocketStream):
            return False
        if not self._hold():
            return True
        try:
            written = os.write(self._stream.socket.fileno(), self._held)
        except OSError:
            return False  # it is full, or broken, which the task finds out
        if written < len(self._held):
            self._held = memoryview(self._held)[written:]
            self.progressed = trio.current_time()
            return False
        self._account()
        return not self._hold()

    def _hold(self) -> bool:
        """Take what is to be written next, unless something is held; tell whether there is anything."""
        if self._held:
            return True
        taken, size = [], 0
        self._taking = True
        while size < _BATCH and (data := self._next()) is not None:
            taken.append(data)
            size += len(data)
            if self._message is not None and self._message.finished:
                self._message = None
                self._completes += 1
        self._taking = False
        self._held = taken[0] if len(taken) == 1 else b"".join(taken)
        return bool(taken)

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
        self._held = b""
        self.progressed = trio.current_time()
        completes, self._completes = self._completes, 0
        for _ in range(completes):
            self._on_written()
