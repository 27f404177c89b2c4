"""The pulse of a daemon: proof that its event loop turns and that it makes progress, for whoever watches.

Theory of operation. Every few seconds the pulse asks the daemon whether it makes progress. If it does, the
watchdog of the service manager is fed; if it does not, or if the event loop is blocked so that there is no
pulse at all, it is not, and the manager ends the process and starts it anew. What blocks the loop is named by
the interpreter itself: a thread of its own, which needs nothing of the loop, writes all stacks to standard
error when a pulse is long overdue.
"""

from __future__ import annotations

import contextlib
import faulthandler
import sys
from collections.abc import Callable

import trio

from ..logs.logger import LOG
from ..systemd.notify import Notifier

__all__ = ["keep_pulse"]

# Seconds between two pulses where nobody asks for more; a watchdog gets three in its time.
_INTERVAL = 5.0
_PULSES_PER_WATCHDOG = 3
# Seconds beyond the interval for which the loop must have stood still until its stacks are written, and until
# it says so itself. Brokers drop a runner that is deaf for 30.
_BLOCKED = 5.0
_NOTICED = 2.0
# Seconds that a start may go on after a pulse.
_START = 60.0


async def keep_pulse(
    notifier: Notifier, *, stalled: Callable[[], str | None], status: Callable[[], str]
) -> None:
    """Keep the pulse until cancelled.

    Args:
        notifier: is told that the daemon is alive, and how it does.
        stalled: why the daemon makes no progress, one line, or None.
        status: how the daemon does, one line.
    """
    watchdog = notifier.watchdog
    interval = min(_INTERVAL, watchdog / _PULSES_PER_WATCHDOG) if watchdog else _INTERVAL
    complaint = _Complaint()
    try:
        while True:
            _expect_pulse_within(interval + _BLOCKED)
            why = stalled()
            if why is None:
                notifier.alive()
                if not notifier.is_ready:
                    notifier.extend(_START)
            complaint.consider(why)
            notifier.status(status() if why is None else f"No progress: {why}")
            due = trio.current_time() + interval
            await trio.sleep_until(due)
            late = trio.current_time() - due
            if late >= _NOTICED:
                _tell_of_standstill(late)
    finally:
        faulthandler.cancel_dump_traceback_later()


class _Complaint:
    """Says once that there is no progress."""

    def __init__(self) -> None:
        self._times = 0

    def consider(self, why: str | None) -> None:
        # Twice in a row: a process that was stopped for long wakes up past every time limit at once.
        self._times = self._times + 1 if why is not None else 0
        if self._times == 2:
            remedy = "the watchdog of systemd restarts it; without one restart it, and report this line"
            LOG.error(f"No progress: {why}", remedy=remedy)


def _tell_of_standstill(seconds: float) -> None:
    LOG.warning(
        f"The event loop stood still for {seconds:.1f} seconds",
        remedy="was the process stopped, or the machine asleep or overloaded? If not, see the stacks above",
    )


def _expect_pulse_within(seconds: float) -> None:
    """Have all stacks written to standard error unless this is called again in time."""
    with contextlib.suppress(OSError, ValueError, AttributeError, RuntimeError):  # no standard error
        faulthandler.dump_traceback_later(seconds, file=sys.stderr)
