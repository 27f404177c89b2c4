"""Runs a trio-runner command exactly as its user would, with a lag probe on its event loop.

    python -m bench.probed FILE run --broker http://127.0.0.1:5679

The only differences to ``python -m trio_runner`` are the instrument, and that the process ends with the one
that started it.
"""

from __future__ import annotations

import ctypes
import functools
import signal
import sys
from pathlib import Path

import trio

from .probe import LagProbe

__all__ = ["die_with_parent", "main"]

_PR_SET_PDEATHSIG = 1


def die_with_parent() -> None:
    """Have the kernel end this process when its parent dies: a benchmark that is killed leaves nothing."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def main() -> None:
    """Run the command named in the arguments."""
    die_with_parent()
    path, arguments = Path(sys.argv[1]), sys.argv[2:]
    trio.run = functools.partial(trio.run, instruments=[LagProbe(path)])  # type: ignore[assignment]
    from trio_runner.service.cli import main as command

    command(arguments)


if __name__ == "__main__":
    main()
