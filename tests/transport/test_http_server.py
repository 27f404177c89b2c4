"""The HTTP server: small requests, bad ones, slow clients, and nothing that can end it."""

from __future__ import annotations

import errno
import os
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import attrs
import pytest
import trio
import trio.testing
from trio.testing import MockClock

from trio_runner.errors import ConfigError
from trio_runner.protocol.codec import RUNNER_TO_BROKER
from trio_runner.transport.http_server import HttpRequest, HttpResponse, Upgrade, serve_http
from trio_runner.transport.link import Link

CLOSE = 8


async def never_serve(link: Link[Any]) -> None:
    await trio.lowlevel.checkpoint()
    pytest.fail(f"{link.peer} was served, though it asked for no WebSocket")


@attrs.define
class Site:
    """A server under test, what its route was asked, and what trouble it told of."""

    port: int = 0
    requests: list[HttpRequest] = attrs.field(factory=list)
    trouble: list[str] = attrs.field(factory=list)

    def route(self, request: HttpRequest) -> HttpResponse | Upgrade[Any]:
        self.requests.append(request)
        if request.path == "/boom":
            raise KeyError("in the route")
        if request.path == "/ws":
            return Upgrade(RUNNER_TO_BROKER, never_serve)
        if request.path == "/bad-answer":
            return HttpResponse(200, b"", headers=(("X", "line\nbreak"),))
        if request.method not in ("GET", "POST"):
            return HttpResponse(405, b"Only GET\n", headers=(("Allow", "GET, HEAD"),))
        if request.path == "/refused":
            return HttpResponse(403, b"no\n")
        return HttpResponse(200, b"hello " + request.body)

    async def call(self) -> trio.SocketStream:
        return await trio.open_tcp_stream("127.0.0.1", self.port)


@asynccontextmanager
async def open_site(**options: Any) -> AsyncIterator[Site]:
    site = Site()
    async with trio.open_nursery() as nursery:
        serving = partial(serve_http, "127.0.0.1", 0, site.route, on_trouble=site.trouble.append, **options)
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


# --- requests ---------------------------------------------------------------------------------------


async def test_a_request_is_taken_apart() -> None:
    async with open_site() as site:
        answer = await exchange(
            site,
            b"POST /a%20b/c?x=1&y=%C3%A4&x=2&z HTTP/1.1\r\nHost: h\r\nX-Thing: one\r\nx-thing: two\r\n"
            b"Content-Length: 4\r\nConnection: close\r\n\r\nbody",
        )
        assert answer.startswith(b"HTTP/1.1 200 \r\n")
        assert b"Content-Type: text/plain; charset=utf-8\r\nContent-Length: 10\r\n" in answer
        assert answer.endswith(b"\r\n\r\nhello body")
        [request] = site.requests
        assert (request.method, request.path, request.body) == ("POST", "/a b/c", b"body")
        assert request.query == {"x": "2", "y": "ä", "z": ""}
        assert request.headers["x-thing"] == "one, two"
        assert request.client == "127.0.0.1"
        assert not request.wants_upgrade
        assert "body" not in repr(request)


