"""The HTTP server: small requests, and WebSockets on the same port."""

from __future__ import annotations

import errno
import logging
import os
import socket
from collections.abc import Callable, Sequence
from typing import Never

import trio

from ..errors import ConfigError
from .http_connection import HttpConnection, blame
from .http_messages import HttpRequest, HttpResponse, Route, Upgrade

__all__ = ["HttpRequest", "HttpResponse", "Route", "Upgrade", "serve_http"]

_ACCEPT_PAUSE = 0.1
"""Seconds before accepting again when the system has no room for a connection: nothing tells when it has."""
_BUSY = (
    b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 21\r\n"
    b"Retry-After: 1\r\nConnection: close\r\n\r\nToo many connections\n"
)
_BUSY_TIME = 1.0
"""Seconds to tell a client that there is no room for it."""


def _log_trouble(what: str) -> None:
    logging.getLogger(__name__).error(what)


async def serve_http(
    host: str,
    port: int,
    route: Route,
    *,
    sockets: Sequence[socket.socket] = (),
    max_connections: int = 1000,
    on_trouble: Callable[[str], None] = _log_trouble,
    task_status: trio.TaskStatus[tuple[tuple[str, int], ...]] = trio.TASK_STATUS_IGNORED,
) -> Never:
    """Serve HTTP/1.1 and WebSockets until cancelled.

    No connection can end the server, whatever comes over it and whatever its handler raises.

    Args:
        host: name or address to listen on.
        port: port to listen on; 0: any free one.
        route: decides what to answer to a request.
        sockets: sockets that listen already, instead of `host` and `port`; closed at the end.
        max_connections: connections at a time; those beyond are answered with 503.
        on_trouble: told in one line about each exception out of a route or an `Upgrade.serve`, and about
            failures to accept. By default it goes to the standard library's logging.
        task_status: started with the bound addresses once connections are accepted.

    Raises:
        ConfigError: it is impossible to listen there; the message names the address.

    Cancellation:
        Stops listening and closes all connections; WebSockets are told with close code 1001.
    """
    if sockets:
        await trio.lowlevel.checkpoint()
        listeners = [trio.SocketListener(trio.socket.from_stdlib_socket(listening)) for listening in sockets]
    else:
        listeners = await _listen(host, port)
    server = _Server(route, max_connections, on_trouble)
    async with trio.open_nursery() as nursery:
        for listener in listeners:
            nursery.start_soon(server.accept, listener, nursery)
        task_status.started(tuple(listener.socket.getsockname()[:2] for listener in listeners))
    raise AssertionError("accepting ends only by cancellation")


async def _listen(host: str, port: int) -> list[trio.SocketListener]:
    """Listen on every address of a host.

    Raises:
        ConfigError: it is impossible.
    """
    if not 0 <= port <= 65535:
        raise ConfigError(f"cannot listen on {host} port {port}: a port is from 0 to 65535")
    try:
        return await trio.open_tcp_listeners(port, host=host)
    except (OSError, UnicodeError) as exc:
        raise ConfigError(f"cannot listen on {host} port {port}: {_why_not(exc)}") from exc


def _why_not(error: Exception) -> str:
    if isinstance(error, socket.gaierror | UnicodeError):
        return "the host name is unknown; use an address of this machine"
    code = error.errno if isinstance(error, OSError) else None
    if code == errno.EADDRINUSE:
        return "the port is in use; stop what uses it, or choose another (0: any free one)"
    if code in (errno.EACCES, errno.EPERM):
        return "permission denied; choose a port from 1024 on"
    if code == errno.EADDRNOTAVAIL:
        return "that is not an address of this machine"
    return str(error) if code is None else os.strerror(code)


class _Server:
    """What the connections of one server share."""

    def __init__(self, route: Route, max_connections: int, on_trouble: Callable[[str], None]) -> None:
        self._route = route
        self._max_connections = max_connections
        self._on_trouble = on_trouble
        self._connections = 0
        self._in_trouble = False

    async def accept(self, listener: trio.SocketListener, nursery: trio.Nursery) -> None:
        """Accept connections until cancelled."""
        async with listener:
            while True:
                try:
                    stream = await listener.accept()
                except OSError as exc:
                    self._cannot_accept(f"cannot accept connections: {exc.strerror}; will try again")
                    await trio.sleep(_ACCEPT_PAUSE)
                    continue
                if self._connections < self._max_connections:
                    self._in_trouble = False
                    self._connections += 1
                    nursery.start_soon(self._serve, stream)
                else:
                    self._cannot_accept(f"more than {self._max_connections} connections; refusing new ones")
                    nursery.start_soon(self._refuse, stream)

    def _cannot_accept(self, why: str) -> None:
        """Tell once, not once per connection."""
        if not self._in_trouble:
            self._in_trouble = True
            self._on_trouble(why)

    async def _serve(self, stream: trio.SocketStream) -> None:
        try:
            await HttpConnection(stream, self._route, self._on_trouble).run()
        except* (trio.BrokenResourceError, trio.ClosedResourceError):
            pass  # the client is gone
        except* Exception as group:
            # A task boundary: one bad connection must not end the server. What comes together with a
            # cancellation is split off from it here, and the cancellation goes on.
            self._on_trouble(f"a connection failed: {blame(group)}")
        finally:
            self._connections -= 1
            with trio.CancelScope(shield=True):
                await trio.aclose_forcefully(stream)

    async def _refuse(self, stream: trio.SocketStream) -> None:
        try:
            with trio.move_on_after(_BUSY_TIME):
                await stream.send_all(_BUSY)
                await stream.send_eof()
                while await stream.receive_some(4096):
                    pass
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass
        finally:
            with trio.CancelScope(shield=True):
                await trio.aclose_forcefully(stream)
