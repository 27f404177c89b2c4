"""The text streams that stand for ``sys.stdout`` and ``sys.stderr`` while a task runs.

Both are usable from several threads. A child process that the code forks writes to the file descriptor of the
same meaning instead: what it would put into our buffers nobody would ever read.
"""

from __future__ import annotations

import _thread
import abc
import codecs
import io
import os
from collections.abc import Callable

from .text import type_name

__all__ = ["HeadAndTail", "Lines", "TextOut"]


class TextOut(io.TextIOBase):
    """A text stream that can only be written to.

    Args:
        name: what the stream calls itself.
        descriptor: where child processes write instead.
        lock: held while text is taken; re-entrant, since a finaliser may print at any moment.
    """

    encoding = "utf-8"
    errors = "replace"

    def __init__(self, name: str, descriptor: int, lock: _thread.RLock) -> None:
        self.name = name
        self._descriptor = descriptor
        self._process = os.getpid()
        self._lock = lock
        self._bytes = _Bytes(self)

    @property
    def in_fork(self) -> bool:
        """Whether this is a child process of the one that the stream was made in."""
        return os.getpid() != self._process

    @property
    def buffer(self) -> io.RawIOBase:
        """Take bytes, as UTF-8."""
        return self._bytes

    def writable(self) -> bool:
        """Say yes."""
        return True

    def write(self, text: str, /) -> int:
        """Take text; see the subclass for what becomes of it."""
        if not isinstance(text, str):
            raise TypeError(f"write() argument must be str, not {type_name(text)}")
        text = str.__str__(text)
        if self.in_fork:
            os.write(self._descriptor, text.encode("utf-8", "backslashreplace"))
        else:
            with self._lock:
                self._take(text)
        return len(text)

    def flush(self) -> None:
        """Do nothing: text is taken at once."""

    def close(self) -> None:
        """Stay open: the streams live as long as the task."""
        self.flush()

    @abc.abstractmethod
    def _take(self, text: str) -> None: ...


class Lines(TextOut):
    """Hands on each line once it is complete, and on `flush` what there is of the last one.

    Args:
        write_line: takes one line without its end.
        limit: characters after which an unfinished line is handed on all the same.
    """

    def __init__(
        self,
        name: str,
        descriptor: int,
        lock: _thread.RLock,
        *,
        write_line: Callable[[str], None],
        limit: int,
    ) -> None:
        super().__init__(name, descriptor, lock)
        self._write_line = write_line
        self._limit = limit
        self._rest: list[str] = []
        self._size = 0

    def flush(self) -> None:
        """Hand on the unfinished line, if there is one."""
        if self.in_fork:
            return
        with self._lock:
            rest, self._rest, self._size = "".join(self._rest), [], 0
            if rest:
                self._write_line(rest)

    def _take(self, text: str) -> None:
        *ended, last = text.split("\n")
        for line in ended:
            complete, self._rest, self._size = "".join([*self._rest, line]), [], 0
            self._write_line(complete)
        if last:
            self._rest.append(last)
            self._size += len(last)
        if self._size > self._limit:
            self.flush()


class HeadAndTail(TextOut):
    """Keeps the beginning and the end of what is written.

    Args:
        limit: characters kept of each.
    """

    def __init__(self, name: str, descriptor: int, lock: _thread.RLock, *, limit: int) -> None:
        super().__init__(name, descriptor, lock)
        self._limit = limit
        self._head = ""
        self._tail = ""
        self._dropped = 0

    def kept(self) -> str:
        """Return what was written, with a note in the place of what was dropped."""
        gap = f"\n… {self._dropped} characters left out …\n" if self._dropped else ""
        return self._head + gap + self._tail

    def _take(self, text: str) -> None:
        room = self._limit - len(self._head)
        self._head += text[:room]
        tail = self._tail + text[room:]
        self._tail = tail[-self._limit :]
        self._dropped += len(tail) - len(self._tail)


class _Bytes(io.RawIOBase):
    """The ``buffer`` of a text stream: bytes go the way of text, whole characters at a time."""

    def __init__(self, text: TextOut) -> None:
        self._text = text
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def writable(self) -> bool:
        return True

    def flush(self) -> None:
        self._text.flush()

    def write(self, data: object, /) -> int:
        view = memoryview(data)  # type: ignore[arg-type]
        self._text.write(self._decoder.decode(view.tobytes()))
        return view.nbytes
