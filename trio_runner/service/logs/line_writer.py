"""Writing log lines without ever waiting for whoever reads them.

Theory of operation. A pipe whose reader has stopped blocks its writer, and an event loop that is blocked
answers no pings and loses every task. So nothing here ever waits in the event loop:

- Into a pipe that has room a line is written at once, through an open file description of our own that does
  not block. (The flag of the one we were given is not ours to change: others may share it.)
- Everything else, and what a pipe has no room for, is handed to one thread that writes it, in order, to both
  streams; until it has caught up everything goes that way. If more lines wait than a reader can be expected
  to catch up with, further ones are dropped and counted, and the count is written as soon as there is room.

Both write to the file descriptors themselves: a thread that is stuck in Python's own buffers would hold their
lock and break the end of the process.
"""

from __future__ import annotations

import os
import queue
import select
import stat
import sys
import threading
from collections.abc import Sequence
from itertools import groupby
from operator import itemgetter
from typing import TextIO

__all__ = ["LineWriter"]

# Lines that may wait: some seconds of a busy runner, and at the usual 100 to 200 bytes a few megabytes.
_MOST_WAITING = 10_000
# Lines that the thread writes with one system call, if as many wait.
_BATCH = 200


class LineWriter:
    """Writes lines to streams.

    Args:
        streams: where lines go; a line names its stream by number. None: nowhere.
        most_waiting: lines that may wait to be written before further ones are dropped.
    """

    def __init__(self, streams: Sequence[TextIO | None], *, most_waiting: int = _MOST_WAITING) -> None:
        self._sinks = [_Sink(stream) for stream in streams]
        self._most_waiting = most_waiting
        self._lock = threading.Lock()
        self._lines: queue.SimpleQueue[tuple[int, str | bytes] | None] = queue.SimpleQueue()
        self._handed_over = 0  # counted under the lock
        self._written = 0  # counted by the thread
        self._dropped = 0
        self._thread: threading.Thread | None = None

    @property
    def dropped(self) -> int:
        """Lines that have been dropped and not yet been reported."""
        return self._dropped

    def put(self, stream: int, line: str) -> None:
        """Take a line, without its line end. Never blocks."""
        with self._lock:
            if self._written >= self._handed_over and not self._dropped:
                rest = self._sinks[stream].write_now(line)
                if rest is not None:
                    self._hand_over(stream, rest)
            elif self._lines.qsize() >= self._most_waiting:
                self._dropped += 1
            else:
                if self._dropped:
                    lost, self._dropped = self._dropped, 0
                    self._hand_over(stream, f"{lost} log lines were dropped: nobody read them fast enough")
                self._hand_over(stream, line)

    def close(self, timeout: float) -> None:
        """Wait until everything has been written, at most `timeout` seconds. Put nothing after it."""
        if self._thread is not None:
            self._lines.put(None)
            self._thread.join(timeout)
        for sink in self._sinks:
            sink.close()

    def _hand_over(self, stream: int, line: str | bytes) -> None:
        if self._thread is None:
            # A daemon thread: a reader that never reads must not keep the process from ending.
            self._thread = threading.Thread(target=self._work, name="log-writer", daemon=True)
            self._thread.start()
        self._handed_over += 1
        self._lines.put((stream, line))

    def _work(self) -> None:
        while batch := self._take():
            for stream, entries in groupby(batch, key=itemgetter(0)):
                self._sinks[stream].write([line for _, line in entries])
            self._written += len(batch)

    def _take(self) -> list[tuple[int, str | bytes]]:
        """Wait for a line and return it with those behind it; nothing: the end."""
        first = self._lines.get()
        batch = [] if first is None else [first]
        while batch and len(batch) < _BATCH:
            try:
                entry = self._lines.get_nowait()
            except queue.Empty:
                break
            if entry is None:
                self._lines.put(None)  # for the next call: nothing comes behind it
                break
            batch.append(entry)
        return batch


class _Sink:
    """One stream; given up for good once writing to it fails."""

    def __init__(self, stream: TextIO | None) -> None:
        self._stream = stream
        self._encoding = getattr(stream, "encoding", None) or "utf-8"
        self._descriptor = _descriptor(stream)
        self._pipe = _open_pipe(self._descriptor)

    def write_now(self, line: str) -> str | bytes | None:
        """Write a line if that needs no waiting; return what is left to be written, None: nothing."""
        if self._pipe < 0:
            return None if self._stream is None else line
        data = self._encode(line)
        try:
            written = os.write(self._pipe, data)
        except BlockingIOError:
            return data
        except OSError:  # the reader has gone
            self.close()
            self._stream = None
            return None
        return data[written:] or None

    def write(self, lines: Sequence[str | bytes]) -> None:
        """Write lines, and what is left of one, however long it takes."""
        if self._stream is None:
            return
        try:
            if self._descriptor < 0:
                self._stream.write("".join(f"{line}\n" for line in lines if isinstance(line, str)))
            else:
                _write_all(self._descriptor, b"".join(map(self._encode, lines)))
        except (OSError, ValueError):  # the reader has gone, or the stream was closed
            self._stream = None

    def close(self) -> None:
        """Close what was opened here; the stream itself is its owner's."""
        if self._pipe >= 0:
            os.close(self._pipe)
            self._pipe = -1

    def _encode(self, line: str | bytes) -> bytes:
        if isinstance(line, bytes):
            return line
        return f"{line}\n".encode(self._encoding, "backslashreplace")


def _descriptor(stream: TextIO | None) -> int:
    """Return the descriptor of a stream, or -1 if it has none."""
    if stream is None:
        return -1
    try:
        return stream.fileno()
    except (OSError, ValueError):  # a stream in memory
        return -1


def _open_pipe(descriptor: int) -> int:
    """Open the pipe behind a descriptor once more, not blocking; -1: it is none, or the system cannot."""
    if descriptor < 0 or sys.platform != "linux":
        return -1
    try:
        if not stat.S_ISFIFO(os.fstat(descriptor).st_mode):
            return -1
        return os.open(f"/proc/self/fd/{descriptor}", os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:  # another user's pipe, say
        return -1


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        try:
            view = view[os.write(descriptor, view) :]
        except BlockingIOError:  # another process has made the terminal or pipe non-blocking
            select.select([], [descriptor], [])
