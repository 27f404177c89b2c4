"""The block that holds a link: whatever happens in it, it ends soon and lets the right thing through."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import trio
import trio.testing
from trio.testing import MockClock

from trio_runner.errors import LinkLost
from trio_runner.protocol import messages as m
from trio_runner.protocol.codec import BROKER_TO_RUNNER, Codec
from trio_runner.protocol.raw_json import RawJson
from trio_runner.transport.dial import open_link
from trio_runner.transport.link import Link, LinkSettings

TEXT, CLOSE, PING, PONG = 1, 8, 9, 10
ANY: Codec[Any] = Codec(m.BrokerToRunner | m.RunnerToBroker)


def bulk(size: int) -> m.TaskDone:
    return m.TaskDone("t", RawJson(b'"' + b"x" * size + b'"'))


class Peers:
    """Raw servers that shake hands and hand themselves to the test."""

    def __init__(self, nursery: trio.Nursery, start_raw_server: Any) -> None:
        self._nursery = nursery
        self._start = start_raw_server
        self._send, self._receive = trio.open_memory_channel[Any](10)

    async def start(self) -> str:
        async def play(peer: Any) -> None:
            await peer.accept()
            self._send.send_nowait(peer)
            await trio.sleep_forever()

        return f"ws://127.0.0.1:{await self._start(self._nursery, play)}/"

    async def next(self) -> Any:
        return await self._receive.receive()


async def test_an_exception_passes_unchanged_and_the_peer_is_told(
    start_raw_server: Any, autojump_clock: MockClock
) -> None:
    for error in (ValueError("mine"), ExceptionGroup("mine", [KeyError("x")])):
        async with trio.open_nursery() as nursery:
            peers = Peers(nursery, start_raw_server)
            url = await peers.start()
            with pytest.raises(type(error)) as caught:
                async with open_link(url, ANY, bearer=""):
                    raise error
            assert caught.value is error
            assert (await (await peers.next()).read()).payload[:2] == (1011).to_bytes(2, "big")
            nursery.cancel_scope.cancel()


async def test_the_owners_cancellation_works_and_the_peer_is_told(
    start_raw_server: Any, autojump_clock: MockClock
) -> None:
    async with trio.open_nursery() as nursery:
        peers = Peers(nursery, start_raw_server)
        with trio.move_on_after(5) as scope:
            quiet = LinkSettings(heartbeat=None)
            async with open_link(await peers.start(), ANY, bearer="", settings=quiet) as link:
                await link.receive()
        assert scope.cancelled_caught
        assert trio.current_time() == pytest.approx(5.5, abs=0.1)
        assert (await (await peers.next()).read()).payload[:2] == (1001).to_bytes(2, "big")
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("wanted", ["cancel", "raise", "return"])
async def test_a_peer_that_reads_nothing_cannot_keep_the_block_open(
    start_raw_server: Any, autojump_clock: MockClock, wanted: str
) -> None:
    async with trio.open_nursery() as nursery:
        peers = Peers(nursery, start_raw_server)
        scope = trio.CancelScope()
        with pytest.raises(ValueError, match="mine") if wanted == "raise" else scope:
            async with open_link(await peers.start(), ANY, bearer="") as link:
                for _ in range(20):
                    link.send(bulk(3_000_000))
                await trio.testing.wait_all_tasks_blocked()
                began = trio.current_time()
                if wanted == "cancel":
                    scope.cancel()
                    await trio.sleep_forever()
                if wanted == "raise":
                    raise ValueError("mine")
        assert trio.current_time() - began == pytest.approx(2 if wanted == "return" else 0.5, abs=0.1)
        nursery.cancel_scope.cancel()


async def test_a_block_that_is_cancelled_while_the_peer_reads_ends_with_a_whole_close_frame(
    start_raw_server: Any,
) -> None:
    frames: list[Any] = []

    async def play(peer: Any) -> None:
        await peer.accept()
        while not frames or frames[-1].opcode != CLOSE:
            frames.append(await peer.read())
            if len(frames) == 3:
                in_the_middle.set()
        await peer.send(CLOSE, frames[-1].payload)
        finished.set()

    in_the_middle, finished = trio.Event(), trio.Event()
    async with trio.open_nursery() as nursery:
        port = await start_raw_server(nursery, play)
        with trio.CancelScope() as scope:
            async with open_link(f"ws://127.0.0.1:{port}/", ANY, bearer="") as link:
                link.send(bulk(50_000_000))
                await in_the_middle.wait()
                scope.cancel()
                await trio.sleep_forever()
        await finished.wait()
        nursery.cancel_scope.cancel()
    cut = [frame for frame in frames[:-1] if frame.opcode < CLOSE]  # on a slow machine, pings come between
    assert not any(frame.final for frame in cut), "the message was left off between two frames"
    assert frames[-1].payload == (1001).to_bytes(2, "big")


async def test_a_ping_in_answer_to_the_end_of_the_block_does_not_leak(
    start_raw_server: Any, autojump_clock: MockClock
) -> None:
    """It could kill the reader, and a stray Cancelled could end the caller's nursery without a word."""
    reached: list[str] = []

    async def play(peer: Any) -> None:
        await peer.accept()
        while (await peer.read()).opcode != CLOSE:
            pass
        await peer.send(PING, b"crossing")
        await peer.send(CLOSE, b"\x03\xe8")

    async with trio.open_nursery() as nursery:
        port = await start_raw_server(nursery, play)
        async with open_link(f"ws://127.0.0.1:{port}/", ANY, bearer="") as link:
            link.send(m.Drain())
        reached.append("after the block")
        await trio.lowlevel.checkpoint()
        reached.append("after a checkpoint")
        nursery.cancel_scope.cancel()
    assert reached == ["after the block", "after a checkpoint"]


