"""The health port, over real sockets."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio

from trio_runner.errors import ConfigError
from trio_runner.service.daemon.health import is_local, serve_health
from trio_runner.transport.http_server import HttpRequest, HttpResponse

from ..logs.captured import capture_logs

pytestmark = pytest.mark.process


def answer(request: HttpRequest) -> HttpResponse:
    return HttpResponse(200, request.path.encode())


@asynccontextmanager
async def health() -> AsyncIterator[int]:
    async with trio.open_nursery() as nursery:
        _, port = await nursery.start(serve_health, "127.0.0.1", 0, answer)
        yield port
        nursery.cancel_scope.cancel()


async def test_it_is_answered() -> None:
    async with health() as port:
        with trio.fail_after(10):
            async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
                await stream.send_all(
                    b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
                )
                received = b"".join([chunk async for chunk in stream])
    assert received.startswith(b"HTTP/1.1 200") and received.endswith(b"/healthz")


async def test_the_line_that_other_tools_look_for() -> None:
    with capture_logs() as lines:
        async with health() as port:
            pass
    assert [line["event"] for line in lines] == [f"Health check server listening on 127.0.0.1, port {port}"]


async def test_a_port_in_use_is_one_clear_error() -> None:
    async with health() as port:
        message = (
            f"health check server: cannot listen on 127.0.0.1 port {port}: the port is in use; stop what uses"
            " it, or choose another (0: any free one) [N8N_RUNNERS_HEALTH_CHECK_SERVER_PORT]"
        )
        with pytest.RaisesGroup(pytest.RaisesExc(ConfigError, match=re.escape(message))):
            await serve_health("127.0.0.1", port, answer)


def test_loopback_is_local() -> None:
    assert [is_local(host) for host in ("127.0.0.1", "127.1.2.3", "::1", "localhost")] == [True] * 4
    assert [is_local(host) for host in ("0.0.0.0", "::", "10.0.0.1", "localhost.example")] == [False] * 4
