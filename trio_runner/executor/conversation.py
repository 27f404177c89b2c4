"""The exchange with one worker: its task goes out while its frames come in."""

from __future__ import annotations

import socket
from collections.abc import Callable
from contextlib import suppress

import trio

from ..sandbox.framing import FrameKind, pack_header
from .contract import ExecutorEvent
from .reply import Approved, Reply

__all__ = ["Deliver", "converse", "read_rest"]

Deliver = Callable[[ExecutorEvent | Approved], None]

# Bytes per receive: more than a Unix socket holds by default.
_RECEIVE_SIZE = 256 * 1024
# Bytes up to which copying settings behind their header costs less than sending them separately.
_JOIN_LIMIT = 65536


async def converse(
    channel: socket.socket,
    settings: bytes,
    reply: Reply,
    deliver: Deliver,
    *,
    before: bytes = b"",
    last: bool = False,
) -> None:
    """Send a task and take in its frames, until the reply is complete or the worker has hung up.

    Args:
        channel: non-blocking socket to the worker.
        settings: the task's settings.
        reply: takes the frames; its outcome is None afterwards if the worker hung up before.
        deliver: called with what frames mean, in their order.
        before: small frames to send first.
        last: the worker need not wait to be hung up on when it has done the task.

    Cancellation:
        Safe: frames not read yet stay in the socket.
    """
    rest = _send_task(channel, settings, before)
    if not rest:
        if last:
            with suppress(OSError):  # it has ended
                channel.shutdown(socket.SHUT_WR)
        await _receive(channel, reply, deliver)
        return
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_send_rest, channel, rest)
        await _receive(channel, reply, deliver)
        nursery.cancel_scope.cancel()


def read_rest(channel: socket.socket, reply: Reply, deliver: Deliver) -> None:
    """Take in what a dead worker had sent: at most what the socket holds."""
    while reply.outcome is None:
        try:
            data = channel.recv(_RECEIVE_SIZE)
        except OSError:
            return
        if not data:
            return
        for event in reply.feed(data):
            deliver(event)


async def _receive(channel: socket.socket, reply: Reply, deliver: Deliver) -> None:
    while reply.outcome is None:
        await trio.lowlevel.wait_readable(channel)
        try:
            data = channel.recv(_RECEIVE_SIZE)
        except BlockingIOError:
            continue
        except OSError:
            return  # it ended with some of its task unread
        if not data:
            return
        for event in reply.feed(data):
            deliver(event)


def _send_task(channel: socket.socket, settings: bytes, before: bytes) -> memoryview:
    """Send as much of the task as the socket takes now, most often all of it; return the rest."""
    header = before + pack_header(FrameKind.TASK, len(settings))
    if len(settings) <= _JOIN_LIMIT:
        return _send_some(channel, memoryview(header + settings))
    # A socket with nothing in it takes a few bytes at once.
    _send_some(channel, memoryview(header))
    return _send_some(channel, memoryview(settings))


async def _send_rest(channel: socket.socket, rest: memoryview) -> None:
    while rest:
        await trio.lowlevel.wait_writable(channel)
        rest = _send_some(channel, rest)


def _send_some(channel: socket.socket, data: memoryview) -> memoryview:
    """Send without waiting; return what is left, nothing if nobody will read it: the reader finds out why."""
    try:
        return data[channel.send(data) :]
    except BlockingIOError:
        return data
    except OSError:
        return data[:0]
