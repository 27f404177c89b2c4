"""The buckets of histograms: few enough to be cheap, close enough to tell good from bad."""

from __future__ import annotations

__all__ = ["BYTES", "LAG", "SECONDS"]

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300)
"""From the start of a warm worker, a millisecond or so, to the longest time that tasks are given."""

LAG = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
"""Up to the time after which brokers give up on a runner."""

BYTES = (1e3, 1e4, 1e5, 1e6, 4e6, 16e6, 32e6, 64e6, 128e6, 256e6, 512e6, 1e9, 2e9, 4e9)
"""From a small result to the largest payload; the middle is where the memory of workers lies."""
