"""Why workers cannot be started just now, for snapshots."""

from __future__ import annotations

import math

from .contract import ZygoteStatistics

__all__ = ["Ailment"]

# Seconds that a new attempt to fork gets to fail, before the failure of the last one is no news any more.
_RETRY_TIME = 1.0
# Seconds without an answer after which a zygote counts as out of order. It is killed some seconds later.
_SLOW_ANSWER = 2.0


class Ailment:
    """Remembers the last failure to start a worker for as long as it is news. No clock."""

    def __init__(self) -> None:
        self._why = ""
        self._until = -math.inf

    def note(self, why: str, retry_at: float) -> None:
        """Take note of a failure.

        Args:
            why: one line.
            retry_at: when the next attempt is made; it is given a moment to fail too.
        """
        self._why, self._until = why, retry_at + _RETRY_TIME

    def ends_at(self, now: float) -> float:
        """Return when the last failure will be no news any more; `math.inf`: there is none that is."""
        return self._until if now < self._until else math.inf

    def now(self, zygote: ZygoteStatistics | None, now: float) -> str:
        """Say why no worker can be started; empty: nothing is known that speaks against it.

        Args:
            zygote: the one in use, if there is one.
            now: current time, on the clock of `note`.
        """
        if zygote is None:
            return "the process that forks workers was lost and is being started again"
        if zygote.unanswered_for > _SLOW_ANSWER:
            return f"the process that forks workers has not answered for {zygote.unanswered_for:.0f} s"
        return self._why if now < self._until else ""
