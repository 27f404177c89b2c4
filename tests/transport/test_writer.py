"""The one task that writes: what it still writes when the connection is about to end."""

from __future__ import annotations

import trio
from trio.testing import wait_all_tasks_blocked

from trio_runner.protocol.messages import Drain
from trio_runner.transport import frames
from trio_runner.transport.conduit import Conduit
from trio_runner.transport.outbox import Outbox
from trio_runner.transport.writer import Writer


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
