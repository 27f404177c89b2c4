"""The exit codes of the commands that keep running: the one place where they are written down."""

from __future__ import annotations

import enum
from collections.abc import Iterable

__all__ = ["ExitCode", "exit_codes_help"]


class ExitCode(enum.IntEnum):
    """How a daemon ended, for its supervisor; `meaning` says it in words.

    Attributes:
        DONE: as it was told to, or by a rule of its settings.
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

    @property
    def meaning(self) -> str:
        """What it tells a supervisor, in a few words."""
        return _MEANINGS[self]


_MEANINGS = {
    ExitCode.DONE: "told to end, idle, or enough tasks or time",
    ExitCode.FAULT: "a fault; see the log",
    ExitCode.BAD_SETTINGS: "a setting is wrong; nothing was started",
    ExitCode.NO_BROKER: "the token was refused, or its one connection is lost",
    ExitCode.INTERRUPTED: "interrupted while it started or ended",
}


def exit_codes_help(codes: Iterable[ExitCode]) -> str:
    """Return the part of a help screen that tells exit codes."""
    return "\n".join(["\b", "Exit codes:", *(f"  {code.value:<4} {code.meaning}" for code in codes)])
