"""How long to wait before the next attempt: exponential, jittered, bounded, never zero."""

from __future__ import annotations

import math
from random import Random

from ..errors import ConfigError

__all__ = ["Backoff"]

# Share of the current bound below which no delay falls: wide enough to spread a fleet that lost its broker at
# one moment, high enough that repeated bad luck with the draw is still no spin.
_FLOOR = 0.25


class Backoff:
    """Delays between attempts that keep failing.

    The n-th delay is uniform between a quarter of a bound and the bound, which grows from `first` by `factor`
    up to `ceiling`.

    Args:
        first: bound of the first delay, seconds, > 0.
        factor: growth of the bound with each attempt, ≥ 1.
        ceiling: the bound grows no further, seconds, ≥ `first`.
        random: source of the jitter; None: one of its own.

    Raises:
        ConfigError: one of the numbers is out of range.
    """

    def __init__(
        self, *, first: float = 0.25, factor: float = 2.0, ceiling: float = 5.0, random: Random | None = None
    ) -> None:
        if not (math.isfinite(first) and first > 0):
            raise ConfigError(f"backoff: first must be a number of seconds > 0, not {first!r}")
        if not (math.isfinite(factor) and factor >= 1):
            raise ConfigError(f"backoff: factor must be a number ≥ 1, not {factor!r}")
        if not (math.isfinite(ceiling) and ceiling >= first):
            raise ConfigError(f"backoff: ceiling must be a number of seconds ≥ first, not {ceiling!r}")
        self._first = first
        self._factor = factor
        self._ceiling = ceiling
        self._bound = first
        self._random = random or Random()  # noqa: S311 - spreads load, guards nothing

    def next_delay(self) -> float:
        """Return the seconds to wait before the next attempt, and count that attempt as one more failure."""
        bound = self._bound
        self._bound = min(bound * self._factor, self._ceiling)
        return self._random.uniform(bound * _FLOOR, bound)

    def reset(self) -> None:
        """Start over: an attempt has succeeded."""
        self._bound = self._first
