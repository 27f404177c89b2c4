"""The writer of log lines: order, streams, readers that are slow, gone or blocked."""

from __future__ import annotations

import io
import os
import threading
from pathlib import Path
from typing import Any

from trio_runner.service.logs.line_writer import LineWriter


class GatedStream(io.StringIO):
    """A stream in memory whose reader does nothing until `gate` is set."""

    def __init__(self) -> None:
        super().__init__()
        self.entered = threading.Event()
        self.gate = threading.Event()
        self.marked = threading.Event()

    def write(self, text: str) -> int:
        self.entered.set()
        assert self.gate.wait(30)
        written = super().write(text)
        if text.endswith("mark\n"):
            self.marked.set()
        return written


class BrokenStream(io.StringIO):
    def __init__(self) -> None:
        super().__init__()
        self.attempts = 0

    def write(self, _text: str) -> int:
        self.attempts += 1
        raise BrokenPipeError


def test_lines_go_to_their_streams_in_order() -> None:
    out, err = io.StringIO(), io.StringIO()
    writer = LineWriter((out, err))
    for number in range(100):
        writer.put(number % 2, str(number))
    writer.close(30)
    assert out.getvalue().split() == [str(number) for number in range(0, 100, 2)]
    assert err.getvalue().split() == [str(number) for number in range(1, 100, 2)]


def test_what_cannot_be_encoded_is_escaped(tmp_path: Path) -> None:
    path = tmp_path / "log"
    with path.open("w", encoding="latin-1") as stream:
        writer = LineWriter((stream,))
        writer.put(0, "naïve → \ud83d")
        writer.close(30)
    assert path.read_bytes() == b"na\xefve \\u2192 \\ud83d\n"


def test_a_reader_that_stops_costs_lines_and_no_time() -> None:
    stream = GatedStream()
    writer = LineWriter((stream,), most_waiting=10)
    writer.put(0, "first")
    assert stream.entered.wait(30)
    for number in range(1000):
        writer.put(0, f"line {number}")
    assert writer.dropped == 990
    writer._lines.put((0, "mark"))
    stream.gate.set()
    assert stream.marked.wait(30)
    writer.put(0, "last")
    writer.close(30)
    lines = stream.getvalue().splitlines()
    assert lines[:11] == ["first", *(f"line {number}" for number in range(10))]
    assert lines[11:] == ["mark", "990 log lines were dropped: nobody read them fast enough", "last"]
    assert writer.dropped == 0


def test_a_reader_that_never_reads_does_not_hold_up_the_end() -> None:
    reading, writing = os.pipe()
    with os.fdopen(writing, "w") as stream:
        writer = LineWriter((stream,))
        writer.put(0, "x" * 10_000_000)  # far more than a pipe holds
        writer.close(0.01)
        assert writer._thread is not None
        assert writer._thread.is_alive()
        os.close(reading)  # ends the thread: its reader is gone
        writer._thread.join(30)
        assert not writer._thread.is_alive()


def test_a_pipe_that_others_made_non_blocking_gets_everything() -> None:
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    received: list[bytes] = []

    def read_all() -> None:
        while data := os.read(reading, 1 << 16):
            received.append(data)

    reader = threading.Thread(target=read_all)
    with os.fdopen(writing, "w") as stream:
        writer = LineWriter((stream,))
        writer.put(0, "y" * 3_000_000)
        reader.start()
        writer.close(30)
    reader.join(30)
    os.close(reading)
    assert b"".join(received) == b"y" * 3_000_000 + b"\n"


def test_a_stream_that_was_closed_from_the_start() -> None:
    other = io.StringIO()
    writer = LineWriter((None, other))
    writer.put(0, "a")
    writer.put(1, "b")
    writer.close(30)
    assert other.getvalue() == "b\n"


def test_a_reader_that_has_gone_is_given_up_and_the_other_stream_goes_on() -> None:
    broken, other = BrokenStream(), io.StringIO()
    writer = LineWriter((broken, other))
    lines: list[tuple[int, Any]] = [(0, "a"), (0, "b"), (1, "c")]
    for stream, line in lines:
        writer.put(stream, line)
    writer.close(30)
    assert broken.attempts == 1
    assert other.getvalue() == "c\n"


def test_into_a_pipe_with_room_lines_go_at_once_and_without_a_thread() -> None:
    reading, writing = os.pipe()
    with os.fdopen(writing, "w") as stream:
        writer = LineWriter((stream, stream))
        writer.put(0, "one")
        writer.put(1, "two")
        assert os.read(reading, 100) == b"one\ntwo\n"
        assert writer._thread is None
        assert os.get_blocking(writing), "the flag of a description that others share is left alone"
        writer.close(30)
    assert os.read(reading, 100) == b"", "nothing of ours holds the pipe open"
    os.close(reading)


def test_a_full_pipe_keeps_the_order() -> None:
    reading, writing = os.pipe()
    lines = [f"{number} {'x' * 5000}" for number in range(100)]  # more than a pipe holds, and than is atomic
    with os.fdopen(writing, "w") as stream:
        writer = LineWriter((stream,))
        for line in lines:
            writer.put(0, line)
        received = b""
        while received.count(b"\n") < 100:
            received += os.read(reading, 1 << 16)
        writer.put(0, "after")
        writer.close(30)
    received += os.read(reading, 1 << 16)
    os.close(reading)
    assert received.decode().splitlines() == [*lines, "after"]


def test_the_reader_of_a_pipe_that_has_gone_is_given_up() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    other = io.StringIO()
    with os.fdopen(writing, "w") as stream:
        writer = LineWriter((stream, other))
        for _ in range(3):
            writer.put(0, "nobody reads this")
        writer.put(1, "read")
        writer.close(30)
    assert other.getvalue() == "read\n"
