"""Signals: the first asks for a graceful end, the second or SIGQUIT for one at once; SIGHUP for a reload."""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator, Awaitable, Callable

import trio

from ...errors import TrioRunnerError
from ..logs.logger import LOG
from ..systemd.notify import Notifier

__all__ = ["ignore_further_signals", "reload_on_hangup", "watch_signals"]

_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT)


async def watch_signals(
    wind_down: Callable[[], None],
    end_now: Callable[[], None],
    *,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Wait for SIGTERM or SIGINT twice, or for SIGQUIT, and return. Then signals act as they do by default.

    Args:
        wind_down: called at the first signal, unless that is SIGQUIT: begin to end gracefully.
        end_now: called at the second, or at SIGQUIT: stop everything.
        task_status: started once signals are caught.

    Cancellation:
        Signals act by default again.
    """
    log = LOG
    with trio.open_signal_receiver(*_SIGNALS) as arriving:
        task_status.started()
        last = f"{first} received" if (first := await _next_name(arriving)) == "SIGQUIT" else ""
        if not last:
            log.info(f"{first} received; a second one ends everything at once")
            wind_down()
            last = f"{await _next_name(arriving)} received again"
        log.warning(
            f"{last}; ending at once", remedy="tasks that run are killed: whoever asked may ask again"
        )
        end_now()


async def reload_on_hangup(
    reload: Callable[[], Awaitable[None]],
    *,
    notifier: Notifier | None = None,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Reload at every SIGHUP, one reload after the other. Ends by cancellation.

    Args:
        reload: what to call; what of ours it raises is logged.
        notifier: tells the service manager of the beginning and the end of each.
        task_status: started once the signal is caught.
    """
    log = LOG
    notifier = notifier or Notifier()
    with trio.open_signal_receiver(signal.SIGHUP) as arriving:
        task_status.started()
        async for _ in arriving:
            log.info("SIGHUP received: reading the settings again")
            notifier.reloading()
            try:
                await reload()
            except TrioRunnerError as exc:
                log.warning(f"The reload failed, and everything stays as it was: {exc}")
            notifier.reloaded()


def ignore_further_signals() -> None:
    """Let nothing change the exit code of a process that is only tidying up its interpreter."""
    for number in _SIGNALS:
        signal.signal(number, signal.SIG_IGN)


async def _next_name(arriving: AsyncIterator[int]) -> str:
    return signal.Signals(await anext(arriving)).name
