"""The health endpoint: whether the process lives, and whether tasks could reach it."""

from __future__ import annotations

from collections.abc import Callable

import structlog
import trio

from ...errors import ConfigError
from ...transport.http_server import HttpRequest, HttpResponse, serve_http

__all__ = ["serve_health"]


async def serve_health(
    host: str,
    port: int,
    is_ready: Callable[[], bool],
    *,
    task_status: trio.TaskStatus[tuple[str, int]] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Answer health checks until cancelled.

    ``GET /`` and ``/healthz`` say that the event loop turns, whatever the brokers do; ``/readyz`` says
    whether a task could come.

    Args:
        host: address to listen on.
        port: port to listen on; 0: any free one.
        is_ready: whether a task could come now.
        task_status: started with the address and port once checks are answered.

    Raises:
        ConfigError: the address cannot be listened on.

    Cancellation:
        Closes the socket and the open connections.
    """

    def route(request: HttpRequest) -> HttpResponse:
        return _answer(request, is_ready)

    async with trio.open_nursery() as nursery:
        try:
            addresses = await nursery.start(serve_http, host, port, route)
        except ConfigError as exc:
            raise ConfigError(f"health check server: {exc} [N8N_RUNNERS_HEALTH_CHECK_SERVER_PORT]") from exc
        bound_host, bound_port = addresses[0]
        structlog.get_logger("trio_runner").info(
            f"Health check server listening on {host}, port {bound_port}"
        )
        task_status.started((bound_host, bound_port))


def _answer(request: HttpRequest, is_ready: Callable[[], bool]) -> HttpResponse:
    if request.path not in ("/", "/healthz", "/readyz"):
        return HttpResponse(404, b"Not found: ask for /healthz or /readyz\n")
    if request.method != "GET":  # HEAD arrives as GET
        return HttpResponse(405, b"Only GET\n", headers=(("Allow", "GET, HEAD"),))
    if request.path == "/readyz" and not is_ready():
        return HttpResponse(503, b"Not registered with a broker, or shutting down\n")
    return HttpResponse(200, b"OK")
