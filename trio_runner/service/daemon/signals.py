"""Signals: the first asks for a graceful end, the second for one at once."""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator, Callable

import structlog
import trio

__all__ = ["ignore_further_signals", "watch_signals"]

_SIGNALS = (signal.SIGTERM, signal.SIGINT)


async def watch_signals(
    wind_down: Callable[[], None],
    end_now: Callable[[], None],
    *,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Wait for SIGTERM or SIGINT twice and return. From then on the signals act as they do by default.

    Args:
        wind_down: called at the first signal: begin to end gracefully.
        end_now: called at the second: stop everything.
        task_status: started once signals are caught.

    Cancellation:
        Signals act by default again.
    """
    log = structlog.get_logger("trio_runner")
    with trio.open_signal_receiver(*_SIGNALS) as arriving:
        task_status.started()
        log.info(f"{await _next_name(arriving)} received; a second one ends everything at once")
        wind_down()
        log.warning(f"{await _next_name(arriving)} received again; ending at once")
        end_now()


def ignore_further_signals() -> None:
    """Let nothing change the exit code of a process that is only tidying up its interpreter."""
    for number in _SIGNALS:
        signal.signal(number, signal.SIG_IGN)


async def _next_name(arriving: AsyncIterator[int]) -> str:
    return signal.Signals(await anext(arriving)).name
