"""The health endpoint, over real sockets: alive, ready, in use."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
import trio
from structlog.testing import capture_logs

from trio_runner.errors import ConfigError
from trio_runner.service.daemon.health import serve_health

pytestmark = pytest.mark.process


@asynccontextmanager
async def health(is_ready: Callable[[], bool] = lambda: True) -> AsyncIterator[int]:
    async with trio.open_nursery() as nursery:
        _, port = await nursery.start(serve_health, "127.0.0.1", 0, is_ready)
        yield port
        nursery.cancel_scope.cancel()


async def ask(port: int, path: str, method: str = "GET") -> tuple[int, bytes]:
    with trio.fail_after(10):
        async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
            request = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
            await stream.send_all(request.encode())
            answer = b"".join([chunk async for chunk in stream])
    head, _, body = answer.partition(b"\r\n\r\n")
    return int(head.split()[1]), body


async def test_alive_whatever_the_brokers_do() -> None:
    async with health(lambda: False) as port:
        assert await ask(port, "/") == (200, b"OK")
        assert await ask(port, "/healthz") == (200, b"OK")
        assert (await ask(port, "/healthz", "HEAD"))[0] == 200


async def test_ready_only_when_a_task_could_come() -> None:
    ready = False
    async with health(lambda: ready) as port:
        assert (await ask(port, "/readyz"))[0] == 503
        ready = True
        assert await ask(port, "/readyz") == (200, b"OK")


async def test_anything_else() -> None:
    async with health() as port:
        assert (await ask(port, "/runners/_ws"))[0] == 404
        assert (await ask(port, "/healthz", "POST"))[0] == 405


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
            await serve_health("127.0.0.1", port, lambda: True)
