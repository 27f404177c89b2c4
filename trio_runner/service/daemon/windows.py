"""What lets one look into a daemon while it runs: the health port and the local socket, fed by snapshots."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Mapping
from typing import Protocol

import attrs
import trio

from ...errors import ConfigError
from ..logs.levels import LEVELS, set_level
from ..logs.logger import LOG
from ..status.document import Document
from ..status.places import AUTOMATIC, remove_stale, socket_path
from ..status.server import Command, serve_control
from ..web.site import Site
from .health import is_local, serve_health
from .loop_probe import LoopProbe

__all__ = ["Metrics", "WindowSettings", "Windows"]


class WindowSettings(Protocol):
    """What both daemons are told about their windows."""

    @property
    def health_check(self) -> bool:
        """Whether there is a health port."""

    @property
    def health_check_host(self) -> str:
        """Address it listens on."""

    @property
    def health_check_port(self) -> int:
        """Port it listens on."""

    @property
    def web_page(self) -> str:
        """Whether it shows the page: ``auto``, ``true`` or ``false``."""

    @property
    def control_socket(self) -> str:
        """Where the local socket is."""


class Metrics(Protocol):
    """What counts for ``/metrics``."""

    def lagged(self, seconds: float) -> None:
        """Take note of how late a timer of the event loop was."""
        ...

    def exposition(self) -> bytes:
        """Return everything in the text format of Prometheus."""
        ...


@attrs.frozen(kw_only=True)
class Windows:
    """The windows of one daemon.

    Attributes:
        settings: where they are.
        kind: ``runner`` or ``broker``.
        document: makes the snapshot, but for the event loop.
        stalled: why the daemon makes no progress for a fault of its own, or None.
        drain: begins a graceful end.
        metrics: counts; None: nothing is counted.
        port_setting: the variable to name if the health port cannot be had.
    """

    settings: WindowSettings
    kind: str
    document: Callable[[], Document]
    stalled: Callable[[], str | None]
    drain: Callable[[], None]
    metrics: Metrics | None
    port_setting: str

    async def open(
        self, identity: str, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """Open the windows and keep them open until cancelled.

        Args:
            identity: tells daemons of one kind apart that run side by side.
            task_status: started once all are open.

        Raises:
            ConfigError: the health port, or a socket whose path was given, cannot be had.
        """
        probe = LoopProbe() if self.metrics is None else LoopProbe(self.metrics.lagged)

        def document() -> Document:
            return attrs.evolve(self.document(), loop=probe.statistics())

        async with trio.open_nursery() as nursery:
            nursery.start_soon(probe.run)
            await self._open_port(document, nursery)
            await self._open_socket(document, identity, nursery)
            task_status.started()

    async def _open_port(self, document: Callable[[], Document], nursery: trio.Nursery) -> None:
        settings = self.settings
        if not settings.health_check:
            return
        local = is_local(settings.health_check_host)
        site = Site(
            document=document,
            stalled=self.stalled,
            metrics=None if self.metrics is None else self.metrics.exposition,
            page=local if settings.web_page == "auto" else settings.web_page == "true",
            local=local,
        )
        host, port = settings.health_check_host, settings.health_check_port

        async def serve(*, task_status: trio.TaskStatus[tuple[str, int]]) -> None:
            await serve_health(host, port, site.answer, setting=self.port_setting, task_status=task_status)

        await nursery.start(serve)

    async def _open_socket(
        self, document: Callable[[], Document], identity: str, nursery: trio.Nursery
    ) -> None:
        commands = self._commands(document)

        async def serve(*, task_status: trio.TaskStatus[None]) -> None:
            path = socket_path(self.settings.control_socket, self.kind, identity, os.environ)
            if path is None:
                task_status.started()
                return
            if self.settings.control_socket == AUTOMATIC:
                remove_stale(path.parent)
            try:
                await serve_control(path, commands, task_status=task_status)
            except ConfigError as exc:
                if self.settings.control_socket != AUTOMATIC:
                    raise
                remedy = "name another path, or 'none': TRIO_RUNNER_CONTROL_SOCKET"
                LOG.warning(f"status, top and drain do not work: {exc}", remedy=remedy)
                task_status.started()

        await nursery.start(serve)

    def _commands(self, document: Callable[[], Document]) -> Mapping[str, Command]:
        def drain(_request: Mapping[str, object]) -> object:
            LOG.info("Asked over the local socket to drain")
            self.drain()
            return None

        return {
            "statistics": lambda _request: document(),
            "drain": drain,
            "reload": _reload,
            "log-level": _change_level,
        }


def _reload(_request: Mapping[str, object]) -> object:
    """Do what SIGHUP does, by way of it: one reload at a time."""
    os.kill(os.getpid(), signal.SIGHUP)
    return None


def _change_level(request: Mapping[str, object]) -> object:
    level = request.get("level")
    if not isinstance(level, str) or level not in LEVELS:
        raise ValueError(f"level must be one of {', '.join(LEVELS)}")
    set_level(level)
    LOG.info(f"Log level is {level} now")
    return None
