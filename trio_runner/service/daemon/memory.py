"""What loading leaves in memory, dealt with once and for all."""

from __future__ import annotations

import ctypes
import gc

__all__ = ["settle_memory"]

_trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # the GNU C library's


def settle_memory() -> None:
    """Give back what loading has taken and needs no more, and look no more for garbage in what it has made.

    To be called when everything is loaded. Code that had to be compiled leaves some three megabytes behind.
    And a collection that goes through all modules holds up the event loop for tens of milliseconds.
    """
    gc.freeze()
    if _trim is not None:
        _trim(0)
