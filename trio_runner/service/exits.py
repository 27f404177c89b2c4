"""The exit codes of the commands that keep running."""

from __future__ import annotations

import enum

__all__ = ["ExitCode"]


class ExitCode(enum.IntEnum):
    """How a daemon ended, for its supervisor.

    Attributes:
        DONE: told to end, or nothing to do for the idle limit.
        FAULT: a fault of this program or its machine; the log says which.
        BAD_SETTINGS: a setting is wrong; nothing was started.
        NO_BROKER: the broker refused the token, or no connection to it can be had any more.
        INTERRUPTED: SIGINT came before or after the time in which it asks for a graceful end.
    """

    DONE = 0
    FAULT = 1
    BAD_SETTINGS = 2
    NO_BROKER = 3
    INTERRUPTED = 130
