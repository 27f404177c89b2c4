"""The daemon of ``trio-runner run``: signals, health endpoint and the runner, in this order.

The health endpoint comes before the brokers, because a supervisor asks whether the process lives and not
whether its brokers do.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, MutableMapping
from contextlib import closing, suppress
from functools import partial

import attrs
import trio

from ... import __version__
from ...errors import ConfigError
from ...runner.config import RunnerConfig
from ...runner.serve import Runner
from ...sandbox.walls.delegation import divide_control_group
from ...sandbox.walls.secrets import hide_memory, wipe_secrets
from ..error_reports import ErrorReports, ReportLabels, open_error_reports
from ..exits import ExitCode
from ..logs.levels import set_level
from ..logs.lines import LogStyle, logging_to
from ..logs.logger import LOG
from ..logs.narration import LoggingObserver
from ..observers import Observers
from ..settings.broker import BrokerSettings
from ..settings.collector import COLLECTOR_HEADERS
from ..settings.run import RunSettings
from ..settings.run_config import oddities, runner_config
from ..settings.table import Reading, secret_variables
from ..status.document import Document
from ..systemd.notify import Notifier, open_notifier
from ..tracing import Tracing, open_tracing
from .lifetime import live, run_to_exit_code
from .pulse import keep_pulse
from .reload import Reloader
from .signals import ignore_further_signals, reload_on_hangup
from .status_line import runner_status
from .windows import Windows

__all__ = ["run_daemon"]


def run_daemon(
    reading: Reading[RunSettings],
    environ: MutableMapping[str, str],
    read: Callable[[], Reading[RunSettings]],
) -> ExitCode:
    """Serve tasks until told to end, idle or cut off for good.

    Args:
        reading: the settings and where they were given.
        environ: the environment; the secrets are taken out of it, so that no child process inherits them.
        read: reads the settings again, secrets included; called at SIGHUP.

    Raises:
        ConfigError: settings contradict each other; nothing was started.
    """
    with closing(open_notifier(environ)) as notifier:
        return _run(reading, environ, read, notifier)


def _run(
    reading: Reading[RunSettings],
    environ: MutableMapping[str, str],
    read: Callable[[], Reading[RunSettings]],
    notifier: Notifier,
) -> ExitCode:
    settings = reading.settings
    config = runner_config(reading, environ)
    for name in secret_variables(RunSettings, BrokerSettings):
        environ.pop(name, None)
    headers = {name: environ.pop(name) for name in COLLECTOR_HEADERS if environ.get(name)}
    secrets = (settings.auth_token, settings.grant_token, settings.sentry_dsn, *headers.values())
    wipe_secrets(secrets)  # what the process was started with shows in /proc
    with suppress(OSError):  # not on this system
        hide_memory()
    divide_control_group()
    style = LogStyle(
        level=settings.log_level,
        format=settings.log_format,
        no_color=settings.no_color,
        secrets=secrets,
    )
    with logging_to(style) as hide:
        _announce(reading, config)
        reports = _open_reports(reading)
        tracing = _open_tracing(reading, config.runner_id, headers)
        senders = [sender for sender in (reports, tracing) if sender is not None]
        observers = Observers(LoggingObserver(), *senders)
        runner = Runner(config, observer=observers)
        windows = _windows(settings, runner, observers)
        reloader = Reloader(
            reading,
            read=read,
            apply=lambda now: _apply(now, runner, environ),
            oddities=oddities,
            hide=hide.add,
        )
        on_fault = reports.fault if reports else None
        code = run_to_exit_code(lambda: _serve(runner, windows, reloader, notifier), on_fault=on_fault)
        ignore_further_signals()
        for sender in senders:
            sender.close()
        return code


def _open_reports(reading: Reading[RunSettings]) -> ErrorReports | None:
    """Return what reports our own faults, if that is wanted and possible; a line says if it is not."""
    settings = reading.settings
    if not settings.sentry_dsn:
        return None
    labels = ReportLabels(
        n8n_version=settings.n8n_version,
        environment=settings.environment,
        deployment=settings.deployment_name,
    )
    try:
        return open_error_reports(settings.sentry_dsn, labels, origin=reading.label("sentry_dsn"))
    except ConfigError as exc:
        LOG.warning(str(exc))
        return None


def _open_tracing(
    reading: Reading[RunSettings], runner_id: str, headers: Mapping[str, str]
) -> Tracing | None:
    """Return what sends a span per task, if that is wanted and possible; a line says if it is not."""
    endpoint = reading.settings.otlp_endpoint
    if not endpoint:
        return None
    try:
        return open_tracing(endpoint, runner_id, headers=headers, origin=reading.label("otlp_endpoint"))
    except ConfigError as exc:
        LOG.warning(str(exc))
        return None


async def _apply(reading: Reading[RunSettings], runner: Runner, environ: Mapping[str, str]) -> None:
    """Have a runner work by settings that were read again, and load its modules afresh."""
    config = runner_config(reading, environ)
    if not reading.settings.runner_id:  # random, but once
        config = attrs.evolve(config, runner_id=runner.config.runner_id)
    await runner.reconfigure(config, afresh=True)
    set_level(reading.settings.log_level)
    LOG.info("New tasks use what is on disk now")


async def _serve(
    runner: Runner, windows: Windows, reloader: Reloader[RunSettings], notifier: Notifier
) -> None:
    async def serve() -> None:
        async with trio.open_nursery() as nursery:
            await nursery.start(windows.open, runner.config.runner_id)
            await nursery.start(partial(reload_on_hangup, reloader.reload, notifier=notifier))
            nursery.start_soon(partial(keep_pulse, notifier, stalled=runner.stalled, status=status))
            nursery.start_soon(_tell_when_ready, runner, notifier)
            await runner.run()
            nursery.cancel_scope.cancel()

    def status() -> str:
        return runner_status(runner.statistics(), runner.config.brokers)

    await live(serve, runner.shut_down, notifier=notifier, grace=lambda: runner.config.grace)


def _windows(settings: RunSettings, runner: Runner, observers: Observers) -> Windows:
    metrics = None
    if settings.health_check and settings.metrics:
        from ..metrics.runner import RunnerMetrics  # the client library: only for those who ask for it

        metrics = RunnerMetrics(runner.statistics)
        observers.add(metrics)
    return Windows(
        settings=settings,
        kind="runner",
        document=lambda: Document(runner=runner.statistics()),
        stalled=runner.stalled,
        drain=runner.shut_down,
        metrics=metrics,
        port_setting="N8N_RUNNERS_HEALTH_CHECK_SERVER_PORT",
    )


async def _tell_when_ready(runner: Runner, notifier: Notifier) -> None:
    await runner.wait_registered()
    notifier.ready()
    notifier.status(runner_status(runner.statistics(), runner.config.brokers))


def _announce(reading: Reading[RunSettings], config: RunnerConfig) -> None:
    log = LOG
    about = {"id": config.runner_id, "slots": config.max_concurrency, "brokers": ",".join(config.brokers)}
    log.info(f"trio-runner {__version__} starting", **about)
    for line in oddities(reading):
        log.warning(line)
