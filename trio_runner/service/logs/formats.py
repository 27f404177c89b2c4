"""How a log line is written: for people, or as JSON for programs.

A line for people has the time, the level and the message, then what it is about as ``key=value``. It is one
line whatever is in it: what comes from other people's code or from the network is escaped, so that nobody
can write lines in our name. Colours are for terminals. As JSON a line is one object.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Mapping

import msgspec

from .redaction import escaped

__all__ = ["Format", "human_format", "json_format", "one_line", "pairs"]

Format = Callable[[str, str, Mapping[str, object], str], str]
"""Makes a line of level, message, what it is about, and a traceback or nothing."""

_COLOURS = {"debug": "2", "info": "32", "warning": "33", "error": "31", "critical": "1;31"}
# Longest text that comes from elsewhere, in characters; the whole of a print belongs to its requester.
_LONGEST = 4000
_NEEDS_QUOTES = re.compile(r"[\s\"'=]")
ORIGIN = "origin"
"""Field that says whose words the message is, if not the daemon's own."""


def human_format(*, colour: bool) -> Format:
    """Return the format for people.

    Args:
        colour: with the escape sequences of a terminal.
    """
    names = {level: f"{level.upper():<7}" for level in _COLOURS}
    if colour:
        names = {level: f"\x1b[{_COLOURS[level]}m{name}\x1b[0m" for level, name in names.items()}
    clock = _Clock()

    def write(level: str, message: str, about: Mapping[str, object], trace: str) -> str:
        shown = pairs(about)
        if colour and shown:
            shown = f"\x1b[2m{shown}\x1b[0m"
        line = f"{clock.now()} {names[level]} {tagged(message, about)}{shown}"
        return f"{line}\n{trace}" if trace else line

    return write


def json_format() -> Format:
    """Return the format for programs: a JSON object a line, ``timestamp``, ``level``, ``message`` first."""
    clock = _Clock()

    def write(level: str, message: str, about: Mapping[str, object], trace: str) -> str:
        values: dict[str, object] = {"timestamp": clock.now(), "level": level, "message": message}
        for key, value in about.items():
            values[key] = round(value, 6) if isinstance(value, float) else value
        if trace:
            values["exception"] = trace
        try:
            return msgspec.json.encode(values, enc_hook=str).decode()
        except UnicodeEncodeError:  # half of a surrogate pair, from somebody's code
            return json.dumps(values, default=str)

    return write


def tagged(message: str, about: Mapping[str, object]) -> str:
    """Return the message on one line, behind its origin if it is not the daemon's own words."""
    origin = about.get(ORIGIN)
    return f"[{origin}] {one_line(message)}" if origin else one_line(message)


def pairs(about: Mapping[str, object]) -> str:
    """Return what a line is about as `` key=value`` after `` key=value``."""
    return "".join(f" {key}={_value(value)}" for key, value in about.items() if key != ORIGIN)


def one_line(text: object) -> str:
    """Return a text with everything escaped that could end the line or steer a terminal."""
    shown = text if isinstance(text, str) else str(text)
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
    text = one_line(value)
    if text and not _NEEDS_QUOTES.search(text):
        return text
    return f'"{escaped(text)}"'


class _Clock:
    """The time of day in UTC to the millisecond; the text of its seconds is made once a second."""

    def __init__(self) -> None:
        self._second = -1
        self._shown = ""

    def now(self) -> str:
        millisecond = time.time_ns() // 1_000_000
        second = millisecond // 1000
        if second != self._second:
            self._second, self._shown = second, time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))
        return f"{self._shown}.{millisecond % 1000:03d}Z"
