"""How often something happens: events per second over the last ten seconds and the last minute. No clock."""

from __future__ import annotations

import attrs

__all__ = ["RateMeter", "Rates"]

# Whole seconds that are looked at, and the short look at the newest of them.
_MINUTE = 60
_SHORT = 10
# A place for every second of the minute, and one for the second that has only begun.
_PLACES = _MINUTE + 1


@attrs.frozen
class Rates:
    """Events per second, of whole seconds only: the second that has just begun does not count yet.

    Attributes:
        ten_seconds: over the last ten seconds, or since the start if that is later.
        minute: over the last minute, or since the start if that is later.
    """

    ten_seconds: float = 0.0
    minute: float = 0.0


class RateMeter:
    """Counts events by the second. Memory and the cost of a note are constant.

    Args:
        now: current time on a monotonic clock, seconds; the same clock for every call.
    """

    def __init__(self, now: float) -> None:
        self._began = int(now)
        self._seconds = [-1] * _PLACES
        self._counts = [0] * _PLACES

    def note(self, now: float) -> None:
        """Take note of one event."""
        second = int(now)
        place = second % _PLACES
        if self._seconds[place] != second:
            self._seconds[place] = second
            self._counts[place] = 0
        self._counts[place] += 1

    def rates(self, now: float) -> Rates:
        """Return how often it has happened of late."""
        return Rates(self._over(_SHORT, int(now)), self._over(_MINUTE, int(now)))

    def _over(self, span: int, now: int) -> float:
        span = min(span, now - self._began)
        if span <= 0:
            return 0.0
        first = now - span
        pairs = zip(self._seconds, self._counts, strict=True)
        return sum(count for second, count in pairs if first <= second < now) / span
