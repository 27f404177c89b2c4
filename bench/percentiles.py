"""Order statistics of small samples."""

from __future__ import annotations

import math
from collections.abc import Sequence

__all__ = ["median", "percentile"]


def percentile(samples: Sequence[float], percent: float) -> float:
    """Return the smallest sample that at least `percent` per cent of all samples do not exceed.

    The answer is always one of the samples: of 100 of them, the 99th percentile is the second largest.

    Args:
        samples: at least one number, in any order.
        percent: from 0 to 100.

    Raises:
        ValueError: there are no samples, or `percent` is out of range.
    """
    if not samples:
        raise ValueError("no samples: a percentile needs at least one")
    if not 0 <= percent <= 100:
        raise ValueError(f"percent must be from 0 to 100, not {percent:g}")
    rank = max(1, math.ceil(len(samples) * percent / 100))
    return sorted(samples)[rank - 1]


def median(samples: Sequence[float]) -> float:
    """Return the middle sample, or the mean of the two in the middle.

    Raises:
        ValueError: there are no samples.
    """
    if not samples:
        raise ValueError("no samples: a median needs at least one")
    ordered, half = sorted(samples), len(samples) // 2
    return ordered[half] if len(ordered) % 2 else (ordered[half - 1] + ordered[half]) / 2
