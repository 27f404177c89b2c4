"""Writing log lines without ever waiting for whoever reads them.

Theory of operation. A pipe whose reader has stopped blocks its writer, and an event loop that is blocked
answers no pings and loses every task. So the lines are handed to one thread that writes them, in order, to
both streams. If more lines wait than a reader can be expected to catch up with, further ones are dropped and
counted, and the count is written as soon as there is room. The thread writes to the file descriptors
themselves: one that is stuck in Python's own buffers would hold their lock and break the end of the process.
"""

from __future__ import annotations

import os
import queue
import select
import threading
from collections.abc import Sequence
from typing import TextIO

__all__ = ["LineWriter"]

# Lines that may wait: some seconds of a busy runner, and at the usual 100 to 200 bytes a few megabytes.
_MOST_WAITING = 10_000


class LineWriter:
    """Writes lines to streams from a thread of its own.

    Args:
        streams: where lines go; a line names its stream by number. None: nowhere.
        most_waiting: lines that may wait to be written before further ones are dropped.
    """

    def __init__(self, streams: Sequence[TextIO | None], *, most_waiting: int = _MOST_WAITING) -> None:
        self._sinks = [_Sink(stream) for stream in streams]
        self._most_waiting = most_waiting
        self._lines: queue.SimpleQueue[tuple[int, str] | None] = queue.SimpleQueue()
        self._dropped = 0
        # A daemon thread: a reader that never reads must not keep the process from ending.
        self._thread = threading.Thread(target=self._work, name="log-writer", daemon=True)
        self._thread.start()

    @property
    def dropped(self) -> int:
        """Lines that have been dropped and not yet been reported."""
        return self._dropped

    def put(self, stream: int, line: str) -> None:
        """Take a line, without its line end. Never blocks."""
        if self._lines.qsize() >= self._most_waiting:
            self._dropped += 1
            return
        if self._dropped:
            lost, self._dropped = self._dropped, 0
            self._lines.put((stream, f"{lost} log lines were dropped: nobody read them fast enough"))
        self._lines.put((stream, line))

    def close(self, timeout: float) -> None:
        """Wait until everything has been written, at most `timeout` seconds. Put nothing after it."""
        self._lines.put(None)
        self._thread.join(timeout)

    def _work(self) -> None:
        while (entry := self._lines.get()) is not None:
            stream, line = entry
            self._sinks[stream].write(line)


class _Sink:
    """One stream; given up for good once writing to it fails."""

    def __init__(self, stream: TextIO | None) -> None:
        self._stream = stream
        self._encoding = getattr(stream, "encoding", None) or "utf-8"
        self._descriptor = _descriptor(stream)

    def write(self, line: str) -> None:
        if self._stream is None:
            return
        try:
            if self._descriptor < 0:
                self._stream.write(f"{line}\n")
            else:
                _write_all(self._descriptor, f"{line}\n".encode(self._encoding, "backslashreplace"))
        except (OSError, ValueError):  # the reader has gone, or the stream was closed
            self._stream = None


def _descriptor(stream: TextIO | None) -> int:
    """Return the descriptor of a stream, or -1 if it has none."""
    if stream is None:
        return -1
    try:
        return stream.fileno()
    except (OSError, ValueError):  # a stream in memory
        return -1


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        try:
            view = view[os.write(descriptor, view) :]
        except BlockingIOError:  # another process has made the terminal or pipe non-blocking
            select.select([], [descriptor], [])
