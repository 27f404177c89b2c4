"""Holding back lines that say the same again and again."""

from __future__ import annotations

import attrs

__all__ = ["Repeats"]

# What is remembered at most; a peer that makes up a new text each time must not fill the memory.
_MOST_KEYS = 1000


@attrs.define
class _Said:
    began: float
    times: int = 0
    held_back: int = 0


class Repeats:
    """Decides whether a line is said now: a few times at once, then once per interval.

    Args:
        every: seconds of an interval.
    """

    def __init__(self, every: float = 60.0) -> None:
        self._every = every
        self._said: dict[object, _Said] = {}

    def say(self, key: object, now: float, *, burst: int = 1) -> int | None:
        """Return how many lines were held back since the last one, or None: hold this one back too.

        Args:
            key: what the line says; hashable.
            now: monotonic time, seconds.
            burst: lines said in one interval before any is held back.
        """
        said = self._said.get(key)
        if said is None or now - said.began >= self._every:
            held_back = said.held_back if said is not None else 0
            self._forget_old(now)
            self._said[key] = _Said(now, times=1)
            return held_back
        if said.times >= burst:
            said.held_back += 1
            return None
        said.times += 1
        return 0

    def _forget_old(self, now: float) -> None:
        if len(self._said) >= _MOST_KEYS:
            self._said = {key: said for key, said in self._said.items() if now - said.began < self._every}
        if len(self._said) >= _MOST_KEYS:
            self._said.clear()
