"""``trio-runner``, and the same as ``python -m trio_runner``: the command line.

It takes a moment to be loaded, and Ctrl-C in that moment must not show where in it the loading was.
"""

from __future__ import annotations

import signal
from typing import NoReturn

__all__ = ["main"]


def main() -> NoReturn:
    """Load the command line, run it and exit. Ctrl-C ends the loading as it ends any program, silently."""
    # Else it is ignored, as in the background of a script, or somebody else's.
    ours = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if ours:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from trio_runner.service import cli

    if ours:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    cli.main()


if __name__ == "__main__":
    main()
