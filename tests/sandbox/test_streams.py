"""The text streams that stand for stdout and stderr."""

from __future__ import annotations

import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trio_runner.sandbox.streams import HeadAndTail, Lines

PIECES = st.lists(st.text(st.sampled_from("ab\n\ré"), max_size=6))


def line_stream(lines: list[str], limit: int = 10**6) -> Lines:
    return Lines("<stdout>", 1, threading.RLock(), write_line=lines.append, limit=limit)


@settings(deadline=None)
@given(PIECES)
def test_lines_do_not_depend_on_the_pieces(pieces: list[str]) -> None:
    lines: list[str] = []
    stream = line_stream(lines)
    for piece in pieces:
        assert stream.write(piece) == len(piece)
    *ended, rest = "".join(pieces).split("\n")
    assert lines == ended
    stream.flush()
    stream.flush()
    assert lines == [*ended, *([rest] if rest else [])]


@settings(deadline=None)
@given(PIECES)
def test_bytes_go_the_way_of_text(pieces: list[str]) -> None:
    lines: list[str] = []
    stream = line_stream(lines)
    data = "".join(pieces).encode()
    for position in range(len(data)):
        stream.buffer.write(data[position : position + 1])
    stream.buffer.flush()
    assert "\n".join(lines) == "".join(pieces).removesuffix("\n")


def test_a_line_without_end_is_handed_on_in_portions() -> None:
    lines: list[str] = []
    stream = line_stream(lines, limit=10)
    for _ in range(100):
        stream.write("abc")
    assert "".join(lines) == "abc" * 100
    assert max(len(line) for line in lines) == 12


def test_writing_something_else_is_an_error_as_usual() -> None:
    with pytest.raises(TypeError, match=r"write\(\) argument must be str, not bytes"):
        line_stream([]).write(b"x")  # type: ignore[arg-type]


def test_a_stream_tells_what_it_is() -> None:
    stream = line_stream([])
    assert stream.writable()
    assert not stream.readable()
    assert not stream.isatty()
    assert stream.encoding == "utf-8"
    assert stream.name == "<stdout>"


def test_a_stream_stays_open() -> None:
    lines: list[str] = []
    stream = line_stream(lines)
    stream.write("a")
    stream.close()
    stream.write("b\n")
    assert lines == ["a", "b"]


def test_lines_are_whole_when_threads_write() -> None:
    lines: list[str] = []
    stream = line_stream(lines)
    threads = [
        threading.Thread(target=lambda text=text: [stream.write(text * 10 + "\n") for _ in range(50)])
        for text in "abc"
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(lines) == sorted([text * 10 for text in "abc"] * 50)


@settings(deadline=None)
@given(st.lists(st.text(max_size=30)), st.integers(1, 20))
def test_the_beginning_and_the_end_are_kept(pieces: list[str], limit: int) -> None:
    stream = HeadAndTail("<stderr>", 2, threading.RLock(), limit=limit)
    for piece in pieces:
        stream.write(piece)
    whole = "".join(pieces)
    dropped = len(whole) - 2 * limit
    if dropped <= 0:
        assert stream.kept() == whole
    else:
        assert stream.kept() == f"{whole[:limit]}\n… {dropped} characters left out …\n{whole[-limit:]}"
