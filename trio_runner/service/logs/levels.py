"""The levels of log lines, and the one that counts now, which may change while the daemon runs."""

from __future__ import annotations

import logging

__all__ = ["LEVELS", "PRIORITIES", "current_level", "is_logged", "set_level"]

LEVELS = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
    "critical": logging.CRITICAL,
    "silent": logging.CRITICAL + 1,
}
"""By name, as the setting has it; ``silent`` lets nothing through."""
PRIORITIES = {"debug": 7, "info": 6, "warning": 4, "error": 3, "critical": 2}
"""What syslog and the journal call them."""

# The level lives in the standard library's logging, whose loggers remember the answer: asking costs a look
# into a dict, and the lines of other libraries obey it too.
_LOGGER = logging.getLogger("trio_runner")


def set_level(name: str) -> None:
    """Let through what is at least as important as a level, from the next line on.

    Args:
        name: a key of `LEVELS`.
    """
    logging.getLogger().setLevel(LEVELS[name])


def current_level() -> str:
    """Return the name of the least important level that is let through."""
    threshold = _LOGGER.getEffectiveLevel()
    return next((name for name, number in LEVELS.items() if number >= threshold), "silent")


def is_logged(level: int) -> bool:
    """Whether lines of a level, a value of `LEVELS`, are let through now."""
    return _LOGGER.isEnabledFor(level)
