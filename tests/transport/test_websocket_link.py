"""The link over a WebSocket against peers that speak the wire byte by byte."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest
import trio
import trio.testing
from trio.testing import MockClock

from trio_runner.errors import LinkLost
from trio_runner.protocol import messages as m
from trio_runner.protocol.codec import Codec
from trio_runner.protocol.raw_json import RawJson
from trio_runner.transport.link import Link, LinkSettings, Malformed

Met = tuple[Link[Any], Any]
Meet = Callable[..., AbstractAsyncContextManager[Met]]

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
ANY: Codec[Any] = Codec(m.BrokerToRunner | m.RunnerToBroker)
INFO_REQUEST = b'{"type":"broker:inforequest"}'


def bulk(size: int) -> m.TaskDone:
    return m.TaskDone("t", RawJson(b'"' + b"x" * size + b'"'))


async def read_message(peer: Any) -> bytes:
    """Read frames until a message is whole, answering nothing."""
    parts = [await peer.read()]
    assert parts[0].opcode == TEXT
    while not parts[-1].final:
        parts.append(await peer.read())
        assert parts[-1].opcode == CONTINUATION
    return b"".join(part.payload for part in parts)


async def read_until(peer: Any, opcode: int) -> list[Any]:
    """Read frames until one of this kind comes; return all of them."""
    frames = [await peer.read()]
    while frames[-1].opcode != opcode:
        frames.append(await peer.read())
    return frames


# --- what is on its way ----------------------------------------------------------------------------


def is_receiving(link: Link[Any]) -> bool:
    return link.receiving


async def test_a_large_message_that_is_arriving_shows(meet: Meet, autojump_clock: MockClock) -> None:
    async with meet() as (link, peer):
        assert not is_receiving(link)
        await peer.send(TEXT, INFO_REQUEST)
        await link.receive()
        assert not is_receiving(link)
        text = b'{"type":"runner:taskdone","taskId":"1","data":"%s"}' % (b"y" * 300_000)
        await peer.send(TEXT, text[:200_000], final=False)
        await trio.sleep(1)
        assert is_receiving(link)
        await trio.sleep(5)
        assert not is_receiving(link), "nothing has come for a while"
        await peer.send(CONTINUATION, text[200_000:])
        assert isinstance(await link.receive(), m.TaskDone)
        assert not is_receiving(link)


async def test_a_large_message_is_arriving_until_it_is_handed_over(meet: Meet) -> None:
    # A time limit that passes while it is being taken in would be held against its sender otherwise.
    size, seen, arrived = 3_000_000, list[bool](), trio.Event()
    async with meet() as (link, peer), trio.open_nursery() as nursery:

        async def look() -> None:
            while not arrived.is_set():
                seen.append(is_receiving(link))
                await trio.lowlevel.checkpoint()

        def handle(_message: object) -> None:
            arrived.set()

        nursery.start_soon(look)
        nursery.start_soon(link.receive_each, handle)
        await peer.send(TEXT, b'{"type":"runner:taskdone","taskId":"1","data":"%s"}' % (b"y" * size))
        await arrived.wait()
        await trio.testing.wait_all_tasks_blocked()
        assert not is_receiving(link)
        nursery.cancel_scope.cancel()
    assert True in seen
    assert False not in seen[seen.index(True) :]


# --- frames -----------------------------------------------------------------------------------------


async def test_small_messages_are_one_frame(meet: Meet) -> None:
    async with meet(LinkSettings(heartbeat=None)) as (link, peer):
        link.send(m.TaskAccepted("t"))
        frame = await peer.read()
        assert (frame.opcode, frame.final) == (TEXT, True)
        assert json.loads(frame.payload) == {"type": "runner:taskaccepted", "taskId": "t"}


@pytest.mark.parametrize("size", [100, 200, 70_000, 131_072, 131_073, 5_000_000])
async def test_messages_of_every_size_arrive_whole(meet: Meet, size: int) -> None:
    async with meet(LinkSettings(heartbeat=None)) as (link, peer):
        link.send(bulk(size))
        assert json.loads(await read_message(peer))["data"] == "x" * size


async def test_fragments_of_the_peer_are_joined_and_may_have_control_frames_between(meet: Meet) -> None:
    text = '{"type":"broker:taskcancel","taskId":"ä😀"}'.encode()
    async with meet() as (link, peer):
        await peer.send(TEXT, text[:39], final=False)  # cut within a character
        await peer.send(PING, b"are you there")
        await peer.send(CONTINUATION, b"", final=False)
        await peer.send(CONTINUATION, text[39:])
        assert await link.receive() == m.TaskCancel("ä😀")
        assert (await peer.read()).payload == b"are you there"


async def test_a_message_that_comes_byte_by_byte(meet: Meet) -> None:
    async with meet() as (link, peer):
        for byte in peer.frame(TEXT, INFO_REQUEST):
            await peer.stream.send_all(bytes([byte]))
            await trio.lowlevel.checkpoint()
        assert await link.receive() == m.InfoRequest()


async def test_a_binary_frame_is_a_value(meet: Meet) -> None:
    async with meet() as (link, peer):
        await peer.send(BINARY, INFO_REQUEST)
        await peer.send(TEXT, INFO_REQUEST)
        assert await link.receive() == Malformed("binary frame; every message is a text frame")
        assert await link.receive() == m.InfoRequest()


async def test_flush_waits_for_what_was_queued_and_no_longer(meet: Meet) -> None:
    async with meet(LinkSettings(heartbeat=None)) as (link, peer), trio.open_nursery() as nursery:
        link.send(bulk(30_000_000))
        flushed = trio.Event()

        async def flush() -> None:
            await link.flush()
            flushed.set()

        nursery.start_soon(flush)
        await trio.testing.wait_all_tasks_blocked(0.02)
        link.send(bulk(40_000_000))
        await read_message(peer)
        await flushed.wait()
        assert link.statistics().queued_messages == 1
        await read_message(peer)


# --- pings ------------------------------------------------------------------------------------------


async def test_pings_are_answered_while_the_owner_does_not_receive(meet: Meet) -> None:
    async with meet() as (link, peer):
        for _ in range(100):
            await peer.send(TEXT, INFO_REQUEST)
        for number in range(3):
            await peer.send(PING, b"%d" % number)
            frame = await peer.read()
            assert (frame.opcode, frame.payload) == (PONG, b"%d" % number)
        assert [await link.receive() for _ in range(100)] == [m.InfoRequest()] * 100


async def test_pings_are_answered_in_the_middle_of_a_large_message(meet: Meet) -> None:
    async with meet() as (link, peer):
        link.send(bulk(30_000_000))
        await peer.send(PING, b"!")
        first = await read_until(peer, PONG)
        assert sum(len(frame.payload) for frame in first) < 30_000_000
        rest = await peer.read()
        while not rest.final:
            assert rest.opcode == CONTINUATION
            rest = await peer.read()


async def test_two_ends_that_send_large_messages_and_ping_each_other_do_not_wait_for_ever(meet: Meet) -> None:
    async with meet() as (link, peer), trio.open_nursery() as nursery:
        link.send(bulk(20_000_000))
        await peer.send(PING, b"before")
        nursery.start_soon(
            peer.send, TEXT, b'{"type":"runner:taskdone","taskId":"1","data":"%s"}' % (b"y" * 20_000_000)
        )
        # The peer sends all of its own before it reads: the link has to take it in meanwhile.
        message = await link.receive()
        assert isinstance(message, m.TaskDone)
        assert len(message.data) == 20_000_002
        frames = await read_until(peer, PONG)
        assert frames[-1].payload == b"before"


async def test_of_many_pings_only_the_latest_must_be_answered(meet: Meet) -> None:
    async with meet() as (link, peer):
        burst = b"".join(peer.frame(PING, b"%d" % number) for number in range(5000))
        await peer.stream.send_all(burst)
        frames = [await peer.read()]
        while frames[-1].payload != b"4999":
            frames.append(await peer.read())
        assert {frame.opcode for frame in frames} == {PONG}
        link.send(m.Drain())
        assert (await peer.read()).opcode == TEXT


# --- heartbeat --------------------------------------------------------------------------------------


# The link that calls pings soon after the first messages, the one that was called after a whole period.
FOUND_OUT_AFTER = {"client": 31, "server": 60}


async def test_a_silent_peer_is_found_out(
    meet: Meet, autojump_clock: MockClock, request: pytest.FixtureRequest
) -> None:
    async with meet(LinkSettings(heartbeat=30)) as (link, _):
        with pytest.raises(LinkLost) as caught:
            await link.receive()
        assert str(caught.value) == f"connection to {link.peer} lost: no answer to a ping for 30 s"
        expected = FOUND_OUT_AFTER[request.node.callspec.params["meet"]]
        assert trio.current_time() == pytest.approx(expected, abs=0.5)


async def test_a_silent_peer_is_found_out_while_a_message_is_stuck(
    meet: Meet, autojump_clock: MockClock, request: pytest.FixtureRequest
) -> None:
    async with meet(LinkSettings(heartbeat=30)) as (link, _):
        link.send(bulk(50_000_000))
        with pytest.raises(LinkLost, match="no answer to a ping"):
            await link.receive()
        expected = FOUND_OUT_AFTER[request.node.callspec.params["meet"]]
        assert trio.current_time() == pytest.approx(expected, abs=0.5)
        assert link.statistics().queued_bytes == 0


async def test_the_round_trip_and_silence_are_measured(
    meet: Meet, autojump_clock: MockClock, request: pytest.FixtureRequest
) -> None:
    async with meet(LinkSettings(heartbeat=30)) as (link, peer):
        ping = await peer.read()
        await trio.sleep(0.25)
        before = link.statistics()
        await peer.send(PONG, ping.payload)
        await trio.sleep(2)
        after = link.statistics()
    by_the_client = request.node.callspec.params["meet"] == "client"
    assert before.round_trip is None
    assert after.round_trip == (pytest.approx(0.25, abs=0.1) if by_the_client else None)
    assert after.silent_for == pytest.approx(2, abs=0.1)
    assert after.stuck_for == 0


async def test_what_cannot_be_written_shows(meet: Meet, autojump_clock: MockClock) -> None:
    async with meet() as (link, _):
        assert link.statistics().stuck_for == 0
        link.send(bulk(50_000_000))
        await trio.sleep(20)
        assert link.statistics().stuck_for == pytest.approx(20, abs=0.5)


async def test_a_peer_that_answers_is_kept(meet: Meet, autojump_clock: MockClock) -> None:
    async def answer(peer: Any) -> None:
        while True:
            frame = await peer.read()
            await peer.send(PONG, frame.payload)

    async with meet(LinkSettings(heartbeat=30)) as (link, peer), trio.open_nursery() as nursery:
        nursery.start_soon(answer, peer)
        with trio.move_on_after(1000):
            await link.receive()
        assert trio.current_time() >= 1000
        nursery.cancel_scope.cancel()


async def test_whatever_a_peer_sends_proves_that_it_lives(meet: Meet, autojump_clock: MockClock) -> None:
    """A peer in the middle of a large message cannot answer a ping."""

    async def talk(peer: Any) -> None:
        while True:
            await trio.sleep(20)
            await peer.send(TEXT, INFO_REQUEST)

    async with meet(LinkSettings(heartbeat=30)) as (link, peer), trio.open_nursery() as nursery:
        nursery.start_soon(talk, peer)
        for _ in range(20):
            assert await link.receive() == m.InfoRequest()
        nursery.cancel_scope.cancel()


async def test_without_heartbeat_nothing_is_sent_and_nobody_is_judged(
    meet: Meet, autojump_clock: MockClock
) -> None:
    async with meet(LinkSettings(heartbeat=None)) as (link, peer):
        with trio.move_on_after(10_000) as waited:
            await link.receive()
        assert waited.cancelled_caught
        link.send(m.Drain())
        assert (await peer.read()).opcode == TEXT


async def test_a_loop_that_was_held_up_does_not_blame_the_peer(meet: Meet, mock_clock: MockClock) -> None:
    async with meet(LinkSettings(heartbeat=30)) as (link, peer):
        await trio.testing.wait_all_tasks_blocked()
        mock_clock.jump(30)
        assert (await peer.read()).opcode == PING
        mock_clock.jump(500)  # the ping was never answered, but nobody could have noticed
        assert (await peer.read()).opcode == PING
        await peer.send(PONG)
        await peer.send(TEXT, INFO_REQUEST)
        assert await link.receive() == m.InfoRequest()
        mock_clock.autojump_threshold = 0  # the peer will not answer our close
