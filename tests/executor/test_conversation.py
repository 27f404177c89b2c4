"""The exchange with a worker, played by the test at the other end of the socket pair."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest
import trio

from trio_runner.executor.contract import ExecutorEvent, Printed, Started
from trio_runner.executor.conversation import converse, read_rest
from trio_runner.executor.reply import Approved, Reply
from trio_runner.protocol.raw_json import RawJson
from trio_runner.sandbox.framing import HEADER, FrameKind, pack_header, unpack_header
from trio_runner.scheduling.outcome import Completed

STARTED = pack_header(FrameKind.STARTED, 2) + b"{}"
RESULT = pack_header(FrameKind.RESULT, 4) + b"true"
PRINT = b'{"params": [], "text": "hello"}'
PRINTED = pack_header(FrameKind.PRINTED, len(PRINT)) + PRINT
LARGE = bytes(5_000_000)


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Our end, and the worker's as trio knows sockets."""
    near, far = socket.socketpair()
    with near, far:
        near.setblocking(False)
        far.setblocking(False)
        yield near, far


def nobody(event: ExecutorEvent | Approved) -> None:
    """Take an event."""


async def receive_task(far: socket.socket) -> bytes:
    """Read one task as a worker does."""
    worker = trio.SocketStream(trio.socket.from_stdlib_socket(far))
    data = b""
    while len(data) < HEADER.size or len(data) < HEADER.size + unpack_header(data[: HEADER.size])[1]:
        chunk = await worker.receive_some()
        assert chunk
        data += chunk
    assert unpack_header(data[: HEADER.size])[0] is FrameKind.TASK
    return data[HEADER.size :]


@pytest.mark.parametrize("settings", [b"{}", b"x" * 65536, b"x" * 65537, LARGE])
async def test_the_whole_task_goes_out(ends: tuple[socket.socket, socket.socket], settings: bytes) -> None:
    near, far = ends
    reply, seen = Reply(max_result=1000), []

    async def work() -> None:
        seen.append(await receive_task(far))
        far.send(STARTED + RESULT)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(work)
        await converse(near, settings, reply, nobody)
    assert seen == [settings]
    assert reply.outcome == Completed(RawJson(b"true"))


async def test_frames_come_in_while_the_task_goes_out(ends: tuple[socket.socket, socket.socket]) -> None:
    near, far = ends
    far.send(STARTED + PRINTED)  # and never reads
    events: list[ExecutorEvent | Approved] = []
    printed = trio.Event()

    def deliver(event: ExecutorEvent | Approved) -> None:
        events.append(event)
        if isinstance(event, Printed):
            printed.set()

    with trio.CancelScope() as scope:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(converse, near, LARGE, Reply(max_result=1000), deliver)
            await printed.wait()
            scope.cancel()
    assert events == [Started(), Printed(RawJson(b"[]"), "hello")]


@pytest.mark.parametrize("sent", [b"", STARTED, STARTED + PRINTED + RESULT[:-1]])
@pytest.mark.parametrize("settings", [b"{}", LARGE])
async def test_a_worker_that_hangs_up_leaves_no_outcome(
    ends: tuple[socket.socket, socket.socket], sent: bytes, settings: bytes
) -> None:
    near, far = ends
    reply = Reply(max_result=1000)
    far.send(sent)
    far.close()
    await converse(near, settings, reply, nobody)
    assert reply.outcome is None


@pytest.mark.parametrize("settings", [b"{}", LARGE])
async def test_a_result_before_hanging_up_counts(
    ends: tuple[socket.socket, socket.socket], settings: bytes
) -> None:
    near, far = ends
    reply = Reply(max_result=1000)
    far.send(STARTED + RESULT)
    far.close()  # with the task unread, which makes the kernel report a reset
    await converse(near, settings, reply, nobody)
    assert reply.outcome == Completed(RawJson(b"true"))


async def test_what_is_left_in_the_socket_can_be_read_afterwards(
    ends: tuple[socket.socket, socket.socket],
) -> None:
    near, far = ends
    reply, events = Reply(max_result=1000), list[ExecutorEvent | Approved]()
    with trio.CancelScope() as scope:
        scope.cancel()
        await converse(near, b"{}", reply, events.append)
    assert scope.cancelled_caught
    far.send(STARTED + PRINTED + PRINTED[:-1])
    near.shutdown(socket.SHUT_RDWR)  # what the end of a worker does to its socket
    read_rest(near, reply, events.append)
    assert events == [Started(), Printed(RawJson(b"[]"), "hello")]
    read_rest(near, reply, events.append)
    assert len(events) == 2


async def test_the_last_task_of_a_worker_is_followed_by_the_end_of_the_stream(
    ends: tuple[socket.socket, socket.socket],
) -> None:
    near, far = ends
    reply = Reply(max_result=100)

    async def work() -> None:
        assert await receive_task(far) == b"{}"
        assert far.recv(1) == b""
        far.send(STARTED + RESULT)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(work)
        await converse(near, b"{}", reply, nobody, last=True)
    assert reply.outcome == Completed(RawJson(b"true"))
