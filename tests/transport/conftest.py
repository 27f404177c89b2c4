"""Two ends of a connection, in memory and over real sockets, and a way to disturb what is between them."""

from __future__ import annotations

import base64
import hashlib
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from typing import Any

import attrs
import pytest
import trio
from trio.testing import MockClock

from trio_runner.protocol import messages as m
from trio_runner.protocol.codec import Codec
from trio_runner.testing import MemoryLink, memory_link_pair
from trio_runner.transport.dial import open_link
from trio_runner.transport.http_server import HttpRequest, HttpResponse, Upgrade, serve_http
from trio_runner.transport.link import Link, LinkSettings
from trio_runner.transport.queued_link import QueuedLink

DEFAULTS = LinkSettings()
BOTH_WAYS: Codec[Any] = Codec(m.BrokerToRunner | m.RunnerToBroker)
"""Decodes what either side sends, so that one test can stand on both."""


@pytest.fixture
def autojump_clock() -> MockClock:
    """Virtual time that passes when nothing has come for a moment: the kernel may need one to deliver."""
    return MockClock(autojump_threshold=0.01)


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


class Proxy:
    """Forwards TCP connections to a port, until told to stall (the peer hangs) or to cut (it is gone)."""

    def __init__(self, target: int) -> None:
        self.target = target
        self._streams: list[trio.SocketStream] = []
        self._stalled = False

    def stall(self) -> None:
        """Forward nothing any more, and close nothing either."""
        self._stalled = True

    def cut(self) -> None:
        """Reset every connection."""
        for stream in self._streams:
            stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            stream.socket.close()

    async def serve(self, *, task_status: trio.TaskStatus[int] = trio.TASK_STATUS_IGNORED) -> None:
        """Listen on a free loopback port until cancelled."""
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        task_status.started(listeners[0].socket.getsockname()[1])
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
                if self._stalled:
                    await trio.sleep_forever()
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


@pytest.fixture(params=["memory", "client", "server"])
def open_pair(request: pytest.FixtureRequest) -> Callable[..., AbstractAsyncContextManager[Pair]]:
    """Open two ends of a connection; which implementation is `near` varies from run to run."""
    kind = request.param

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


# --- peers that speak the wire byte by byte ---------------------------------------------------------


@attrs.frozen
class Frame:
    """One WebSocket frame as a raw peer sees it."""

    opcode: int
    payload: bytes
    final: bool = True


