"""TCP and TLS to an endpoint, with one clear error for each way to fail."""

from __future__ import annotations

import ssl

import trio

from ..errors import ConfigError
from . import refusals
from .endpoints import Endpoint
from .link import LinkSettings

__all__ = ["ClientStream", "connect", "resolve"]

ClientStream = trio.SocketStream | trio.SSLStream[trio.SocketStream]


async def connect(endpoint: Endpoint, settings: LinkSettings, deadline: float) -> ClientStream:
    """Open a connection and, if the endpoint asks for it, TLS over it.

    Args:
        endpoint: where to.
        settings: `ca_file`, and `connect_timeout` for the error messages.
        deadline: on trio's clock; the connection must be ready by then.

    Raises:
        LinkLost: it could not be opened; the message says why, with a remedy.
        ConfigError: `ca_file` cannot be used.
    """
    context = _tls_context(settings.ca_file) if endpoint.secure else None
    stream = await _open_tcp(endpoint, settings, deadline)
    if context is None:
        return stream
    return await _open_tls(stream, context, endpoint, settings, deadline)


async def resolve(endpoint: Endpoint, settings: LinkSettings, deadline: float) -> tuple[str, ...]:
    """Return the addresses of an endpoint's host. Args as in `connect`.

    Raises:
        LinkLost: there are none; the message says why, with a remedy.
    """
    try:
        with trio.move_on_at(deadline):
            found = await trio.socket.getaddrinfo(endpoint.host, endpoint.port, type=trio.socket.SOCK_STREAM)
            return tuple(dict.fromkeys(str(address[0]) for *_, address in found))
    except (OSError, UnicodeError) as exc:
        raise refusals.connect_failed(endpoint, exc) from exc
    raise refusals.resolve_timed_out(endpoint, settings.connect_timeout)


async def _open_tcp(endpoint: Endpoint, settings: LinkSettings, deadline: float) -> trio.SocketStream:
    try:
        with trio.move_on_at(deadline):
            return await trio.open_tcp_stream(endpoint.host, endpoint.port)
    except (OSError, UnicodeError) as exc:
        raise refusals.connect_failed(endpoint, exc) from exc
    raise refusals.connect_timed_out(endpoint, settings.connect_timeout)


async def _open_tls(
    stream: trio.SocketStream,
    context: ssl.SSLContext,
    endpoint: Endpoint,
    settings: LinkSettings,
    deadline: float,
) -> ClientStream:
    # https_compatible: an end without TLS's own farewell counts as the end, as it does for everybody else.
    secured = trio.SSLStream(stream, context, server_hostname=endpoint.host, https_compatible=True)
    done = False
    try:
        with trio.move_on_at(deadline):
            await secured.do_handshake()
            done = True
            return secured
    except (trio.BrokenResourceError, OSError, ValueError) as exc:
        # ValueError: ssl's word for a server name that cannot stand in a certificate.
        raise refusals.tls_failed(endpoint, exc) from exc
    finally:
        if not done:
            stream.socket.close()
    raise refusals.tls_timed_out(endpoint, settings.connect_timeout)


def _tls_context(ca_file: str | None) -> ssl.SSLContext:
    """Return a context that trusts `ca_file`, or the system's store.

    Raises:
        ConfigError: the file cannot be read or holds no certificate.
    """
    try:
        return ssl.create_default_context(cafile=ca_file)
    except (OSError, ValueError) as exc:
        why = exc.strerror if isinstance(exc, OSError) and exc.strerror else str(exc)
        raise ConfigError(
            f"ca_file {ca_file!r} cannot be used: {why}; it must be a PEM file with certificates"
        ) from exc
