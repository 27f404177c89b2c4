"""The daemon of ``trio-runner broker``: signals and the broker."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, MutableMapping, Sequence
from contextlib import closing
from functools import partial

import click
import trio

from ... import __version__
from ...broker.config import BrokerConfig
from ...broker.serve import BrokerHandle, serve_broker
from ..exits import ExitCode
from ..logs.levels import set_level
from ..logs.lines import LogStyle, logging_to
from ..logs.logger import LOG
from ..logs.narration import LoggingObserver
from ..observers import Observers
from ..settings.broker import BrokerSettings, broker_config
from ..settings.table import Reading
from ..status.document import Document
from ..systemd.notify import Notifier, open_notifier
from ..systemd.sockets import take_sockets
from .lifetime import live, run_to_exit_code
from .pulse import keep_pulse
from .reload import Reloader
from .signals import ignore_further_signals, reload_on_hangup
from .status_line import broker_status
from .windows import Windows

__all__ = ["run_broker_daemon"]


def run_broker_daemon(
    reading: Reading[BrokerSettings],
    environ: MutableMapping[str, str],
    read: Callable[[], Reading[BrokerSettings]],
) -> ExitCode:
    """Serve runners and requesters until told to end.

    Args:
        reading: the settings and where they were given.
        environ: the environment; what the service manager has put there is taken out of it.
        read: reads the settings again; called at SIGHUP.

    Raises:
        ConfigError: there is no secret, settings contradict each other, or a socket that was handed over
            cannot be used; nothing was started.
    """
    with closing(open_notifier(environ)) as notifier:
        sockets = take_sockets(environ, pid=os.getpid())
        return _run(reading, read, notifier, sockets)


def _run(
    reading: Reading[BrokerSettings],
    read: Callable[[], Reading[BrokerSettings]],
    notifier: Notifier,
    sockets: Sequence[socket.socket],
) -> ExitCode:
    settings = reading.settings
    config = broker_config(reading)
    if not settings.auth_token:
        # Not a log line: the one time that the secret is meant to be seen.
        click.echo("A secret was made up for this run; runners and requesters need it:")
        click.echo(f"N8N_RUNNERS_AUTH_TOKEN={config.auth_token}")
    style = LogStyle(
        level=settings.log_level,
        format=settings.log_format,
        no_color=settings.no_color,
        secrets=(config.auth_token,),
    )
    with logging_to(style) as hide:
        for line in reading.warnings:
            LOG.warning(line)
        reloader = Reloader(
            reading, read=read, apply=_apply, oddities=lambda now: iter(now.warnings), hide=hide.add
        )
        code = run_to_exit_code(lambda: _serve(settings, config, reloader, notifier, sockets))
        ignore_further_signals()
        return code


async def _apply(reading: Reading[BrokerSettings]) -> None:
    """Take what can change in a broker that runs: how much it logs."""
    await trio.lowlevel.checkpoint()
    if reading.settings.auth_token:
        broker_config(reading)  # settings that contradict each other are refused now, not at the next start
    set_level(reading.settings.log_level)


async def _serve(
    settings: BrokerSettings,
    config: BrokerConfig,
    reloader: Reloader[BrokerSettings],
    notifier: Notifier,
    sockets: Sequence[socket.socket],
) -> None:
    ending = trio.Event()
    log = LOG

    async def serve() -> None:
        observers = Observers(LoggingObserver())
        serve_here = partial(serve_broker, config, observer=observers, sockets=sockets)
        async with trio.open_nursery() as pulse:
            await pulse.start(partial(reload_on_hangup, reloader.reload, notifier=notifier))
            async with trio.open_nursery() as nursery:
                handle: BrokerHandle = await nursery.start(serve_here)
                handed_over = " (handed over by systemd)" if sockets else ""
                log.info(f"trio-runner {__version__}: broker listening on {handle.url}{handed_over}")
                notifier.ready()
                pulse.start_soon(_keep_pulse, handle, notifier)
                windows = _windows(settings, handle, observers, ending.set)
                await pulse.start(windows.open, str(handle.addresses[0][1]))
                await ending.wait()
                log.info("Draining; running tasks may finish", seconds=config.drain_timeout)
                handle.drain()
            pulse.cancel_scope.cancel()

    await live(serve, ending.set, notifier=notifier, grace=lambda: config.drain_timeout)


def _windows(
    settings: BrokerSettings, handle: BrokerHandle, observers: Observers, drain: Callable[[], None]
) -> Windows:
    metrics = None
    if settings.health_check and settings.metrics:
        from ..metrics.broker import BrokerMetrics  # the client library: only for those who ask for it

        metrics = BrokerMetrics(handle.statistics)
        observers.add(metrics)
    return Windows(
        settings=settings,
        kind="broker",
        document=lambda: Document(broker=handle.statistics(), url=handle.url),
        stalled=handle.stalled,
        drain=drain,
        metrics=metrics,
        port_setting="TRIO_RUNNER_BROKER_HEALTH_CHECK_SERVER_PORT",
    )


async def _keep_pulse(handle: BrokerHandle, notifier: Notifier) -> None:
    await keep_pulse(notifier, stalled=handle.stalled, status=lambda: broker_status(handle.statistics()))
