"""Plain HTTP for the harness: one request or one answer per connection, parsed by h11."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from urllib.parse import parse_qs, urlsplit

import attrs
import h11
import trio

# Clients of one address share a rate limit, so each fake client may have a loopback address of its own.
_ADDRESSES = (
    f"127.{first}.{second}.{third}"
    for first, second, third in itertools.product(range(10, 250), range(1, 250), range(2, 250))
)


def fresh_address() -> str:
    """Return a loopback address no other client of this run has come from."""
    return next(_ADDRESSES)


@attrs.frozen
class Hit:
    """One HTTP request as a server saw it; header names in lower case."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes
    at: float

    @property
    def path(self) -> str:
        """The path alone."""
        return urlsplit(self.target).path

    @property
    def query(self) -> dict[str, list[str]]:
        """The query, decoded."""
        return parse_qs(urlsplit(self.target).query, keep_blank_values=True)

    @property
    def wants_upgrade(self) -> bool:
        """Whether a WebSocket was asked for."""
        return self.headers.get("upgrade", "").lower() == "websocket"

    @property
    def bearer(self) -> str | None:
        """The token of the Authorization header."""
        value = self.headers.get("authorization", "")
        return value.removeprefix("Bearer ") if value.startswith("Bearer ") else None


@attrs.frozen
class Answer:
    """One HTTP answer as a client saw it; header names in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


async def read_hit(stream: trio.SocketStream) -> tuple[Hit, bytes] | None:
    """Read one request; return it with the raw bytes it came in, or None if the client left."""
    connection = h11.Connection(h11.SERVER)
    raw = b""
    request: h11.Request | None = None
    body = b""
    while True:
        event = connection.next_event()
        if event is h11.NEED_DATA:
            data = await stream.receive_some(65536)
            if not data:
                return None
            raw += data
            connection.receive_data(data)
        elif isinstance(event, h11.Request):
            request = event
        elif isinstance(event, h11.Data):
            body += bytes(event.data)
        elif request is not None:  # EndOfMessage, or PAUSED on an upgrade
            headers = {name.decode(): value.decode() for name, value in request.headers}
            hit = Hit(request.method.decode(), request.target.decode(), headers, body, trio.current_time())
            return hit, raw


def encode_answer(status: int, body: bytes, content_type: str = "application/json") -> bytes:
    """Return the bytes of an answer after which the connection ends."""
    head = (
        f"HTTP/1.1 {status} Answer\r\ncontent-type: {content_type}\r\n"
        f"content-length: {len(body)}\r\nconnection: close\r\n\r\n"
    )
    return head.encode() + body


async def fetch(
    port: int,
    method: str,
    target: str,
    *,
    body: bytes = b"",
    headers: Mapping[str, str] | None = None,
    source: str | None = None,
    limit: float = 30.0,
) -> Answer:
    """Send one request to a loopback port and return the answer.

    Args:
        port: the server's port on 127.0.0.1.
        method: such as ``GET``.
        target: path and query.
        body: the content; with it goes its length.
        headers: further headers.
        source: the loopback address to come from; None for the usual one.
        limit: seconds for the whole exchange.
    """
    sent = {"Host": f"127.0.0.1:{port}", "Connection": "close", **(headers or {})}
    if body or method == "POST":
        sent["Content-Length"] = str(len(body))
    connection = h11.Connection(h11.CLIENT)
    request = h11.Request(method=method, target=target, headers=list(sent.items()))
    with trio.fail_after(limit):
        stream = await trio.open_tcp_stream("127.0.0.1", port, local_address=source)
        async with stream:
            await stream.send_all(
                (connection.send(request) or b"")
                + ((connection.send(h11.Data(data=body)) or b"") if body else b"")
                + (connection.send(h11.EndOfMessage()) or b"")
            )
            return await _read_answer(connection, stream)


async def _read_answer(connection: h11.Connection, stream: trio.SocketStream) -> Answer:
    status, headers, body = 0, {}, b""
    while True:
        event = connection.next_event()
        if event is h11.NEED_DATA:
            connection.receive_data(await stream.receive_some(65536))
        elif isinstance(event, h11.Response):
            status = event.status_code
            headers = {name.decode(): value.decode() for name, value in event.headers}
        elif isinstance(event, h11.Data):
            body += bytes(event.data)
        elif isinstance(event, h11.EndOfMessage | h11.ConnectionClosed):
            return Answer(status, headers, body)
