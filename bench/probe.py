"""How long an event loop does not look at the world, measured inside the process and read from outside.

Theory of operation. trio tells an instrument when it is about to wait for events and when it is back. What
lies between coming back and waiting again is one round: during it no socket is read, no ping answered, no
deadline kept. The longest round is the lag. That is exact, needs no task of its own, no timer and no
polling, and costs less than a microsecond a round.

The longest round is kept in a file that both processes map, so reading it costs the measured process
nothing. The reader begins a new measurement by raising a number, which the probe repeats with its next round.
"""

from __future__ import annotations

import mmap
import struct
import time
from pathlib import Path

import trio

__all__ = ["LagGauge", "LagProbe"]

# asked for, answering, longest round in seconds
_LAYOUT = struct.Struct("=3d")


class LagProbe(trio.abc.Instrument):
    """Measures the loop it is given to as an instrument.

    Args:
        path: file made by a `LagGauge`.
    """

    def __init__(self, path: Path) -> None:
        with path.open("r+b") as file:
            self._shared = mmap.mmap(file.fileno(), _LAYOUT.size)
        self._measurement = -1.0
        self._longest = 0.0
        self._back_at = time.perf_counter()

    def after_io_wait(self, timeout: float) -> None:
        """A round begins."""
        self._back_at = time.perf_counter()

    def before_io_wait(self, timeout: float) -> None:
        """A round has ended."""
        length = time.perf_counter() - self._back_at
        (asked,) = struct.unpack_from("=d", self._shared)
        if asked != self._measurement:
            self._measurement, self._longest = asked, length
        elif length <= self._longest:
            return
        else:
            self._longest = length
        struct.pack_into("=2d", self._shared, 8, self._measurement, self._longest)


class LagGauge:
    """Reads what a `LagProbe` measures.

    Args:
        path: file to make.
    """

    def __init__(self, path: Path) -> None:
        path.write_bytes(_LAYOUT.pack(0.0, -1.0, 0.0))
        self.path = path
        with path.open("r+b") as file:
            self._shared = mmap.mmap(file.fileno(), _LAYOUT.size)
        self._measurement = 0.0

    def begin(self) -> None:
        """Begin a new measurement."""
        self._measurement += 1
        struct.pack_into("=d", self._shared, 0, self._measurement)

    def longest(self) -> float:
        """Return the longest round since `begin`, in seconds; 0 if there was none."""
        _, answering, longest = _LAYOUT.unpack(self._shared)
        return longest if answering == self._measurement else 0.0
