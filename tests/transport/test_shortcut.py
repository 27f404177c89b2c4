"""What is taken out of the stream before trio_websocket sees it, and that order is kept with what goes on."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wsproto.connection import Connection, ConnectionType
from wsproto.events import TextMessage

from trio_runner.transport import frames
from trio_runner.transport.shortcut import Shortcut

HEAD = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n"
LARGEST = 1000


def text(payload: bytes, *, masked: bool = False) -> bytes:
    return frames.frame(frames.TEXT, payload, masked=masked)


class Peer:
    """A shortcut, and behind it what wsproto makes of the rest, a message at a time."""

    def __init__(self, *, masked: bool = False) -> None:
        self.heard: list[str] = []
        self.taken: list[bytes] = []
        self.shortcut = Shortcut(self._take, masked=masked, largest=LARGEST)
        self._head = len(HEAD)
        self._behind = Connection(ConnectionType.SERVER if masked else ConnectionType.CLIENT)
        self._parts: list[str] = []
        self._waiting: deque[str] = deque()

    def _take(self, payload: bytes) -> None:
        self.taken.append(payload)
        self.heard.append(payload.decode())

    def feed(self, data: bytes) -> bytes:
        """Let bytes arrive; return what went on."""
        rest = bytes(self.shortcut.sift(data))
        handshake, frames_of_it = rest[: self._head], rest[self._head :]
        self._head -= len(handshake)
        if frames_of_it:
            self._behind.receive_data(frames_of_it)
            for event in self._behind.events():
                if isinstance(event, TextMessage):
                    self._parts.append(event.data)
                    if event.message_finished:
                        self._waiting.append("".join(self._parts))
                        self._parts.clear()
        return rest

    def hand_over(self) -> bool:
        """Have one message handed over that went the long way; tell whether there was one."""
        if not self._waiting:
            return False
        self.heard.append(self._waiting.popleft())
        self.shortcut.handed_over()
        return True


def opened(*, masked: bool = False) -> Peer:
    peer = Peer(masked=masked)
    assert peer.feed(HEAD) == HEAD
    peer.shortcut.open()
    return peer


@pytest.mark.parametrize("masked", [True, False])
@pytest.mark.parametrize("size", [0, 1, 125, 126, LARGEST])
def test_whole_small_messages_are_taken_out(masked: bool, size: int) -> None:
    peer = opened(masked=masked)
    payload = ("ä" * size).encode()[:size] if size % 2 == 0 else b"x" * size
    assert peer.feed(text(payload, masked=masked) * 2) == b""
    assert peer.taken == [payload, payload]


@pytest.mark.parametrize(
    "frame",
    [
        text(b"x" * (LARGEST + 1)),
        text(b"x" * 70_000),
        text(b"masked", masked=True),
        text(b"in two")[:-1],
        text(b"in two")[:1],
        text(b"\xff"),
        b"\x81\x7e\x00\x05short",  # a length in more bytes than it needs
        frames.frame(frames.TEXT, b"first of many", masked=False, final=False),
        frames.frame(frames.BINARY, b"binary", masked=False),
        frames.frame(frames.PING, b"", masked=False),
        frames.close_frame(1000, "", masked=False),
        b"\xc1\x01x",  # a reserved bit
        b"\x83\x01x",  # a reserved opcode
    ],
    ids=repr,
)
def test_everything_else_goes_on_untouched(frame: bytes) -> None:
    peer = opened()
    assert peer.shortcut.sift(text(b"before") + frame) == frame
    assert peer.taken == [b"before"]


def test_unmasked_frames_of_a_client_go_on() -> None:
    peer = opened(masked=True)
    assert peer.shortcut.sift(text(b"x" * 10)) == text(b"x" * 10)


def test_nothing_is_taken_before_the_link_is_open() -> None:
    peer = Peer()
    data = HEAD + text(b"first")
    assert peer.feed(data) == data
    assert peer.feed(text(b"second")) == text(b"second")
    peer.shortcut.open()
    assert peer.feed(text(b"third")) == text(b"third")
    while peer.hand_over():
        pass
    assert peer.feed(text(b"fourth")) == b""
    assert peer.heard == ["first", "second", "third", "fourth"]
    assert peer.taken == [b"fourth"]


def test_a_message_that_was_cut_holds_later_ones_back_until_it_is_handed_over() -> None:
    peer = opened()
    peer.feed(text(b"cut")[:3])
    assert peer.feed(text(b"cut")[3:] + text(b"next")) == text(b"cut")[3:] + text(b"next")
    assert peer.hand_over()
    assert peer.feed(text(b"third")) == text(b"third")
    assert peer.hand_over()
    assert peer.hand_over()
    assert peer.feed(text(b"fourth")) == b""
    assert peer.heard == ["cut", "next", "third", "fourth"]


def test_a_ping_holds_nothing_back_that_comes_later() -> None:
    peer = opened()
    peer.feed(frames.frame(frames.PING, b"1234", masked=False))
    assert peer.feed(text(b"x")) == b""


def test_nothing_is_taken_after_a_close() -> None:
    peer = opened()
    peer.shortcut.sift(frames.close_frame(1000, "", masked=False))
    assert peer.shortcut.sift(text(b"x")) == text(b"x")


Frames = tuple[str | None, list[bytes]]


@st.composite
def said(draw: st.DrawFn, *, masked: bool) -> Frames:
    """A message, or a ping, in frames."""
    kind = draw(st.sampled_from(["small", "small", "small", "large", "parts", "ping"]))
    if kind == "ping":
        return None, [frames.frame(frames.PING, draw(st.binary(max_size=5)), masked=masked)]
    content = draw(st.text(max_size=5))
    if kind == "large":
        content += "x" * draw(st.sampled_from([LARGEST + 1, 70_000]))
    if kind != "parts":
        return content, [text(content.encode(), masked=masked)]
    ping = frames.frame(frames.PING, b"between", masked=masked)
    begin = frames.frame(frames.TEXT, content.encode(), masked=masked, final=False)
    end = frames.frame(frames.CONTINUATION, b"", masked=masked)
    return content, [begin, ping, end]


@pytest.mark.parametrize("masked", [True, False])
@given(data=st.data())
def test_messages_stay_in_order_however_they_are_cut_and_handed_over(
    masked: bool, data: st.DataObject
) -> None:
    messages: Sequence[Frames] = data.draw(st.lists(said(masked=masked), max_size=8))
    stream = b"".join(frame for _, cut in messages for frame in cut)
    places = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=8)))
    peer = opened(masked=masked)
    for begin, end in zip([0, *places], [*places, len(stream)], strict=True):
        peer.feed(stream[begin:end])
        for _ in range(data.draw(st.integers(0, 3))):
            peer.hand_over()
    while peer.hand_over():
        pass
    assert peer.heard == [content for content, _ in messages if content is not None]


def test_a_handshake_in_pieces() -> None:
    peer = Peer()
    data = HEAD + text(b"early")
    for position in range(len(data)):
        peer.feed(data[position : position + 1])
    peer.shortcut.open()
    assert peer.hand_over()
    peer.feed(text(b"late"))
    assert (peer.heard, peer.taken) == (["early", "late"], [b"late"])
