"""A snapshot in words for people: times, rates, counts, and names that cannot steer a terminal."""

from __future__ import annotations

from collections.abc import Mapping

from ..terminal import plain

__all__ = ["counted", "name", "rate", "since"]

_MINUTE, _HOUR, _DAY = 60, 3600, 86400
# Characters of a name; the rest is left out.
_LONGEST_NAME = 60


def since(seconds: float | None) -> str:
    """Return a length of time in the unit that fits it, at most two of them."""
    if seconds is None:
        return "–"
    if seconds < 0.01:
        return f"{seconds * 1000:.1f} ms"
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < _MINUTE:
        return f"{seconds:.1f} s"
    whole = int(seconds)
    if whole < _HOUR:
        return f"{whole // _MINUTE}m {whole % _MINUTE:02}s"
    if whole < _DAY:
        return f"{whole // _HOUR}h {whole % _HOUR // _MINUTE:02}m"
    return f"{whole // _DAY}d {whole % _DAY // _HOUR:02}h"


def rate(per_second: float) -> str:
    """Return a rate."""
    return f"{per_second:.1f}/s" if per_second < 100 else f"{per_second:.0f}/s"


def counted(counts: Mapping[str, int], *, none: str) -> str:
    """Return counts with their names, the largest first, those of nothing left out."""
    parts = [f"{plain(word)} {count}" for word, count in sorted(counts.items(), key=lambda c: -c[1]) if count]
    return " · ".join(parts) or none


def name(text: str, longest: int = _LONGEST_NAME) -> str:
    """Return a name that somebody else has chosen, on one line and not too long."""
    shown = plain(text.replace("\n", " ").replace("\t", " "))
    return shown if len(shown) <= longest else f"{shown[: longest - 1]}…"
