"""The daemon of ``trio-runner broker``: signals and the broker."""

from __future__ import annotations

from functools import partial

import click
import structlog
import trio

from ... import __version__
from ...broker.config import BrokerConfig
from ...broker.serve import BrokerHandle, serve_broker
from ..exits import ExitCode
from ..logs.lines import LogStyle, logging_to
from ..logs.narration import LoggingObserver
from ..settings.broker import BrokerSettings, broker_config
from ..settings.table import Reading
from .lifetime import live, run_to_exit_code
from .signals import ignore_further_signals

__all__ = ["run_broker_daemon"]


def run_broker_daemon(reading: Reading[BrokerSettings]) -> ExitCode:
    """Serve runners and requesters until told to end.

    Args:
        reading: the settings and where they were given.

    Raises:
        ConfigError: there is no secret, or settings contradict each other; nothing was started.
    """
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
    with logging_to(style):
        for line in reading.warnings:
            structlog.get_logger("trio_runner").warning(line)
        code = run_to_exit_code(lambda: _serve(config))
        ignore_further_signals()
        return code


async def _serve(config: BrokerConfig) -> None:
    ending = trio.Event()
    log = structlog.get_logger("trio_runner")

    async def serve() -> None:
        observer = LoggingObserver()
        async with trio.open_nursery() as nursery:
            handle: BrokerHandle = await nursery.start(partial(serve_broker, config, observer=observer))
            log.info(f"trio-runner {__version__}: broker listening on {handle.url}")
            await ending.wait()
            log.info("Draining; running tasks may finish", seconds=config.drain_timeout)
            handle.drain()

    await live(serve, ending.set)
