"""Frames as we write them, read back by another implementation."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.frames import Close, Frame
from websockets.streams import StreamReader

from trio_runner.transport import frames


def read(data: bytes, *, masked: bool) -> list[Frame]:
    """Parse frames with the websockets library."""
    reader = StreamReader()
    reader.feed_data(data)
    reader.feed_eof()
    found = []
    while len(reader.buffer):
        parsing = Frame.parse(reader.read_exact, mask=masked, max_size=None)
        try:
            next(parsing)
            pytest.fail("a frame is not complete")
        except StopIteration as done:
            found.append(done.value)
    return found


@given(st.binary(max_size=300), st.booleans())
def test_any_payload(payload: bytes, masked: bool) -> None:
    [parsed] = read(frames.frame(frames.TEXT, payload, masked=masked), masked=masked)
    assert (parsed.opcode, bytes(parsed.data), parsed.fin) == (frames.TEXT, payload, True)


@pytest.mark.parametrize("masked", [True, False])
@pytest.mark.parametrize("size", [0, 125, 126, 65_535, 65_536, 131_072, 131_073, 1_000_000])
def test_a_message_of_any_size(size: int, masked: bool) -> None:
    payload = (b"0123456789" * (size // 10 + 1))[:size]
    message = frames.Fragments(payload, masked=masked)
    pieces = []
    while not message.finished:
        pieces.append(message.next())
    parsed = [frame for piece in pieces for frame in read(piece, masked=masked)]
    assert b"".join(frame.data for frame in parsed) == payload
    assert [frame.opcode for frame in parsed] == [1] + [0] * (len(parsed) - 1)
    assert [frame.fin for frame in parsed] == [False] * (len(parsed) - 1) + [True]
    assert len(parsed) == max(1, -(-size // 131_072))


def test_every_frame_has_its_own_mask() -> None:
    keys = {frames.frame(frames.TEXT, b"", masked=True)[2:6] for _ in range(100)}
    assert len(keys) > 90


@pytest.mark.parametrize(
    ("reason", "kept"), [("", ""), ("bye", "bye"), ("ä" * 62, "ä" * 61), ("x" * 124, "x" * 123)]
)
def test_a_close_frame(reason: str, kept: str) -> None:
    [parsed] = read(frames.close_frame(4001, reason, masked=False), masked=False)
    assert Close.parse(bytes(parsed.data)) == Close(4001, kept)
