"""The logs of a daemon: our own lines and those that libraries give to standard logging, one output.

Warnings and errors go to stderr, the rest to stdout; under systemd every line goes to the journal, with its
fields. Secrets are replaced, wherever they turn up. What is below the level costs a look at the level.
"""

from __future__ import annotations

import logging
import os
import sys
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TextIO

import attrs

from .formats import Format, human_format, json_format
from .journal import JOURNAL_SOCKET, Journal, is_journal
from .levels import LEVELS, set_level
from .line_writer import LineWriter
from .logger import Write, writing_to
from .redaction import Hider, hider

__all__ = ["LogStyle", "logging_to"]

# Time for what is queued to be written at the end, seconds: a reader that is alive needs far less.
_FLUSH_TIMEOUT = 2.0


@attrs.frozen(kw_only=True)
class LogStyle:
    """What is logged and how.

    Attributes:
        level: least important level: debug, info, warning, error, critical or silent.
        format: ``text``, ``json``, ``journal``, or ``auto``: the journal where systemd listens, else text.
        no_color: never colour, not even on a terminal.
        secrets: texts that must not appear in any line.
    """

    level: str = "info"
    format: str = "auto"
    no_color: bool = False
    secrets: tuple[str, ...] = attrs.field(default=(), repr=False)


@contextmanager
def logging_to(
    style: LogStyle,
    stdout: TextIO | None = None,
    stderr: TextIO | None = None,
    *,
    environ: Mapping[str, str] = os.environ,
    journal_socket: str = JOURNAL_SOCKET,
) -> Iterator[Hider]:
    """Set logging up for a daemon, and take it down again when everything has been written.

    Yields what hides the secrets: more can be added to it.

    Args:
        style: what is logged and how.
        stdout: where lines below warning go; None: `sys.stdout`, which may be closed.
        stderr: where warnings and errors go; None: `sys.stderr`, likewise.
        environ: tells whether the output leads into the journal.
        journal_socket: where the journal listens.
    """
    stdout, stderr = stdout or sys.stdout, stderr or sys.stderr
    into_journal = style.format == "journal" or (style.format == "auto" and is_journal(stderr, environ))
    hide = hider(style.secrets)
    journal = _open_journal(hide, journal_socket) if into_journal else None
    output = journal or _Streams(style, stdout, stderr, hide)
    root = logging.getLogger()
    before = (root.level, root.handlers[:], logging.raiseExceptions)
    root.handlers[:] = [_LibraryHandler(output.write)]
    set_level(style.level)
    logging.raiseExceptions = False
    # At its debug level this library formats whole messages, payloads included.
    logging.getLogger("trio-websocket").setLevel(logging.WARNING)
    try:
        with writing_to(output.write):
            yield hide
    finally:
        root.level, root.handlers[:], logging.raiseExceptions = before
        output.close()


class _Streams:
    """Standard output and standard error."""

    def __init__(self, style: LogStyle, stdout: TextIO | None, stderr: TextIO | None, hide: Hider) -> None:
        self._writer = LineWriter((stdout, stderr))
        self._formats = [_format(style, stream) for stream in (stdout, stderr)]
        self._hide = hide

    def write(self, level: str, message: str, about: Mapping[str, object], trace: str) -> None:
        number = 1 if LEVELS[level] >= logging.WARNING else 0
        self._writer.put(number, self._hide(self._formats[number](level, message, about, trace)))

    def close(self) -> None:
        self._writer.close(_FLUSH_TIMEOUT)


class _LibraryHandler(logging.Handler):
    """Takes the lines of libraries."""

    def __init__(self, write: Write) -> None:
        super().__init__()
        self._write = write

    def emit(self, record: logging.LogRecord) -> None:
        level = record.levelname.lower()
        trace = "".join(traceback.format_exception(*record.exc_info)).rstrip("\n") if record.exc_info else ""
        try:
            self._write(level if level in LEVELS else "info", record.getMessage(), {}, trace)
        except Exception:  # as above
            about = {"logger": record.name, "line": record.lineno}
            self._write("error", "a log line could not be written", about, "")


def _open_journal(hide: Hider, path: str) -> Journal | None:
    """Connect to the journal; None: there is none, and lines go where the streams lead."""
    try:
        return Journal(hide, path)
    except OSError:
        return None


def _format(style: LogStyle, stream: TextIO | None) -> Format:
    if style.format == "json":
        return json_format()
    return human_format(colour=stream is not None and not style.no_color and stream.isatty())