async def test_head_is_answered_like_get_without_the_body() -> None:
    async with open_site() as site:
        answer = await exchange(site, b"HEAD /x HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
        assert answer.endswith(b"Content-Length: 6\r\nConnection: close\r\n\r\n")
        assert site.requests[0].method == "GET"


async def test_one_connection_serves_many_requests_and_pipelined_ones() -> None:
    async with open_site() as site:
        answer = await exchange(
            site,
            b"GET /1 HTTP/1.1\r\nHost: h\r\n\r\nPOST /2 HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\nx"
            b"HEAD /3 HTTP/1.1\r\nHost: h\r\n\r\nGET /4 HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n",
        )
        assert answer.count(b"HTTP/1.1 200") == 4
        assert [request.path for request in site.requests] == ["/1", "/2", "/3", "/4"]


async def test_a_request_that_comes_byte_by_byte() -> None:
    async with open_site() as site, await site.call() as stream:
        for byte in b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi":
            await stream.send_all(bytes([byte]))
        assert (await read_all(stream)).endswith(b"hello hi")


async def test_a_client_that_waits_to_be_asked_for_its_body() -> None:
    async with open_site() as site, await site.call() as stream:
        await stream.send_all(
            b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\nExpect: 100-continue\r\n"
            b"Connection: close\r\n\r\n"
        )
        assert await stream.receive_some() == b"HTTP/1.1 100 \r\n\r\n"
        await stream.send_all(b"hi")
        assert (await read_all(stream)).endswith(b"hello hi")


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"nonsense\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nno colon\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (b"OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n", 400),
        (b"GET http://[ HTTP/1.1\r\nHost: h\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: no\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: strange\r\n\r\n", 501),
        (b"DELETE /x HTTP/1.0\r\nHost: h\r\n\r\n", 405),
        (b"GET /boom HTTP/1.0\r\n\r\n", 500),
        (b"GET /refused HTTP/1.0\r\n\r\n", 403),
        (b"GET /ws HTTP/1.0\r\n\r\n", 426),
        (b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 65537\r\n\r\n" + b"x" * 65_537, 413),
        (b"POST / HTTP/1.0\r\nHost: h\r\nContent-Length: 65536\r\n\r\n" + b"x" * 65_536, 200),
        (b"GET / HTTP/1.1\r\nHost: h\r\nX: " + b"x" * 100_000 + b"\r\n\r\n", 431),
        (b"GET / HTTP/1.1\r\nHost: h\r\nX: " + b"x" * 900_000, 431),
        (b"GET /" + b"x" * 100_000, 431),
    ],
)
async def test_what_is_wrong_is_answered_with_its_status(request_bytes: bytes, status: int) -> None:
    async with open_site() as site:
        answer = await exchange(site, request_bytes)
        assert answer.startswith(b"HTTP/1.1 %d " % status)
        assert b"Connection: close\r\n" in answer or b"connection: close\r\n" in answer.lower()
        assert site.trouble == [] or status == 500


async def test_a_route_that_raises_is_told_in_one_line() -> None:
    async with open_site() as site:
        assert (await exchange(site, b"GET /boom HTTP/1.0\r\n\r\n")).endswith(
            b"\r\n\r\nInternal server error\n"
        )
        [trouble] = site.trouble
        assert trouble.startswith("GET /boom from 127.0.0.1 failed: KeyError('in the route') (")
        assert "test_http_server.py:" in trouble


async def test_an_answer_that_cannot_be_written_is_told() -> None:
    async with open_site() as site:
        assert await exchange(site, b"GET /bad-answer HTTP/1.0\r\n\r\n") == b""
        assert "a connection failed: LocalProtocolError" in site.trouble[0]


# --- clients that are slow, gone, or many -----------------------------------------------------------


