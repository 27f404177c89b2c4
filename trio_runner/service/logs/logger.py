"""The logger of this package's own lines: a message, and what it is about as keyword arguments.

Where the lines go is said by `writing_to`; until then they go nowhere. This is a page of our own because what
it would take from a library, it would pay for with a fifth of the time until the first offer, and of the
memory of an idle runner, for parts that are not used here.
"""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from .levels import is_logged

__all__ = ["LOG", "Logger", "Write", "writing_to"]

Write = Callable[[str, str, Mapping[str, object], str], None]
"""Writes a line: its level, its message, what it is about, and a traceback or nothing."""


class Logger:
    """Asks for the level before it does anything else: most lines of a busy day are not wanted."""

    def __init__(self) -> None:
        self.write: Write | None = None

    def debug(self, message: str, /, **about: object) -> None:
        """Log what only somebody who looks for a fault wants to know."""
        if is_logged(logging.DEBUG):
            self._emit("debug", message, about)

    def info(self, message: str, /, **about: object) -> None:
        """Log what went as it should."""
        if is_logged(logging.INFO):
            self._emit("info", message, about)

    def warning(self, message: str, /, **about: object) -> None:
        """Log what somebody should know of, although it goes on."""
        if is_logged(logging.WARNING):
            self._emit("warning", message, about)

    def error(self, message: str, /, **about: object) -> None:
        """Log what does not go on."""
        if is_logged(logging.ERROR):
            self._emit("error", message, about)

    def critical(self, message: str, /, **about: object) -> None:
        """Log what ends everything."""
        if is_logged(logging.CRITICAL):
            self._emit("critical", message, about)

    def exception(self, message: str, /, **about: object) -> None:
        """Log an error with the traceback of the exception that is being handled."""
        if is_logged(logging.ERROR):
            self._emit("error", message, about, traceback.format_exc().rstrip("\n"))

    def _emit(self, level: str, message: str, about: Mapping[str, object], trace: str = "") -> None:
        if self.write is None:
            return
        try:
            self.write(level, message, about, trace)
        except Exception:  # a log line that cannot be written must not end a daemon
            self.write("error", "a log line could not be written", {"line": repr(message)[:200]}, "")


LOG = Logger()
"""The one logger."""


@contextmanager
def writing_to(write: Write) -> Iterator[None]:
    """Have the lines written by a function for the time of a block."""
    before, LOG.write = LOG.write, write
    try:
        yield
    finally:
        LOG.write = before
