"""The runner's end of a control socket: messages go out without waiting, and come in as they arrive."""

from __future__ import annotations

import contextlib
import os
import socket
from collections import deque
from collections.abc import Callable, Sequence

import trio

from ..sandbox import control

__all__ = ["ControlLink"]

Handle = Callable[[control.Message, list[int]], None]


class ControlLink:
    """Carries messages and descriptors to a zygote and back.

    Args:
        channel: the socket; it is made non-blocking.
    """

    def __init__(self, channel: socket.socket) -> None:
        self._channel = channel
        self._channel.setblocking(False)
        self._decoder = control.ControlDecoder()
        self._outbox: deque[tuple[bytes, list[int]]] = deque()
        self._stalled = trio.Event()  # the socket is full: the writer is to go on

    def post(self, message: control.Message, descriptors: Sequence[int] = ()) -> None:
        """Send a message now, or as soon as the socket takes it.

        Args:
            message: what to say.
            descriptors: travel with it, and are closed here when they are on their way.
        """
        self._outbox.append((control.encode(message, len(descriptors)), list(descriptors)))
        if len(self._outbox) == 1:
            self._send_queued()

    async def write(self) -> None:
        """Send what the socket did not take at once. Ends by cancellation."""
        while True:
            await self._stalled.wait()
            await trio.lowlevel.wait_writable(self._channel)
            self._stalled = trio.Event()
            self._send_queued()

    async def read(self, handle: Handle, until: trio.Event | None = None) -> None:
        """Take in messages until the zygote hangs up, or until an event.

        Args:
            handle: called with each message and its descriptors, which are then its own.
            until: the event.

        Raises:
            ValueError: what arrived is no message.
        """
        while until is None or not until.is_set():
            await trio.lowlevel.wait_readable(self._channel)
            try:
                data, descriptors = control.receive(self._channel)
            except BlockingIOError:
                continue
            except OSError:
                return
            if not data:
                return
            for message, its_descriptors in self._decoder.feed(data, descriptors):
                handle(message, its_descriptors)

    def hang_up(self) -> None:
        """Tell the zygote that nothing more will come: it ends everything, and answers until then."""
        with contextlib.suppress(OSError):
            self._channel.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        """Close the descriptors of messages that were never sent."""
        for _, descriptors in self._outbox:
            for descriptor in descriptors:
                os.close(descriptor)
        self._outbox.clear()

    def _send_queued(self) -> None:
        while self._outbox:
            data, descriptors = self._outbox[0]
            try:
                sent = self._channel.sendmsg([data], control.ancillary(descriptors))
            except BlockingIOError:
                self._stalled.set()
                return
            except OSError:  # the zygote is gone, which the reader notices too
                sent = len(data)
            for descriptor in descriptors:
                os.close(descriptor)
            if sent < len(data):
                self._outbox[0] = (data[sent:], [])
            else:
                self._outbox.popleft()