async def test_a_lost_link_does_not_disturb_the_block(
    start_raw_server: Any, autojump_clock: MockClock
) -> None:
    async def play(peer: Any) -> None:
        await peer.accept(extra=b"\xff" * 50)

    async with trio.open_nursery() as nursery:
        port = await start_raw_server(nursery, play)
        async with open_link(f"ws://127.0.0.1:{port}/", ANY, bearer="") as link:
            await trio.sleep(100)
            with pytest.raises(LinkLost, match="broke the WebSocket protocol"):
                await link.receive()
            await trio.sleep(100)
        nursery.cancel_scope.cancel()


async def test_what_is_queued_when_the_block_returns_is_written(open_sockets: Any) -> None:
    received: list[Any] = []

    async def take_all(link: Link[Any], done: trio.Event) -> None:
        try:
            while True:
                received.append(await link.receive())
        except LinkLost:
            done.set()

    done = trio.Event()
    async with (
        trio.open_nursery() as nursery,
        open_sockets(LinkSettings(), LinkSettings()) as (client, server, _),
    ):
        nursery.start_soon(take_all, server, done)
        client.send(bulk(5_000_000))
        client.send(m.Drain())
        client.close()
        await done.wait()
    assert received == [m.Drain(), bulk(5_000_000)]


SERVER = """
import sys
from websockets.sync.server import serve

def handle(connection):
    connection.send('{"type":"broker:inforequest"}')
    for message in connection:
        message = message.replace('runner:taskdone', 'broker:tasksettings')
        connection.send(message.replace('"data"', '"settings"'))

with serve(handle, "127.0.0.1", 0, max_size=None) as server:
    print(server.socket.getsockname()[1], flush=True)
    server.serve_forever()
"""


@pytest.fixture
def other_implementation() -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A server in a process of its own, by another WebSocket library: the process and its URL."""
    with subprocess.Popen([sys.executable, "-c", SERVER], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process, f"ws://127.0.0.1:{process.stdout.readline().strip()}/"
        finally:
            process.kill()


@pytest.mark.process
async def test_another_implementation_understands_us(other_implementation: Any) -> None:
    _, url = other_implementation
    for text in ("ä" * 100, "x" * 3_000_000):
        async with open_link(url, BROKER_TO_RUNNER, bearer="") as link:
            assert await link.receive() == m.InfoRequest()
            payload = RawJson.of(text)
            link.send(m.TaskDone("t", payload))
            assert await link.receive() == m.TaskSettings("t", payload)


@pytest.fixture
def clock() -> MockClock:
    """The clock of the system, but that a test can put forward."""
    return MockClock(rate=1.0)


@pytest.mark.process
async def test_a_peer_that_is_stopped_is_found_out(other_implementation: Any, clock: MockClock) -> None:
    process, url = other_implementation

    async def let_time_pass() -> None:
        while True:
            await trio.testing.wait_all_tasks_blocked(0.05)
            clock.jump(10)

    async with (
        trio.open_nursery() as nursery,
        open_link(url, BROKER_TO_RUNNER, bearer="", settings=LinkSettings(heartbeat=30)) as link,
    ):
        assert await link.receive() == m.InfoRequest()
        process.send_signal(signal.SIGSTOP)
        link.send(bulk(10_000_000))
        nursery.start_soon(let_time_pass)
        with pytest.raises(LinkLost, match=r"no answer to a ping for 30 s"):
            await link.receive()
        nursery.cancel_scope.cancel()
        process.send_signal(signal.SIGCONT)
