"""Two ends of a connection, in memory and over real sockets, and a way to disturb what is between them."""

from __future__ import annotations

import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from typing import Any, Literal, Protocol

import attrs
import pytest
import trio

from trio_runner.protocol import messages as m
from trio_runner.protocol.codec import Codec
from trio_runner.testing import MemoryLink, memory_link_pair
from trio_runner.transport.dial import open_link
from trio_runner.transport.http_server import HttpRequest, HttpResponse, Upgrade, serve_http
from trio_runner.transport.link import Link, LinkSettings
from trio_runner.transport.queued_link import QueuedLink

DEFAULTS = LinkSettings()
Kind = Literal["memory", "client", "server"]
BOTH_WAYS: Codec[Any] = Codec(m.BrokerToRunner | m.RunnerToBroker)
"""Decodes what either side sends, so that one test can stand on both."""


@attrs.frozen
class Pair:
    """The link under test, its other end, and what a test can do to what is between them."""

    near: Link[Any]
    far: Link[Any]
    cut: Callable[[], None]
    stall: Callable[[], None]

    def send_raw(self, text: str) -> None:
        """Let the near end receive a text frame that no message encodes to."""
        if isinstance(self.near, MemoryLink):
            self.near.deliver(text)
        else:
            assert isinstance(self.far, QueuedLink)
            self.far._outbox.put(m.Drain(), text.encode())
            self.far._wake()


class OpenPair(Protocol):
    def __call__(
        self, near: LinkSettings = ..., far: LinkSettings = ...
    ) -> AbstractAsyncContextManager[Pair]: ...


class Proxy:
    """Forwards TCP connections to a port, until told to stall (the peer hangs) or to cut (it is gone)."""

    def __init__(self, target: int) -> None:
        self.target = target
        self.port = 0
        self._streams: list[trio.SocketStream] = []
        self._flowing = trio.Event()
        self._flowing.set()

    def stall(self) -> None:
        """Forward nothing any more, and close nothing either."""
        self._flowing = trio.Event()

    def resume(self) -> None:
        """Forward again."""
        self._flowing.set()

    def cut(self) -> None:
        """Reset every connection."""
        for stream in self._streams:
            stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            stream.socket.close()

    async def serve(self, *, task_status: trio.TaskStatus[int] = trio.TASK_STATUS_IGNORED) -> None:
        """Listen on a free loopback port until cancelled."""
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        self.port = listeners[0].socket.getsockname()[1]
        task_status.started(self.port)
        await trio.serve_listeners(self._forward, listeners)

    async def _forward(self, near: trio.SocketStream) -> None:
        async with await trio.open_tcp_stream("127.0.0.1", self.target) as far:
            self._streams += [near, far]
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._pump, near, far)
                nursery.start_soon(self._pump, far, near)

    async def _pump(self, source: trio.SocketStream, sink: trio.SocketStream) -> None:
        try:
            async for data in source:
                await self._flowing.wait()
                await sink.send_all(data)
            await sink.send_eof()
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass


async def start_server(
    nursery: trio.Nursery,
    serve: Callable[[Link[Any]], Awaitable[None]],
    settings: LinkSettings = DEFAULTS,
) -> int:
    """Serve WebSockets on a free loopback port, whatever the path, and return the port."""

    def route(request: HttpRequest) -> HttpResponse | Upgrade[Any]:
        return Upgrade(BOTH_WAYS, serve, settings)

    def fail(trouble: str) -> None:
        raise AssertionError(trouble)

    serving = partial(serve_http, "127.0.0.1", 0, route, on_trouble=fail)
    addresses: tuple[tuple[str, int], ...] = await nursery.start(serving)
    return addresses[0][1]


@asynccontextmanager
async def socket_pair(
    client_settings: LinkSettings, server_settings: LinkSettings
) -> AsyncIterator[tuple[Link[Any], Link[Any], Proxy]]:
    """Connect a client link and a server link through a proxy."""
    served: list[Link[Any]] = []
    done = trio.Event()

    async def serve(link: Link[Any]) -> None:
        served.append(link)
        await done.wait()

    async with trio.open_nursery() as nursery:
        proxy = Proxy(await start_server(nursery, serve, server_settings))
        port = await nursery.start(proxy.serve)
        async with open_link(
            f"ws://127.0.0.1:{port}/x", BOTH_WAYS, bearer="", settings=client_settings
        ) as link:
            yield link, served[0], proxy
        done.set()
        nursery.cancel_scope.cancel()


@pytest.fixture
def open_sockets() -> Callable[..., AbstractAsyncContextManager[tuple[Link[Any], Link[Any], Proxy]]]:
    """Connect a client and a server link; see `socket_pair`."""
    return socket_pair


@pytest.fixture
def serve_links() -> Callable[..., Awaitable[int]]:
    """See `start_server`."""
    return start_server


@pytest.fixture
def proxy_to() -> type[Proxy]:
    """See `Proxy`."""
    return Proxy


@pytest.fixture(params=["memory", "client", "server"])
def open_pair(request: pytest.FixtureRequest) -> OpenPair:
    """Open two ends of a connection; which implementation is `near` varies from run to run."""
    kind: Kind = request.param

    @asynccontextmanager
    async def opening(near: LinkSettings = DEFAULTS, far: LinkSettings = DEFAULTS) -> AsyncIterator[Pair]:
        if kind == "memory":
            first, second = memory_link_pair(BOTH_WAYS, BOTH_WAYS, settings=near)
            second._settings = far
            yield Pair(first, second, first.drop, first.stall)
        elif kind == "client":
            async with socket_pair(near, far) as (client, server, proxy):
                yield Pair(client, server, proxy.cut, proxy.stall)
        else:
            async with socket_pair(far, near) as (client, server, proxy):
                yield Pair(server, client, proxy.cut, proxy.stall)

    return opening
