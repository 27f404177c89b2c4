"""The logs of a daemon: structlog over standard logging, warnings and errors to stderr, the rest to stdout.

A line is for people first: time, level, message, then what it is about as ``key=value``. It is one line
whatever is in it: what comes from other people's code or from the network is escaped, so that nobody can
write lines in our name. Secrets are replaced, wherever they turn up. Colours are for terminals.
"""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Callable, Iterator, MutableMapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, TextIO

import attrs
import structlog

from .line_writer import LineWriter

__all__ = ["LogStyle", "logging_to", "render"]

_LEVELS = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
    "critical": logging.CRITICAL,
    "silent": logging.CRITICAL + 1,
}
_COLOURS = {"debug": "2", "info": "32", "warning": "33", "error": "31", "critical": "1;31"}
_STDOUT, _STDERR = 0, 1
# Longest text that comes from elsewhere, in characters; the whole of a print belongs to its requester.
_LONGEST = 4000
# A shorter "secret" protects nothing, and replacing it would make the log unreadable.
_SHORTEST_SECRET = 6
# Time for what is queued to be written at the end, seconds: a reader that is alive needs far less.
_FLUSH_TIMEOUT = 2.0


@attrs.frozen(kw_only=True)
class LogStyle:
    """What is logged and how.

    Attributes:
        level: least important level: debug, info, warning, error, critical or silent.
        no_color: never colour, not even on a terminal.
        secrets: texts that must not appear in any line.
    """

    level: str = "info"
    no_color: bool = False
    secrets: tuple[str, ...] = attrs.field(default=(), repr=False)


@contextmanager
def logging_to(style: LogStyle, stdout: TextIO | None = None, stderr: TextIO | None = None) -> Iterator[None]:
    """Set logging up for a daemon, and take it down again when everything has been written.

    Args:
        style: what is logged and how.
        stdout: where lines below warning go; None: `sys.stdout`, which may be closed.
        stderr: where warnings and errors go; None: `sys.stderr`, likewise.
    """
    handler = _SplitHandler(style, stdout or sys.stdout, stderr or sys.stderr)
    root = logging.getLogger()
    before = (root.level, root.handlers[:], logging.raiseExceptions)
    root.handlers[:] = [handler]
    root.setLevel(_LEVELS[style.level])
    logging.raiseExceptions = False
    # At its debug level this library formats whole messages, payloads included.
    logging.getLogger("trio-websocket").setLevel(logging.WARNING)
    _configure_structlog()
    try:
        yield
    finally:
        structlog.reset_defaults()
        root.level, root.handlers[:], logging.raiseExceptions = before
        handler.writer.close(_FLUSH_TIMEOUT)


def render(event: MutableMapping[str, Any], *, colour: bool) -> str:
    """Return an event as one line of text; a traceback follows in lines of its own."""
    fields = dict(event)
    time, level = str(fields.pop("timestamp", "")), str(fields.pop("level", "info"))
    message, trace = _one_line(fields.pop("event", "")), fields.pop("exception", "")
    pairs = "".join(f" {key}={_value(value)}" for key, value in fields.items())
    name = f"{level.upper():<7}"
    if colour:
        name, pairs = (
            f"\x1b[{_COLOURS.get(level, '0')}m{name}\x1b[0m",
            f"\x1b[2m{pairs}\x1b[0m" if pairs else "",
        )
    return f"{time} {name} {message}{pairs}" + (f"\n{trace}" if trace else "")


class _SplitHandler(logging.Handler):
    """Sends warnings and errors to one stream and the rest to the other."""

    def __init__(self, style: LogStyle, stdout: TextIO | None, stderr: TextIO | None) -> None:
        super().__init__()
        self.writer = LineWriter((stdout, stderr))
        self._hide = _hider(style.secrets)
        self._formatters = [_formatter(_colourful(stream, style)) for stream in (stdout, stderr)]

    def emit(self, record: logging.LogRecord) -> None:
        stream = _STDERR if record.levelno >= logging.WARNING else _STDOUT
        try:
            line = self._hide(self._formatters[stream].format(record))
        except Exception:  # a log line that cannot be written must not end a daemon
            line = f"a log line could not be written: {record.name} {record.lineno}"
        self.writer.put(stream, line)


def _configure_structlog() -> None:
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            *_stamps(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )


def _stamps() -> list[structlog.typing.Processor]:
    return [
        structlog.stdlib.add_log_level,
        _stamp_time,
    ]


def _stamp_time(_logger: object, _name: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    now = datetime.now(UTC).isoformat(timespec="milliseconds")
    event["timestamp"] = f"{now.removesuffix('+00:00')}Z"
    return event


def _formatter(colour: bool) -> structlog.stdlib.ProcessorFormatter:
    def write(_logger: object, _name: str, event: MutableMapping[str, Any]) -> str:
        return render(event, colour=colour)

    return structlog.stdlib.ProcessorFormatter(
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.format_exc_info,
            write,
        ],
        foreign_pre_chain=_stamps(),
    )


def _colourful(stream: TextIO | None, style: LogStyle) -> bool:
    return stream is not None and not style.no_color and stream.isatty()


def _hider(secrets: tuple[str, ...]) -> Callable[[str], str]:
    """Return a function that replaces every secret in a text, also where it stands escaped in quotes."""
    texts = {
        form for secret in secrets if len(secret) >= _SHORTEST_SECRET for form in (secret, _escaped(secret))
    }
    # An alternative of nothing would match everywhere: without secrets only headers are looked for.
    secret = "|".join(re.escape(text) for text in sorted(texts, key=len, reverse=True)) or r"(?!)"
    pattern = re.compile(rf"(bearer\s+)[^\s'\",]+|(?-i:{secret})", re.IGNORECASE)
    return lambda text: pattern.sub(lambda found: f"{found[1] or ''}***", text)


def _one_line(text: object) -> str:
    """Return a text with everything escaped that could end the line or steer a terminal."""
    shown = str(text)
    if len(shown) > _LONGEST:
        shown = f"{shown[:_LONGEST]}… ({len(shown) - _LONGEST} more characters)"
    if shown.isprintable():
        return shown
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode("ascii")
        for character in shown
    )


def _value(value: object) -> str:
    """Return a value as it stands after ``key=``: numbers short, texts in quotes if they need them."""
    if isinstance(value, float):
        return f"{value:.3f}".rstrip("0").rstrip(".")
    text = _one_line(value)
    if text and not any(character.isspace() or character in "\"'=" for character in text):
        return text
    return f'"{_escaped(text)}"'


def _escaped(text: str) -> str:
    """Return a text as it stands between double quotes."""
    return text.replace("\\", "\\\\").replace('"', '\\"')