class RawPeer:
    """The other end of a connection, played by the test: it sends what it likes, protocol or not."""

    def __init__(self, stream: trio.abc.Stream, *, client: bool) -> None:
        self.stream = stream
        self.request = b""
        self._client = client
        self._buffer = bytearray()

    async def read_until(self, end: bytes) -> bytes:
        """Return the bytes up to and including `end`."""
        while end not in self._buffer:
            data = await self._receive()
            if not data:
                raise trio.BrokenResourceError("the peer has left")
            self._buffer += data
        return await self._exactly(self._buffer.index(end) + len(end))

    async def accept(self, extra: bytes = b"") -> None:
        """As a server: shake hands, and send `extra` in the same packet."""
        self.request = await self.read_until(b"\r\n\r\n")
        headers = dict(line.split(b": ", 1) for line in self.request.split(b"\r\n")[1:-2])
        token = hashlib.sha1(headers[b"Sec-WebSocket-Key"] + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest()
        await self.stream.send_all(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: " + base64.b64encode(token) + b"\r\n\r\n" + extra
        )

    async def ask(self, path: str = "/", extra: bytes = b"") -> bytes:
        """As a client: ask for a WebSocket, send `extra` at once too, and return the head of the answer."""
        await self.stream.send_all(
            f"GET {path} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n"
            "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n".encode()
            + extra
        )
        return await self.read_until(b"\r\n\r\n")

    async def send(self, opcode: int, payload: bytes = b"", *, final: bool = True) -> None:
        """Send one frame."""
        await self.stream.send_all(self.frame(opcode, payload, final=final))

    def frame(self, opcode: int, payload: bytes = b"", *, final: bool = True) -> bytes:
        """Return one frame; a client's is masked with a key of zeros."""
        mask = 0x80 if self._client else 0
        length = len(payload)
        if length < 126:
            header = struct.pack("!BB", opcode | 0x80 * final, mask | length)
        elif length < 65536:
            header = struct.pack("!BBH", opcode | 0x80 * final, mask | 126, length)
        else:
            header = struct.pack("!BBQ", opcode | 0x80 * final, mask | 127, length)
        return header + (b"\0\0\0\0" if mask else b"") + payload

    async def read(self) -> Frame:
        """Read one frame, whole.

        Raises:
            EOFError: the connection ended between two frames, or within one.
        """
        first, second = await self._exactly(2)
        length = second & 0x7F
        if length >= 126:
            length = int.from_bytes(await self._exactly(2 if length == 126 else 8), "big")
        assert bool(second & 0x80) is not self._client, "a client's frames are masked, a server's are not"
        key = await self._exactly(4) if second & 0x80 else b"\0\0\0\0"
        payload = await self._exactly(length)
        mask = int.from_bytes((key * (length // 4 + 1))[:length], "big")
        clear = (int.from_bytes(payload, "big") ^ mask).to_bytes(length, "big")
        return Frame(first & 0x0F, clear, bool(first & 0x80))

    async def at_end(self) -> bool:
        """Whether nothing comes any more."""
        return not self._buffer and not await self._receive()

    async def _receive(self) -> bytes:
        try:
            return bytes(await self.stream.receive_some(1 << 18))
        except trio.BrokenResourceError:
            return b""

    async def _exactly(self, count: int) -> bytes:
        while len(self._buffer) < count:
            data = await self._receive()
            if not data:
                raise EOFError(f"ended with {len(self._buffer)} bytes left over")
            self._buffer += data
        taken = bytes(self._buffer[:count])
        del self._buffer[:count]
        return taken


Met = tuple[Link[Any], RawPeer]
Play = Callable[[RawPeer], Awaitable[None]]


async def start_peer(nursery: trio.Nursery, play: Play, context: ssl.SSLContext | None = None) -> int:
    """Play a server on a free loopback port, which is returned; a connection ends when `play` does."""

    async def serve(stream: trio.SocketStream) -> None:
        secured = stream if context is None else trio.SSLStream(stream, context, server_side=True)
        try:
            await play(RawPeer(secured, client=False))
        except trio.BrokenResourceError:
            pass  # the client has left
        finally:
            await trio.aclose_forcefully(secured)

    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    nursery.start_soon(trio.serve_listeners, serve, listeners)
    port: int = listeners[0].socket.getsockname()[1]
    return port


@pytest.fixture
def start_raw_server() -> Callable[..., Awaitable[int]]:
    """See `start_peer`."""
    return start_peer


@pytest.fixture
def call_raw() -> Callable[[int], Awaitable[RawPeer]]:
    """Connect a raw client to a loopback port."""

    async def call(port: int) -> RawPeer:
        return RawPeer(await trio.open_tcp_stream("127.0.0.1", port), client=True)

    return call


@pytest.fixture(params=["client", "server"])
def meet(request: pytest.FixtureRequest) -> Callable[..., AbstractAsyncContextManager[Met]]:
    """Open a link, as a client or as a server, whose other end is a raw peer."""

    @asynccontextmanager
    async def as_client(settings: LinkSettings) -> AsyncIterator[Met]:
        peers: list[RawPeer] = []
        done = trio.Event()

        async def play(peer: RawPeer) -> None:
            await peer.accept()
            peers.append(peer)
            await done.wait()

        async with trio.open_nursery() as nursery:
            port = await start_peer(nursery, play)
            async with open_link(f"ws://127.0.0.1:{port}/", BOTH_WAYS, bearer="", settings=settings) as link:
                yield link, peers[0]
                done.set()
            nursery.cancel_scope.cancel()

    @asynccontextmanager
    async def as_server(settings: LinkSettings) -> AsyncIterator[Met]:
        links: list[Link[Any]] = []
        opened, done = trio.Event(), trio.Event()

        async def serve(link: Link[Any]) -> None:
            links.append(link)
            opened.set()
            await done.wait()

        async with trio.open_nursery() as nursery:
            port = await start_server(nursery, serve, settings)
            peer = RawPeer(await trio.open_tcp_stream("127.0.0.1", port), client=True)
            await peer.ask()
            await opened.wait()
            async with peer.stream:
                yield links[0], peer
                done.set()
            nursery.cancel_scope.cancel()

    opening = as_client if request.param == "client" else as_server

    def open_either(settings: LinkSettings | None = None) -> AbstractAsyncContextManager[Met]:
        return opening(settings or LinkSettings(heartbeat=None))

    return open_either
