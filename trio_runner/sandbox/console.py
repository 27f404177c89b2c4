"""What the person's code prints, on its way out as frames, live.

``print()``, and lines written to ``sys.stdout`` by other means, become `FrameKind.PRINTED` frames: the first
hundred; the rest are counted, and one closing line says how many were cut. ``sys.stderr`` is kept, its
beginning and its end, for the description of a failure.
"""

from __future__ import annotations

import _thread
import contextlib
import sys
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any, TextIO, cast

from .framing import FrameKind
from .streams import HeadAndTail, Lines
from .text import cut, json_bytes, json_writer, text_of, type_name

__all__ = ["CALLS", "CALL_LIMIT", "Console", "format_argument"]

CALLS = 100
"""Calls of ``print()`` that are sent, as many as n8n shows."""
CALL_LIMIT = 4_000_000
"""Characters of one call, fewer if they take more than `FRAME_LIMIT` bytes."""
TEXT_LIMIT = 60_000
"""Characters of one call in the runner's own log, where nobody reads more."""
FRAME_LIMIT = 8 * 1024**2
"""Bytes of one frame; the runner takes no larger ones."""
TASK_LIMIT = 16 * 1024**2
"""Bytes of frames after which no further call is sent, however few there were."""
STDERR_LIMIT = 16 * 1024
"""Characters kept of the beginning and of the end of stderr, each."""

Send = Callable[[FrameKind, bytes], None]

_encode = json_writer(text_of)


def format_argument(value: object) -> str:
    """Return one argument of ``print()`` the way n8n shows it."""
    if isinstance(value, str):
        return f"'{text_of(value)}'"
    if value is None or isinstance(value, int | float):
        return text_of(value)
    try:
        return _encode(value)
    except RecursionError:
        return f"[{type_name(value)} nested too deeply]"
    except (ValueError, TypeError, RuntimeError) as error:
        if isinstance(error, ValueError) and "Circular" in str(error):
            return f"[Circular {type_name(value)}]"
        return text_of(value)  # keys that JSON does not know, or a number of too many digits


class Console:
    """The standard streams of one task.

    Args:
        send: writes one frame.
    """

    def __init__(self, send: Send) -> None:
        self._send = send
        self._lock = _thread.RLock()
        self._frames: deque[bytes] = deque()
        self._sending = False
        self._closed = False
        self._calls = 0
        self._cut = 0
        self._sent = 0
        self._stdout = Lines("<stdout>", 1, self._lock, write_line=self._write_line, limit=CALL_LIMIT)
        self._stderr = HeadAndTail("<stderr>", 2, self._lock, limit=STDERR_LIMIT)

    @property
    def captured_stderr(self) -> str:
        """What the code wrote to stderr."""
        return self._stderr.kept()

    @contextlib.contextmanager
    def installed(self) -> Iterator[None]:
        """Make this the process's ``sys.stdout`` and ``sys.stderr`` for a while."""
        streams = {"stdout": self._stdout, "stderr": self._stderr}
        streams |= {f"__{name}__": stream for name, stream in streams.items()}
        before = {name: getattr(sys, name) for name in streams}
        vars(sys).update(streams)
        try:
            yield
        finally:
            vars(sys).update(before)

    def print(
        self,
        *values: object,
        sep: str | None = " ",
        end: str | None = "\n",
        file: Any = None,
        flush: bool = False,
    ) -> None:
        """Stand in for the builtin of the same name."""
        target = sys.stdout if file is None else file
        if target is not self._stdout or self._stdout.in_fork:
            print(*values, sep=sep, end=end, file=cast("TextIO", target), flush=flush)
            return
        for name, part in (("sep", sep), ("end", end)):
            if part is not None and not isinstance(part, str):
                raise TypeError(f"{name} must be None or a string, not {type_name(part)}")
        self._stdout.flush()
        if self._has_room():
            text = (" " if sep is None else sep).join([str(value) for value in values])
            self._emit([format_argument(value) for value in values], text + (end or "").removesuffix("\n"))

    def close(self) -> None:
        """Send what is left: an unfinished line, and how many calls were cut. Nothing is sent afterwards."""
        self._stdout.flush()
        with self._lock:
            if self._cut:
                note = f"[Output cut: {self._cut} more print calls are not shown]"
                self._emit([note], note)
            self._closed = True

    def _write_line(self, line: str) -> None:
        if self._has_room():
            self._emit([format_argument(line)], line)

    def _has_room(self) -> bool:
        """Count a call, and tell whether it is still one of those that are sent."""
        with self._lock:
            if self._closed:
                return False
            has_room = self._calls < CALLS and self._sent < TASK_LIMIT
            self._calls += has_room
            self._cut += not has_room
            return has_room

    def _emit(self, params: list[str], text: str) -> None:
        """Send one frame whole, even if a finaliser or a signal handler prints in the middle of it."""
        with self._lock:
            if self._closed:
                return
            self._frames.append(_frame(params, text))
            self._sent += len(self._frames[-1])
            if self._sending:
                return  # the call that is being interrupted sends this one too
            self._sending = True
            try:
                while self._frames:
                    self._send(FrameKind.PRINTED, self._frames.popleft())
            finally:
                self._sending = False


def _frame(params: list[str], text: str) -> bytes:
    """Return the payload for one call, cut to size. A character may take six bytes, so size is tried out."""
    limit = CALL_LIMIT
    while True:
        frame = json_bytes({"params": _cut_params(params, limit), "text": cut(text, min(limit, TEXT_LIMIT))})
        if len(frame) <= FRAME_LIMIT:
            return frame
        limit = limit * 3 // 4


def _cut_params(params: list[str], limit: int) -> list[str]:
    bounded: list[str] = []
    for param in params:
        if limit <= 0:
            return [*bounded, f"… {len(params) - len(bounded)} more arguments"]
        bounded.append(cut(param, limit))
        limit -= max(len(param), 1)
    return bounded
