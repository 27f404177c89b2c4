"""How a link over a WebSocket ends: closed by either side, broken, or given up."""

from __future__ import annotations

import tracemalloc
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
from trio_runner.transport.link import Link, LinkSettings

Met = tuple[Link[Any], Any]
Meet = Callable[..., AbstractAsyncContextManager[Met]]

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
ANY: Codec[Any] = Codec(m.BrokerToRunner | m.RunnerToBroker)
INFO_REQUEST = b'{"type":"broker:inforequest"}'


def bulk(size: int) -> m.TaskDone:
    return m.TaskDone("t", RawJson(b'"' + b"x" * size + b'"'))


async def read_until(peer: Any, opcode: int) -> list[Any]:
    """Read frames until one of this kind comes; return all of them."""
    frames = [await peer.read()]
    while frames[-1].opcode != opcode:
        frames.append(await peer.read())
    return frames


# --- closing ----------------------------------------------------------------------------------------


async def test_the_peer_closes_and_gets_its_answer(meet: Meet) -> None:
    async with meet() as (link, peer):
        await peer.send(CLOSE, b"\x03\xe9bye")
        with pytest.raises(LinkLost, match=r"closed the connection: code 1001 \(bye\)"):
            await link.receive()
        assert (await peer.read()).payload == b"\x03\xe9bye"
        assert await peer.at_end()


async def test_the_peer_closes_without_a_code(meet: Meet) -> None:
    async with meet() as (link, peer):
        await peer.send(CLOSE)
        with pytest.raises(LinkLost, match=r"closed the connection: code 1005$"):
            await link.receive()


async def test_a_ping_that_crosses_our_close_does_no_harm(meet: Meet) -> None:
    async with meet() as (link, peer):
        link.close(4000, "done")
        assert (await peer.read()).opcode == CLOSE
        await peer.send(PING, b"crossing")
        await peer.send(TEXT, INFO_REQUEST)
        await peer.send(CLOSE, b"\x0f\xa0")
        if link.peer.startswith("ws"):
            await peer.stream.send_eof()  # it is the server that hangs up
        assert await link.receive() == m.InfoRequest()
        with pytest.raises(LinkLost, match="closed on this side"):
            await link.receive()
        assert await peer.at_end()


async def test_both_close_at_the_same_time(meet: Meet) -> None:
    async with meet() as (link, peer):
        link.close(4000)
        await peer.send(CLOSE, b"\x0f\xa1")
        if link.peer.startswith("ws"):
            await peer.stream.send_eof()
        with pytest.raises(LinkLost):
            await link.receive()
        frames = await read_until(peer, CLOSE)
        assert len(frames) == 1
        assert await peer.at_end()


async def test_the_peer_closes_while_it_is_being_written_to(meet: Meet) -> None:
    async with meet() as (link, peer):
        for _ in range(300):
            link.send(bulk(100_000))
        await trio.testing.wait_all_tasks_blocked(0.02)
        await peer.send(CLOSE, b"\x03\xe8")
        with pytest.raises(LinkLost, match="code 1000"):
            await link.receive()
        assert link.statistics().queued_messages == 0
        frames = await read_until(peer, CLOSE)
        assert len(frames) < 300
        assert all(frame.final for frame in frames)
        if link.peer.startswith("ws"):
            await peer.stream.send_eof()
        assert await peer.at_end()


async def test_a_peer_that_does_not_answer_our_close_is_not_waited_for(
    meet: Meet, autojump_clock: MockClock
) -> None:
    async with meet(LinkSettings(close_timeout=2)) as (link, _):
        began = trio.current_time()
        link.close()
        with pytest.raises(LinkLost, match="closed on this side"):
            await link.receive()
        assert trio.current_time() - began == pytest.approx(2, abs=0.1)


@pytest.mark.parametrize(
    ("opcode", "payload", "code", "why"),
    [
        (TEXT, b"\xff\xfe", 1007, "invalid start byte"),
        (TEXT, b"\xe2\x82", 1007, "unexpected end of data"),
        (TEXT, b"\xed\xa0\x80", 1007, "invalid continuation byte"),
        (CONTINUATION, b"x", 1002, "unexpected CONTINUATION"),
        (0x3, b"x", 1002, "Invalid opcode"),
        (0x10 | TEXT, b"x", 1002, "Reserved bit"),
        (PING, b"x" * 126, 1002, "Control frame with payload len > 125"),
        (CLOSE, b"\x00\x01", 1002, "CLOSE with invalid code"),
    ],
)
async def test_a_peer_that_breaks_the_protocol_is_told_so(
    meet: Meet, opcode: int, payload: bytes, code: int, why: str
) -> None:
    async with meet() as (link, peer):
        await peer.send(TEXT, INFO_REQUEST)
        await peer.send(opcode, payload)
        assert await link.receive() == m.InfoRequest()
        with pytest.raises(
            LinkLost, match=rf"broke the WebSocket protocol: .*{why}.*; closed with code {code}$"
        ):
            await link.receive()
        assert (await read_until(peer, CLOSE))[-1].payload[:2] == code.to_bytes(2, "big")


async def test_frames_of_the_wrong_role_are_refused(meet: Meet) -> None:
    async with meet() as (link, peer):
        peer._client = not peer._client
        await peer.send(TEXT, INFO_REQUEST)
        peer._client = not peer._client
        with pytest.raises(
            LinkLost, match=r"broke the WebSocket protocol: .*masked frame; closed with code 1002"
        ):
            await link.receive()


# --- large ------------------------------------------------------------------------------------------


async def test_a_gigabyte_announced_and_not_sent_costs_nothing(meet: Meet, autojump_clock: MockClock) -> None:
    async with meet(LinkSettings(heartbeat=30)) as (link, peer):
        tracemalloc.start()
        header = peer.frame(TEXT, b"x" * 65_536)[: 14 if peer._client else 10]
        size_at = 2
        await peer.stream.send_all(header[:size_at] + (1 << 30).to_bytes(8, "big") + header[size_at + 8 :])
        with pytest.raises(LinkLost, match="no answer to a ping"):
            await link.receive()
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < 5_000_000


async def test_more_than_the_limit_ends_the_link_before_it_is_all_there(meet: Meet) -> None:
    async with meet(LinkSettings(max_message=1_000_000)) as (link, peer):
        await peer.send(TEXT, b"x" * 900_000, final=False)
        await peer.send(CONTINUATION, b"x" * 100_001, final=False)
        with pytest.raises(
            LinkLost, match="sent more than the limit of 1000000 bytes; closed with code 1009"
        ):
            await link.receive()
        for _ in range(50):  # what the peer goes on to send must not destroy what it is told
            await peer.send(CONTINUATION, b"x" * 100_000, final=False)
        close = (await read_until(peer, CLOSE))[-1]
        assert close.payload == b"\x03\xf1Exceeded maximum message size: 1000000 bytes"


async def test_64_mib_pass_both_ways(open_sockets: Any) -> None:
    big = bulk(64 << 20)
    async with open_sockets(LinkSettings(), LinkSettings()) as (client, server, _):
        client.send(big)
        server.send(big)
        assert await server.receive() == big
        assert await client.receive() == big
