"""The broker as a service: one port, until it is cancelled or told to drain."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from functools import partial

import attrs
import trio

from ..errors import ConfigError
from ..scheduling.matching.statistics import BrokerStatistics
from ..scheduling.observer import NullObserver, Observer
from ..transport.http_server import serve_http
from .config import BrokerConfig
from .exchange import Exchange
from .peers import Peers
from .records import Records
from .routes import Routes

__all__ = ["BrokerHandle", "BrokerStatistics", "serve_broker"]

_GOING_AWAY = 1001
_SHUTTING_DOWN = "broker is shutting down"
# Seconds for all peers to read the last messages and to shake hands at the end.
_FAREWELL = 3.0
_EVERY_ADDRESS = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - recognised, not bound


@attrs.frozen
class BrokerHandle:
    """What `serve_broker` starts with.

    Attributes:
        addresses: what it listens on, host and port.
    """

    addresses: tuple[tuple[str, int], ...]
    _exchange: Exchange = attrs.field(repr=False)
    _records: Records = attrs.field(repr=False)
    _draining: trio.Event = attrs.field(repr=False)

    @property
    def url(self) -> str:
        """Base URL for runners and requesters on this machine."""
        host, port = self.addresses[0]
        host = _EVERY_ADDRESS.get(host, host)
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

    def statistics(self) -> BrokerStatistics:
        """Return a snapshot."""
        return self._records.complete(self._exchange.statistics())

    def stalled(self) -> str | None:
        """Return why the broker makes no progress, one line, or None. The remedy is a new process."""
        return self._exchange.stalled(trio.current_time())

    def drain(self) -> None:
        """Begin to end: `serve_broker` returns once no task is left, or after `drain_timeout`.

        Runners are told to stop offering, waiting requests expire with reason ``draining``, new ones do at
        once. Tasks that are left at the end fail as cancelled. Calling it again changes nothing.
        """
        self._exchange.drain()
        self._draining.set()


async def serve_broker(
    config: BrokerConfig,
    *,
    observer: Observer = NullObserver(),  # noqa: B008 - holds nothing
    sockets: Sequence[socket.socket] = (),
    task_status: trio.TaskStatus[BrokerHandle] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Match task requests with runners' offers, until cancelled or drained.

    ```python
    async with trio.open_nursery() as nursery:
        broker: BrokerHandle = await nursery.start(serve_broker, BrokerConfig(auth_token="secret", port=0))
        print(broker.url)
    ```

    Args:
        config: where to listen, the secret, limits.
        observer: is told what happens; it must not raise.
        sockets: sockets that listen already, instead of the configured address; closed at the end.
        task_status: started with a `BrokerHandle` once connections are accepted.

    Raises:
        ConfigError: it is impossible to listen there.

    Cancellation:
        Stops listening and closes all connections promptly, with close code 1001.
    """
    records = Records(observer)
    exchange = Exchange(config.limits, records)
    draining = trio.Event()
    routes = Routes(
        config,
        Peers(exchange, records, info_timeout=config.info_timeout),
        records,
        stalled=lambda: exchange.stalled(trio.current_time()),
        draining=draining.is_set,
    )
    serve = partial(
        serve_http,
        config.host,
        config.port,
        routes.answer,
        sockets=sockets,
        max_connections=config.max_connections,
    )
    refusal: ConfigError | None = None
    async with trio.open_nursery() as nursery:
        try:
            addresses: tuple[tuple[str, int], ...] = await nursery.start(serve)
        except ConfigError as exc:
            refusal = exc  # raised below, where no nursery wraps it in a group
        else:
            nursery.start_soon(exchange.watch_deadlines)
            task_status.started(BrokerHandle(addresses, exchange, records, draining))
            await draining.wait()
            await _wind_down(exchange, config.drain_timeout)
            nursery.cancel_scope.cancel()
    if refusal is not None:
        raise refusal


async def _wind_down(exchange: Exchange, drain_timeout: float) -> None:
    """Let tasks finish, end those that do not, and part from everybody."""
    with trio.move_on_after(drain_timeout):
        await exchange.drained()
        # Closing leaves little time for what is queued, and the last result may be large.
        await exchange.flushed()
    exchange.stop()
    exchange.close(_GOING_AWAY, _SHUTTING_DOWN)
    with trio.move_on_after(_FAREWELL):
        await exchange.emptied()
