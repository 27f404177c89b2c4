"""The one task that writes: what it still writes when the connection is about to end."""

from __future__ import annotations

import trio
from trio.testing import wait_all_tasks_blocked

from trio_runner.protocol.messages import Drain
from trio_runner.transport import frames
from trio_runner.transport.conduit import Conduit
from trio_runner.transport.outbox import Outbox
from trio_runner.transport.writer import Writer


async def socket_pair() -> tuple[trio.SocketStream, trio.SocketStream]:
    near, far = trio.socket.socketpair()
    return trio.SocketStream(near), trio.SocketStream(far)


class Rig:
    """A writer on a stream in memory."""

    def __init__(self) -> None:
        near, self.far = trio.testing.memory_stream_pair()
        self.outbox = Outbox()
        self.conduit = Conduit(near, lambda: self.writer.wake())
        self.writer = Writer(near, self.conduit, self.outbox, masked=False, on_written=lambda: None)

    def queue(self, payload: bytes) -> None:
        self.outbox.put(Drain(), payload)
        self.writer.wake()

    def written(self) -> bytes:
        received = self.far.receive_stream
        assert isinstance(received, trio.testing.MemoryReceiveStream)
        return bytes(received._incoming._data)


async def test_after_rest_nothing_is_written_whatever_is_queued() -> None:
    # The stream is being shut down then: a write would meet that and raise BusyResourceError.
    rig = Rig()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(rig.writer.run)
        rig.writer.open()
        rig.conduit.put(frames.frame(frames.PING, b"last", masked=False))
        await rig.writer.rest()
        before = rig.written()
        assert b"last" in before
        rig.queue(b'{"type":"late"}')
        rig.conduit.put(frames.frame(frames.PING, b"later", masked=False))
        rig.writer.open()
        await wait_all_tasks_blocked()
        assert rig.written() == before
        nursery.cancel_scope.cancel()


async def test_messages_that_wait_are_not_begun_once_rest_was_asked_for() -> None:
    rig = Rig()
    async with trio.open_nursery() as nursery:
        rig.writer.open()
        rig.queue(b'{"type":"late"}')
        nursery.start_soon(rig.writer.rest)
        await wait_all_tasks_blocked()
        nursery.start_soon(rig.writer.run)
        await wait_all_tasks_blocked()
        assert rig.written() == b""
        nursery.cancel_scope.cancel()


async def test_with_nothing_before_it_a_message_is_written_by_whoever_sends_it() -> None:
    near, far = await socket_pair()
    outbox, written = Outbox(), list[str]()
    conduit = Conduit(near, lambda: writer.wake())
    writer = Writer(near, conduit, outbox, masked=False, on_written=lambda: written.append("whole"))
    async with near, far, trio.open_nursery() as nursery:
        nursery.start_soon(writer.run)
        writer.open()
        await wait_all_tasks_blocked()
        outbox.put(Drain(), b"one")
        writer.wake(more=True)
        assert written == [], "more follows: both go out together"
        outbox.put(Drain(), b"two")
        writer.wake()
        assert written == ["whole", "whole"]
        expected = frames.frame(frames.TEXT, b"one", masked=False) + frames.frame(
            frames.TEXT, b"two", masked=False
        )
        assert await far.receive_some() == expected
        nursery.cancel_scope.cancel()


async def test_what_the_socket_does_not_take_is_written_later_and_nothing_overtakes_it() -> None:
    near, far = await socket_pair()
    outbox = Outbox()
    conduit = Conduit(near, lambda: writer.wake())
    writer = Writer(near, conduit, outbox, masked=False, on_written=lambda: None)
    payloads = [bytes([number]) * 30_000 for number in range(100)]  # far more than a socket holds
    expected = b"".join(frames.frame(frames.TEXT, payload, masked=False) for payload in payloads)
    async with near, far, trio.open_nursery() as nursery:
        nursery.start_soon(writer.run)
        writer.open()
        await wait_all_tasks_blocked()
        for payload in payloads:
            outbox.put(Drain(), payload)
            writer.wake()
        assert outbox.messages > 50
        received = b""
        while len(received) < len(expected):
            received += await far.receive_some()
        assert received == expected
        nursery.cancel_scope.cancel()
