"""The journal of systemd, in its own protocol: one datagram a line, with fields to search for.

``journalctl TRIO_RUNNER_TASK=…`` finds every line about a task. The message is the whole line as people read
it, because ``journalctl`` shows nothing else by default.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
from collections.abc import Callable, Mapping
from typing import TextIO

from .formats import one_line, pairs, tagged
from .levels import PRIORITIES

__all__ = ["JOURNAL_SOCKET", "Journal", "is_journal", "journal_entry"]

JOURNAL_SOCKET = "/run/systemd/journal/socket"
"""Where the journal listens."""
_PREFIX = "TRIO_RUNNER_"
# Bytes of message or traceback where the whole is more than a datagram can carry.
_SHORTENED = 16_384


def is_journal(stream: TextIO | None, environ: Mapping[str, str]) -> bool:
    """Whether a stream leads into the journal: systemd names its device and inode in ``JOURNAL_STREAM``."""
    named = environ.get("JOURNAL_STREAM", "")
    if not named or stream is None:
        return False
    try:
        status = os.fstat(stream.fileno())
    except (OSError, ValueError):  # a stream in memory, or closed
        return False
    return named == f"{status.st_dev}:{status.st_ino}"


def journal_entry(level: str, message: str, about: Mapping[str, object], trace: str) -> bytes:
    """Return a line as the journal takes it.

    Args:
        level: a key of `PRIORITIES`.
        message: what happened.
        about: becomes fields; their names are spelt in capitals after a prefix.
        trace: a traceback, or nothing.
    """
    text = f"{tagged(message, about)}{pairs(about)}"
    fields = {
        "MESSAGE": f"{text}\n{trace}" if trace else text,
        "PRIORITY": str(PRIORITIES[level]),
        "SYSLOG_IDENTIFIER": "trio-runner",
    }
    fields |= {f"{_PREFIX}{key.upper()}": one_line(value) for key, value in about.items()}
    return b"".join(_field(name, value) for name, value in fields.items())


class Journal:
    """A connection to the journal.

    Args:
        hide: applied to everything that is written.
        path: where the journal listens.

    Attributes:
        dropped: lines that the journal did not take and that have not been reported yet.

    Raises:
        OSError: there is no journal.
    """

    def __init__(self, hide: Callable[[str], str], path: str = JOURNAL_SOCKET) -> None:
        self.dropped = 0
        self._hide = hide
        self._path = path
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        try:
            self._socket.setblocking(False)
            self._socket.connect(path)
        except OSError:
            self._socket.close()
            raise

    def write(self, level: str, message: str, about: Mapping[str, object], trace: str) -> None:
        """Write one line. Never blocks: what the journal does not take is counted and told later."""
        hide = self._hide
        shown = {key: hide(str(value)) if isinstance(value, str) else value for key, value in about.items()}
        message, trace = hide(message), hide(trace)
        if self.dropped:
            lost = f"{self.dropped} log lines were dropped: the journal did not take them fast enough"
            if not self._send(journal_entry("warning", lost, {}, "")):
                self.dropped += 1
                return
            self.dropped = 0
        if not self._send(journal_entry(level, message, shown, trace), (level, message, shown, trace)):
            self.dropped += 1

    def close(self) -> None:
        """Close the connection."""
        self._socket.close()

    def _send(self, entry: bytes, whole: tuple[str, str, Mapping[str, object], str] | None = None) -> bool:
        """Send one datagram; `whole` is what it was made of, to be sent shortened if it is too large."""
        try:
            self._socket.send(entry)
        except OSError as exc:
            if exc.errno == errno.EMSGSIZE and whole is not None:
                level, message, about, trace = whole
                return self._send(journal_entry(level, message[:_SHORTENED], about, trace[:_SHORTENED]))
            return exc.errno in (errno.ECONNREFUSED, errno.ENOTCONN) and self._again(entry)
        return True

    def _again(self, entry: bytes) -> bool:
        """Send after the journal was started anew."""
        try:
            self._socket.connect(self._path)
            self._socket.send(entry)
        except OSError:
            return False
        return True


def _field(name: str, value: str) -> bytes:
    data = value.encode("utf-8", "backslashreplace")
    if b"\n" in data:
        return b"%s\n%s%s\n" % (name.encode(), struct.pack("<Q", len(data)), data)
    return b"%s=%s\n" % (name.encode(), data)
