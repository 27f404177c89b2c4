"""The stream that trio_websocket is given: what it sends is queued, what it reads comes from the real one."""

from __future__ import annotations

import pytest
import trio
import trio.testing
from trio.testing import MockClock

from trio_runner.transport import frames
from trio_runner.transport.conduit import Conduit


def control(opcode: int, payload: bytes = b"") -> bytes:
    return frames.frame(opcode, payload, masked=False)


def nothing() -> None:
    pass


def drained(conduit: Conduit) -> list[bytes]:
    taken = []
    while (data := conduit.take()) is not None:
        taken.append(data)
    return taken


async def test_what_is_sent_waits_in_order_and_wakes_the_writer() -> None:
    woken: list[int] = []
    near, _ = trio.testing.memory_stream_pair()
    conduit = Conduit(near, lambda: woken.append(1))
    with trio.testing.assert_checkpoints():
        await conduit.send_all(bytearray(b"GET / HTTP/1.1\r\n\r\n"))
    await conduit.send_all(control(frames.PING, b"1"))
    await conduit.send_all(b"")
    assert conduit.waiting
    assert drained(conduit) == [b"GET / HTTP/1.1\r\n\r\n", control(frames.PING, b"1")]
    assert len(woken) == 2
    assert not conduit.waiting


async def test_of_pongs_that_wait_in_a_row_only_the_last_is_kept() -> None:
    near, _ = trio.testing.memory_stream_pair()
    conduit = Conduit(near, nothing)
    for number in range(3):
        await conduit.send_all(control(frames.PONG, b"%d" % number))
    await conduit.send_all(control(frames.PING))
    await conduit.send_all(control(frames.PONG, b"3"))
    assert drained(conduit) == [
        control(frames.PONG, b"2"),
        control(frames.PING),
        control(frames.PONG, b"3"),
    ]


async def test_nothing_follows_a_close_frame() -> None:
    near, _ = trio.testing.memory_stream_pair()
    conduit = Conduit(near, nothing)
    await conduit.send_all(control(frames.CLOSE))
    await conduit.send_all(control(frames.PONG))
    assert drained(conduit) == [control(frames.CLOSE)]
    await conduit.send_all(control(frames.CLOSE))
    assert not conduit.waiting


async def test_a_rejection_in_http_is_no_close_frame() -> None:
    near, _ = trio.testing.memory_stream_pair()
    conduit = Conduit(near, nothing)
    await conduit.send_all(b"HTTP/1.1 400 \r\n")
    await conduit.send_all(b"\r\n")
    assert drained(conduit) == [b"HTTP/1.1 400 \r\n", b"\r\n"]


async def test_what_cannot_be_written_is_dropped() -> None:
    near, _ = trio.testing.memory_stream_pair()
    conduit = Conduit(near, nothing)
    await conduit.send_all(control(frames.PING))
    conduit.broken()
    await conduit.send_all(control(frames.PING))
    assert not conduit.waiting


async def test_replayed_bytes_come_first_and_the_first_words_are_kept(mock_clock: MockClock) -> None:
    near, far = trio.testing.memory_stream_pair()
    conduit = Conduit(near, nothing, replay=b"read before")
    assert await conduit.receive_some(1) == b"read before"
    mock_clock.jump(5)
    await far.send_all(b"x" * 2000)
    assert await conduit.receive_some() == b"x" * 2000
    assert conduit.head == b"x" * 1024
    assert conduit.last_heard == trio.current_time()


@pytest.mark.parametrize("how", ["ends", "breaks", "is given up"])
async def test_the_end_is_told_once(how: str) -> None:
    told: list[str] = []
    near, far = trio.testing.memory_stream_pair()
    conduit = Conduit(near, nothing)
    conduit.on_finished = lambda: told.append(how)
    if how == "ends":
        await far.send_eof()
        assert await conduit.receive_some() == b""
    elif how == "breaks":
        await near.aclose()
        with pytest.raises(trio.ClosedResourceError):
            await conduit.receive_some()
    else:
        await conduit.aclose()
    assert conduit.finished
    with pytest.raises(trio.ClosedResourceError):
        await conduit.receive_some()
    await conduit.aclose()
    assert told == [how]
