"""Opening a link to a broker."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TypeVar, cast

import trio
import trio_websocket

from ..errors import ConfigError
from ..protocol.codec import Codec
from . import refusals
from .conduit import Conduit
from .connect import connect
from .endpoints import parse_endpoint
from .link import Link, LinkSettings
from .websocket_link import RECEIVE_SIZE, HandshakeFailed, ShakeHands, WebSocketLink, hosted

__all__ = ["open_link"]

MessageT = TypeVar("MessageT")


@asynccontextmanager
async def open_link(
    url: str,
    codec: Codec[MessageT],
    *,
    bearer: str,
    settings: LinkSettings = LinkSettings(),  # noqa: B008 - frozen
) -> AsyncIterator[Link[MessageT]]:
    """Connect to a WebSocket endpoint and hold the link for the time of a block.

    Args:
        url: ``ws``, ``wss``, ``http`` or ``https`` URL of the endpoint, with path and query.
        codec: decodes what the peer sends.
        bearer: token for the Authorization header; empty: none is sent.
        settings: limits of the connection; `connect_timeout` covers name resolution, TCP, TLS and handshake.

    Raises:
        AuthRejected: the endpoint answered 401 or 403.
        LinkLost: it could not be reached or is no WebSocket; the message has host, port, reason and remedy.
        ConfigError: the URL, the token or `ca_file` cannot be used.

    Cancellation:
        When the block returns, what is queued is written and the connection is closed within `close_timeout`.
        When it raises or is cancelled, the queue is dropped and the connection closed within half a second.
    """
    endpoint = parse_endpoint(url)
    headers = _authorization(bearer)
    deadline = trio.current_time() + settings.connect_timeout
    stream = await connect(endpoint, settings, deadline)
    link = WebSocketLink(stream, codec, settings, endpoint.shown, client=True)
    shake_hands = _client_handshake(endpoint.host_header, endpoint.target, headers, settings.max_message)
    try:
        async with hosted(link, shake_hands, deadline):
            yield link
    except HandshakeFailed as exc:
        raise refusals.upgrade_failed(
            endpoint, exc.head, timed_out=exc.timed_out, seconds=settings.connect_timeout
        ) from exc.__cause__


def _client_handshake(
    host: str, target: str, headers: list[tuple[bytes, bytes]], max_message: int
) -> ShakeHands:
    async def shake_hands(nursery: trio.Nursery, conduit: Conduit) -> trio_websocket.WebSocketConnection:
        return await trio_websocket.wrap_client_stream(
            nursery,
            cast("trio.SocketStream", conduit),  # any stream will do
            host,
            target,
            extra_headers=headers,
            max_message_size=max_message,
            receive_buffer_size=RECEIVE_SIZE,
        )

    return shake_hands


def _authorization(bearer: str) -> list[tuple[bytes, bytes]]:
    """Return the header for a token.

    Raises:
        ConfigError: no HTTP header can carry it.
    """
    if not bearer:
        return []
    if not (bearer.isascii() and bearer.isprintable() and bearer == bearer.strip()):
        raise ConfigError(
            "the token holds spaces at an end, line breaks or characters outside ASCII: copy it again"
        )
    return [(b"Authorization", b"Bearer " + bearer.encode())]
