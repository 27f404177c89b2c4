"""WebSockets on the port of the HTTP server: accepted, refused, and never the end of the server."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import attrs
import pytest
import trio
import trio.testing
from trio.testing import MockClock

from trio_runner.errors import LinkLost
from trio_runner.protocol import messages as m
from trio_runner.protocol.codec import RUNNER_TO_BROKER
from trio_runner.transport.http_server import HttpRequest, HttpResponse, Upgrade, serve_http
from trio_runner.transport.link import Link

CLOSE = 8


@attrs.define
class Site:
    """A server under test, what its route was asked, and what trouble it told of."""

    port: int = 0
    requests: list[HttpRequest] = attrs.field(factory=list)
    trouble: list[str] = attrs.field(factory=list)
    served: list[str] = attrs.field(factory=list)

    def route(self, request: HttpRequest) -> HttpResponse | Upgrade[Any]:
        self.requests.append(request)
        if request.path in ("/ws", "/ws-boom"):
            return Upgrade(RUNNER_TO_BROKER, self.serve if request.path == "/ws" else self.serve_badly)
        return HttpResponse(403, b"no\n") if request.path == "/refused" else HttpResponse(200, b"hello ")

    async def serve(self, link: Link[Any]) -> None:
        link.send(m.InfoRequest())
        try:
            while True:
                await link.receive()
        finally:
            self.served.append(link.peer)

    async def serve_badly(self, link: Link[Any]) -> None:
        link.send(m.InfoRequest())
        await link.receive()
        raise ValueError("in serve\nwith two lines")

    async def call(self) -> trio.SocketStream:
        return await trio.open_tcp_stream("127.0.0.1", self.port)


@asynccontextmanager
async def open_site() -> AsyncIterator[Site]:
    site = Site()
    async with trio.open_nursery() as nursery:
        serving = partial(serve_http, "127.0.0.1", 0, site.route, on_trouble=site.trouble.append)
        addresses = await nursery.start(serving)
        assert [host for host, _ in addresses] == ["127.0.0.1"]
        site.port = addresses[0][1]
        yield site
        async with await site.call() as stream:  # whatever the test did, the server lives
            await stream.send_all(b"GET /alive HTTP/1.0\r\n\r\n")
            assert b"hello" in await read_all(stream)
        nursery.cancel_scope.cancel()


async def read_all(stream: trio.SocketStream) -> bytes:
    return b"".join([bytes(data) async for data in stream])


async def exchange(site: Site, request: bytes) -> bytes:
    """Send bytes, and return all that comes back until the server closes."""
    async with await site.call() as stream:
        await stream.send_all(request)
        return await read_all(stream)


async def test_a_websocket_beside_requests(call_raw: Callable[..., Any]) -> None:
    async with open_site() as site:
        peer = await call_raw(site.port)
        async with peer.stream:
            assert (await peer.ask("/ws?id=1")).startswith(b"HTTP/1.1 101 ")
            assert site.requests[0].wants_upgrade
            assert site.requests[0].query == {"id": "1"}
            assert (await peer.read()).payload == b'{"type":"broker:inforequest"}'
            assert b"hello" in await exchange(site, b"GET / HTTP/1.0\r\n\r\n")
        await trio.testing.wait_all_tasks_blocked(0.02)
        assert len(site.served) == 1
        assert site.trouble == []


async def test_a_websocket_after_requests_on_the_same_connection(call_raw: Callable[..., Any]) -> None:
    async with open_site() as site:
        peer = await call_raw(site.port)
        async with peer.stream:
            await peer.stream.send_all(b"GET /first HTTP/1.1\r\nHost: h\r\n\r\n")
            assert await peer.read_until(b"hello ")
            assert (await peer.ask("/refused")).startswith(b"HTTP/1.1 403 ")
            assert await peer.read_until(b"no\n")
            assert (await peer.ask("/ws")).startswith(b"HTTP/1.1 101 ")
            assert (await peer.read()).payload == b'{"type":"broker:inforequest"}'


@pytest.mark.parametrize(
    "missing", [b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n", b"Sec-WebSocket-Version: 13\r\n"]
)
async def test_an_upgrade_that_is_not_complete_is_refused(missing: bytes) -> None:
    request = (
        b"GET /ws HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    async with open_site() as site:
        assert (await exchange(site, request.replace(missing, b""))).startswith(b"HTTP/1.1 400 ")
        await trio.testing.wait_all_tasks_blocked(0.02)
        assert site.trouble == []


async def test_a_client_that_does_not_wait_for_the_answer_is_refused(call_raw: Callable[..., Any]) -> None:
    async with open_site() as site:
        peer = await call_raw(site.port)
        async with peer.stream:
            assert (await peer.ask("/ws", extra=peer.frame(1, b"{}"))).startswith(b"HTTP/1.1 400 ")
            assert await peer.read_until(b"data before the handshake was answered\n")


async def test_a_handler_that_raises_ends_its_connection_alone(call_raw: Callable[..., Any]) -> None:
    async with open_site() as site:
        good, bad = await call_raw(site.port), await call_raw(site.port)
        async with good.stream, bad.stream:
            await good.ask("/ws")
            await bad.ask("/ws-boom")
            for peer in (good, bad):
                assert (await peer.read()).payload == b'{"type":"broker:inforequest"}'
            await bad.send(1, b"{}")
            close = await bad.read()
            assert (close.opcode, close.payload) == (CLOSE, (1011).to_bytes(2, "big"))
            await bad.send(CLOSE, close.payload)
            await good.send(9, b"still there?")
            assert (await good.read()).payload == b"still there?"
        await trio.testing.wait_all_tasks_blocked(0.02)
        [trouble] = site.trouble
        assert "on /ws-boom failed: ValueError('in serve\\nwith two lines') (" in trouble
        assert "\n" not in trouble


async def test_a_ping_that_crosses_the_servers_close_ends_nothing(call_raw: Callable[..., Any]) -> None:
    async with open_site() as site:
        peer = await call_raw(site.port)
        async with peer.stream:
            await peer.ask("/ws-boom")
            await peer.read()
            await peer.stream.send_all(peer.frame(1, b"{}") + peer.frame(9, b"crossing") * 3)
            frame = await peer.read()
            while frame.opcode != CLOSE:
                frame = await peer.read()
            await peer.send(9, b"late")
            await peer.send(CLOSE, frame.payload)
            assert await peer.at_end()
        await trio.testing.wait_all_tasks_blocked(0.02)
        assert len(site.trouble) == 1


async def test_cancelling_the_server_tells_websockets_that_it_goes(
    call_raw: Callable[..., Any], autojump_clock: MockClock
) -> None:
    site = Site()
    async with trio.open_nursery() as outer:

        async def watch(websocket: Any, idle: trio.SocketStream) -> None:
            async with websocket.stream, idle:
                close = await websocket.read()
                assert (close.opcode, close.payload) == (CLOSE, (1001).to_bytes(2, "big"))
                assert await idle.receive_some() == b""
                assert await websocket.at_end()

        async with trio.open_nursery() as nursery:
            site.port = (await nursery.start(serve_http, "127.0.0.1", 0, site.route))[0][1]
            websocket, idle = await call_raw(site.port), await site.call()
            await websocket.ask("/ws")
            await websocket.read()
            outer.start_soon(watch, websocket, idle)
            nursery.cancel_scope.cancel()
    assert trio.current_time() <= 0.5 + 0.1
    with pytest.raises(OSError, match="all attempts to connect"):
        await site.call()


async def test_the_link_of_a_served_websocket_is_lost_when_the_client_goes(
    call_raw: Callable[..., Any],
) -> None:
    ends: list[str] = []

    async def serve(link: Link[Any]) -> None:
        try:
            await link.receive()
        except LinkLost as exc:
            ends.append(str(exc))

    async with trio.open_nursery() as nursery:
        serving = partial(serve_http, "127.0.0.1", 0, lambda _: Upgrade(RUNNER_TO_BROKER, serve))
        port = (await nursery.start(serving))[0][1]
        peer = await call_raw(port)
        await peer.ask()
        address = "{}:{}".format(*peer.stream.socket.getsockname())
        await peer.stream.aclose()
        await trio.testing.wait_all_tasks_blocked(0.02)
        nursery.cancel_scope.cancel()
    assert ends == [f"connection to {address} lost"]
