"""How promptly the event loop turns, measured: a timer that looks how late it was."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import trio

from ..status.document import LoopStatistics

__all__ = ["LoopProbe"]

# Seconds between two looks. Often enough for a minute of them to mean something, rare enough to cost nothing.
_INTERVAL = 1.0
# Looks that are kept: a minute's.
_KEPT = 60


def _ignore(_lag: float) -> None:
    pass


class LoopProbe:
    """Measures the lag of the event loop it runs in.

    Args:
        on_lag: called with the seconds that each timer was late.
    """

    def __init__(self, on_lag: Callable[[float], None] = _ignore) -> None:
        self._on_lag = on_lag
        self._lags: deque[float] = deque(maxlen=_KEPT)
        self._due = trio.current_time()

    async def run(self) -> None:
        """Measure until cancelled."""
        while True:
            self._due = trio.current_time() + _INTERVAL
            await trio.sleep_until(self._due)
            lag = max(0.0, trio.current_time() - self._due)
            self._lags.append(lag)
            self._on_lag(lag)

    def statistics(self) -> LoopStatistics:
        """Return a snapshot. A timer that is overdue just now counts with what it is late already."""
        overdue = max(0.0, trio.current_time() - self._due)
        lag = max(overdue, self._lags[-1] if self._lags else 0.0)
        checked = max(0.0, trio.current_time() - (self._due - _INTERVAL))
        return LoopStatistics(lag=lag, worst=max([overdue, *self._lags]), checked=checked)
