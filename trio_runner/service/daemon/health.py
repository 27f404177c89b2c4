"""The health endpoint of a daemon: one port for health, metrics and the page."""

from __future__ import annotations

import re
from collections.abc import Callable

import trio

from ...errors import ConfigError
from ...transport.http_server import HttpRequest, HttpResponse, serve_http
from ..logs.logger import LOG

__all__ = ["is_local", "serve_health"]

# Names of this machine that no other one can have, beside 127.x.x.x.
_LOOPBACK = ("::1", "localhost")


async def serve_health(
    host: str,
    port: int,
    answer: Callable[[HttpRequest], HttpResponse],
    *,
    setting: str = "N8N_RUNNERS_HEALTH_CHECK_SERVER_PORT",
    task_status: trio.TaskStatus[tuple[str, int]] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Answer health checks, and whatever else is asked on their port, until cancelled.

    Args:
        host: address to listen on.
        port: port to listen on; 0: any free one.
        answer: answers each request, see `trio_runner.service.web.site`.
        setting: what to name if the port cannot be had.
        task_status: started with the address and port once checks are answered.

    Raises:
        ConfigError: the address cannot be listened on.

    Cancellation:
        Closes the socket and the open connections.
    """
    async with trio.open_nursery() as nursery:
        try:
            addresses = await nursery.start(serve_http, host, port, answer)
        except ConfigError as exc:
            raise ConfigError(f"health check server: {exc} [{setting}]") from exc
        bound_host, bound_port = addresses[0]
        LOG.info(f"Health check server listening on {host}, port {bound_port}")
        task_status.started((bound_host, bound_port))


def is_local(host: str) -> bool:
    """Tell whether only this machine can ask at an address."""
    return host in _LOOPBACK or bool(re.fullmatch(r"127(\.\d{1,3}){3}", host))
