"""What the person's code prints, on its way out as frames, live.

``print()``, and complete lines written to ``sys.stdout`` by other means, become `FrameKind.PRINTED` frames: the
first hundred; the rest are counted, and one closing line says how many were cut. ``sys.stderr`` is kept, its
beginning and its end, for the description of a failure.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator
from typing import TextIO

from .framing import FrameKind
from .text import cut, json_bytes, text_of, type_name

__all__ = ["CALLS", "CALL_LIMIT", "Console", "format_argument"]

CALLS = 100
"""Calls of ``print()`` that are sent, as n8n does; the person sees them in the browser."""
CALL_LIMIT = 64 * 1024
"""Characters of one call."""
_STDERR_LIMIT = 16 * 1024
"""Characters kept of the beginning and of the end of stderr, each."""

Send = Callable[[FrameKind, bytes], None]


def format_argument(value: object) -> str:
    """Return one argument of ``print()`` the way n8n shows it."""
    if isinstance(value, str):
        return f"'{text_of(value)}'"
    if value is None or isinstance(value, int | float):
        return text_of(value)
    try:
        return json.dumps(value, default=text_of, ensure_ascii=False)
    except RecursionError:
        return f"[{type_name(value)} nested too deeply]"
    except ValueError:
        return f"[Circular {type_name(value)}]"
    except (TypeError, RuntimeError):
        return text_of(value)  # Keys that JSON does not know.


class Console:
    """The standard streams of one task."""

    def __init__(self, send: Send) -> None:
        self.stdout: TextIO = _Lines(self._write_line)
        self._stderr = _HeadAndTail(_STDERR_LIMIT)
        self.stderr: TextIO = self._stderr
        self._send = send
        self._process = os.getpid()
        self._lock = threading.RLock()
        self._frames: deque[bytes] = deque()
        self._sending = False
        self._closed = False
        self._calls = 0

    @property
    def captured_stderr(self) -> str:
        """What the code wrote to stderr."""
        return self._stderr.kept()

    def print(
        self,
        *values: object,
        sep: str | None = " ",
        end: str | None = "\n",
        file: TextIO | None = None,
        flush: bool = False,
    ) -> None:
        """Stand in for the builtin of the same name."""
        target = sys.stdout if file is None else file
        if target is not self.stdout:
            print(*values, sep=sep, end=end, file=target, flush=flush)  # noqa: T201
            return
        for name, text in (("sep", sep), ("end", end)):
            if text is not None and not isinstance(text, str):
                raise TypeError(f"{name} must be None or a string, not {type_name(text)}")
        self.stdout.flush()
        if self._has_room():
            ending = "" if end in (None, "\n") else end
            text = (" " if sep is None else sep).join([str(value) for value in values]) + str(ending)
            self._emit([format_argument(value) for value in values], text)

    def close(self) -> None:
        """Send what is left: an unfinished line, and how many calls were cut. Nothing is sent afterwards."""
        self.stdout.flush()
        with self._lock:
            if self._calls > CALLS and not self._closed:
                note = f"[Output cut: {self._calls - CALLS} more print calls are not shown]"
                self._send_all(_frame([note], note))
            self._closed = True

    @contextlib.contextmanager
    def installed(self) -> Iterator[None]:
        """Make this the process's ``sys.stdout`` and ``sys.stderr`` for a while."""
        before = sys.stdout, sys.stderr
        sys.stdout, sys.stderr = self.stdout, self.stderr
        try:
            yield
        finally:
            sys.stdout, sys.stderr = before

    def _write_line(self, line: str) -> None:
        if self._has_room():
            self._emit([format_argument(line)], line)

    def _has_room(self) -> bool:
        """Count a call, and tell whether it is still one of those that are sent."""
        self._calls += 1
        return self._calls <= CALLS and not self._closed

    def _emit(self, params: list[str], text: str) -> None:
        if os.getpid() != self._process:
            # A child process of the code's own shares the socket: its frames would break into ours.
            os.write(1, text.encode("utf-8", "backslashreplace") + b"\n")
            return
        with self._lock:
            if not self._closed:
                self._send_all(_frame(params, text))

    def _send_all(self, frame: bytes) -> None:
        """Send a frame whole, even if a finaliser or a signal handler prints in the middle of it."""
        self._frames.append(frame)
        if self._sending:
            return
        self._sending = True
        try:
            while self._frames:
                self._send(FrameKind.PRINTED, self._frames.popleft())
        finally:
            self._sending = False


def _frame(params: list[str], text: str) -> bytes:
    bounded, room = [], CALL_LIMIT
    for param in params:
        bounded.append(cut(param, max(room, 0)))
        room -= len(param)
    return json_bytes({"params": bounded, "text": cut(text, CALL_LIMIT)})


class _Bytes(io.RawIOBase):
    """``sys.stdout.buffer``: bytes go the way of text."""

    def __init__(self, text: io.TextIOBase) -> None:
        self._text = text

    def writable(self) -> bool:
        return True

    def write(self, data: object, /) -> int:
        view = memoryview(data)  # type: ignore[arg-type]
        self._text.write(str(view, "utf-8", "replace"))
        return view.nbytes


class _TextOut(io.TextIOBase):
    """A text stream that can only be written to."""

    encoding = "utf-8"
    errors = "replace"

    @property
    def buffer(self) -> io.RawIOBase:
        return _Bytes(self)

    def writable(self) -> bool:
        return True


class _Lines(_TextOut):
    """Hands on each complete line, and on `flush` by `Console` the rest."""

    name = "<stdout>"

    def __init__(self, write_line: Callable[[str], None]) -> None:
        self._write_line = write_line
        self._rest = ""

    def write(self, text: str, /) -> int:
        if not isinstance(text, str):
            raise TypeError(f"write() argument must be str, not {type_name(text)}")
        *lines, self._rest = (self._rest + text).split("\n")
        for line in lines:
            self._write_line(line)
        if len(self._rest) > CALL_LIMIT:
            self.flush()
        return len(text)

    def flush(self) -> None:
        rest, self._rest = self._rest, ""
        if rest:
            self._write_line(rest)


class _HeadAndTail(_TextOut):
    """Keeps the beginning and the end of what is written."""

    name = "<stderr>"

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._head = ""
        self._tail = ""
        self._dropped = 0

    def write(self, text: str, /) -> int:
        if not isinstance(text, str):
            raise TypeError(f"write() argument must be str, not {type_name(text)}")
        room = self._limit - len(self._head)
        self._head += text[:room]
        tail = self._tail + text[room:]
        self._tail = tail[-self._limit :]
        self._dropped += len(tail) - len(self._tail)
        return len(text)

    def kept(self) -> str:
        gap = f"\n… {self._dropped} characters left out …\n" if self._dropped else ""
        return self._head + gap + self._tail
