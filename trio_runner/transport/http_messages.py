"""What a route of the HTTP server is given and what it answers. No I/O."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Generic, TypeVar
from urllib.parse import parse_qsl, unquote, urlsplit

import attrs
import h11

from ..protocol.codec import Codec
from .link import Link, LinkSettings

__all__ = ["HttpRequest", "HttpResponse", "Route", "Upgrade"]

MessageT = TypeVar("MessageT")


@attrs.frozen
class HttpRequest:
    """One request, read whole.

    Attributes:
        method: upper-case; HEAD arrives as GET, the server leaves the body of the answer out.
        path: percent-decoded, without the query.
        query: parameters, decoded; of a repeated one the last.
        headers: by lower-case name; repeated ones are joined by commas. May hold a token: not in the repr.
        body: at most 64 KiB. May hold a token: not in the repr.
        client: address it came from, without the port.
    """

    method: str
    path: str
    query: Mapping[str, str] = attrs.field(factory=dict)
    headers: Mapping[str, str] = attrs.field(factory=dict, repr=False)
    body: bytes = attrs.field(default=b"", repr=False)
    client: str = ""

    @property
    def wants_upgrade(self) -> bool:
        """A WebSocket is asked for: only then may the answer be an `Upgrade`."""
        tokens = {token.strip().lower() for token in self.headers.get("connection", "").split(",")}
        upgrade = self.headers.get("upgrade", "").lower()
        return self.method == "GET" and "upgrade" in tokens and upgrade == "websocket"

    @classmethod
    def from_event(cls, event: h11.Request, body: bytes, client: str) -> HttpRequest:
        """Build a request from what h11 has read.

        Raises:
            ValueError: the target is neither a path nor a URL.
        """
        target = urlsplit(event.target.decode("ascii"))
        if not target.path.startswith("/"):
            raise ValueError("the request target must be a path")
        headers: dict[str, str] = {}
        for raw_name, raw_value in event.headers:
            name, value = raw_name.decode("ascii"), raw_value.decode("latin-1")
            headers[name] = f"{headers[name]}, {value}" if name in headers else value
        method = event.method.decode("ascii")
        return cls(
            method="GET" if method == "HEAD" else method,
            path=unquote(target.path),
            query=dict(parse_qsl(target.query, keep_blank_values=True)),
            headers=headers,
            body=body,
            client=client,
        )


@attrs.frozen
class HttpResponse:
    """An answer. `headers` come on top of Content-Type and Content-Length."""

    status: int
    body: bytes = attrs.field(default=b"", repr=False)
    content_type: str = "text/plain; charset=utf-8"
    headers: tuple[tuple[str, str], ...] = ()


@attrs.frozen
class Upgrade(Generic[MessageT]):
    """The answer that accepts a WebSocket.

    Attributes:
        codec: decodes what the client sends.
        serve: runs for the life of the link; the link closes when it returns. It may let `LinkLost` through.
        settings: limits of the connection.
    """

    codec: Codec[MessageT]
    serve: Callable[[Link[MessageT]], Awaitable[None]]
    settings: LinkSettings = attrs.field(factory=LinkSettings)


Route = Callable[[HttpRequest], HttpResponse | Upgrade[Any]]
"""Decides what to answer. Called in the event loop: it must be quick. An exception becomes a 500."""