@pytest.mark.parametrize(
    "beginning", [b"GET / HT", b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\nx"]
)
async def test_a_request_that_does_not_get_done(autojump_clock: MockClock, beginning: bytes) -> None:
    async with open_site() as site:
        answer = await exchange(site, beginning)
        assert answer.startswith(b"HTTP/1.1 408 ")
        assert trio.current_time() == pytest.approx(10, abs=1.5)


async def test_a_head_that_drips_in_is_given_up_all_the_same(autojump_clock: MockClock) -> None:
    async with open_site() as site, await site.call() as stream, trio.open_nursery() as nursery:

        async def drip() -> None:
            await stream.send_all(b"GET / HTTP/1.1\r\n")
            while True:
                await trio.sleep(1)
                await stream.send_all(b"X: y\r\n")

        nursery.start_soon(drip)
        assert (await stream.receive_some()).startswith(b"HTTP/1.1 408 ")
        assert trio.current_time() == pytest.approx(10, abs=0.5)
        nursery.cancel_scope.cancel()


async def test_a_connection_that_says_nothing_is_closed(autojump_clock: MockClock) -> None:
    async with open_site() as site:
        assert await exchange(site, b"") == b""
        assert trio.current_time() == pytest.approx(10, abs=0.5)


async def test_a_connection_may_idle_between_requests(autojump_clock: MockClock) -> None:
    async with open_site() as site, await site.call() as stream:
        for _ in range(3):
            await stream.send_all(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
            assert b"200" in await stream.receive_some()
            await trio.sleep(60)
        assert await stream.receive_some() == b""
        assert trio.current_time() == pytest.approx(195, abs=1)


async def test_a_later_request_has_no_more_time_than_the_first(autojump_clock: MockClock) -> None:
    async with open_site() as site, await site.call() as stream:
        await stream.send_all(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
        assert b"200" in await stream.receive_some()
        await trio.sleep(50)
        await stream.send_all(b"GET / HT")
        assert (await stream.receive_some()).startswith(b"HTTP/1.1 408 ")
        assert trio.current_time() == pytest.approx(60, abs=0.5)


async def test_clients_that_leave_in_every_state_harm_nobody() -> None:
    beginnings = [
        b"",
        b"GET",
        b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nx",
        b"GET / HTTP/1.1\r\n",
    ]
    async with open_site() as site:
        for beginning in beginnings:
            for reset in (True, False):
                stream = await site.call()
                await stream.send_all(beginning)
                if reset:
                    stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                await stream.aclose()
        await trio.testing.wait_all_tasks_blocked(0.02)
        assert site.trouble == []


async def test_more_connections_than_allowed_are_refused_and_there_is_room_again() -> None:
    async with open_site(max_connections=2) as site:
        async with await site.call(), await site.call():
            await trio.testing.wait_all_tasks_blocked(0.02)
            for _ in range(2):
                answer = await exchange(site, b"")
                assert answer.startswith(b"HTTP/1.1 503 ")
                assert answer.endswith(b"\r\n\r\nToo many connections\n")
        await trio.testing.wait_all_tasks_blocked(0.02)
        assert (await exchange(site, b"GET / HTTP/1.0\r\n\r\n")).startswith(b"HTTP/1.1 200")
        assert site.trouble == ["more than 2 connections; refusing new ones"]


async def test_a_system_without_room_for_connections_does_not_end_the_server(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    real_accept = trio.SocketListener.accept
    failures = [errno.EMFILE, errno.ENFILE, errno.ENOBUFS]

    async def accept(listener: trio.SocketListener) -> trio.SocketStream:
        if failures:
            code = failures.pop(0)
            raise OSError(code, os.strerror(code))
        return await real_accept(listener)

    monkeypatch.setattr(trio.SocketListener, "accept", accept)
    async with open_site() as site:
        assert b"hello" in await exchange(site, b"GET / HTTP/1.0\r\n\r\n")
        assert site.trouble == ["cannot accept connections: Too many open files; will try again"]


# --- listening --------------------------------------------------------------------------------------


async def test_a_port_in_use() -> None:
    async with open_site() as site:
        with pytest.raises(ConfigError) as caught:
            await serve_http("127.0.0.1", site.port, site.route)
    assert str(caught.value) == (
        f"cannot listen on 127.0.0.1 port {site.port}: the port is in use; stop what uses it, or choose"
        " another (0: any free one)"
    )


@pytest.mark.parametrize(
    ("host", "port", "why"),
    [
        ("203.0.113.7", 0, "that is not an address of this machine"),
        ("a" * 70, 0, "the host name is unknown"),
        ("127.0.0.1", 70_000, "port"),
    ],
)
async def test_an_address_on_which_nothing_can_listen(host: str, port: int, why: str) -> None:
    with pytest.raises(ConfigError, match=rf"cannot listen on {host} port {port}: .*{why}"):
        await serve_http(host, port, lambda _: HttpResponse(200))


async def test_clients_that_reset_before_they_are_accepted_are_no_trouble() -> None:
    async with open_site() as site:
        for _ in range(20):
            with socket.create_connection(("127.0.0.1", site.port)) as client:
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        stream = await site.call()
        await stream.send_all(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert (await stream.receive_some()).startswith(b"HTTP/1.1 200")
        await stream.aclose()
    assert site.trouble == []
