"""A short way for small messages: out of the bytes that arrive, past trio_websocket, to the link. No I/O.

Theory of operation. Nearly everything that runners, brokers and requesters say arrives as small whole frames,
a message in each. To take such a frame apart costs a few microseconds; to wake trio_websocket's reader for
it, to parse it by wsproto and to hand the message to another task costs a hundred, and two turns of the loop.
So these frames are taken out of the stream. Whatever is not exactly such a frame goes on to trio_websocket:
control frames, fragments, what is large, what a read has cut in two, what breaks the protocol. So what the
protocol demands stays decided in one place. What comes behind goes there too, until trio_websocket has handed
over every message that it was given: so messages stay in order.

To know where a frame begins, the heads of those that go on are read as they pass.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from . import frames

__all__ = ["Shortcut"]

_WHOLE_TEXT = 0x80 | frames.TEXT
_MASKED = 0x80
_TWO_BYTES, _EIGHT_BYTES = 126, 127  # the length follows, in so many bytes
_END_OF_HEAD = re.compile(rb"\n\r?\n")  # as h11 has it
_KEY = 4
_DATA = (frames.CONTINUATION, frames.TEXT, frames.BINARY)
_CONTROL = (frames.PING, frames.PONG)


class Shortcut:
    """Sifts what arrives on one connection, from the first byte of the handshake on.

    Args:
        on_message: called with the payload of each message that is taken out.
        masked: the peer is a client: its frames are masked.
        largest: bytes of the largest message to take out.
    """

    def __init__(self, on_message: Callable[[bytes], None], *, masked: bool, largest: int) -> None:
        self._on_message = on_message
        self._mask_bit = _MASKED if masked else 0
        self._largest = largest
        self._open = False
        self._head: bytes | None = b""  # the last bytes of the handshake; None: it is over
        self._begun = b""  # of the head of a frame
        self._missing = 0  # of the payload of a frame
        self._ends_message = False  # that frame is the last of a message
        self._in_message = False  # some frames of a message have passed
        self._entrusted = 0  # messages that have passed and were not handed over yet
        self._blind = False  # nothing more is known of where frames begin

    def open(self) -> None:
        """The handshake has come about: messages may be taken out."""
        self._open = True

    def handed_over(self) -> None:
        """trio_websocket has handed a message over, and it has been dealt with."""
        self._entrusted -= 1

    def sift(self, data: bytes | bytearray) -> bytes | bytearray:
        """Take messages out of what has arrived, and return what goes on to trio_websocket."""
        position = 0
        if self._may_take():
            while (found := self._whole_message(data, position)) is not None:
                payload, position = found
                self._on_message(payload)
        rest = data[position:] if position else data
        self._follow(rest)
        return rest

    # --- taking out ---------------------------------------------------------------------------------

    def _may_take(self) -> bool:
        """A frame begins here, and nothing that came before it is on its way still."""
        before = self._entrusted or self._in_message or self._missing or self._begun or self._blind
        return self._open and self._head is None and not before

    def _whole_message(self, data: bytes | bytearray, position: int) -> tuple[bytes, int] | None:
        """Return the message in the frame that begins here, and its end; None if it is not to be taken."""
        start = position + 2
        if len(data) < start or data[position] != _WHOLE_TEXT:
            return None
        length = data[start - 1] ^ self._mask_bit
        if length == _TWO_BYTES:
            length = int.from_bytes(data[start : start + 2], "big")
            start += 2
            if length < _TWO_BYTES:
                return None
        elif length > _TWO_BYTES:  # or the mask is not as it must be
            return None
        key = start
        if self._mask_bit:
            start += _KEY
        end = start + length
        if end > len(data) or length > self._largest:
            return None
        payload = bytes(data[start:end])
        if self._mask_bit:
            payload = bytes(frames.mask(payload, bytes(data[key:start])))
        return (payload, end) if _is_text(payload) else None

    # --- following what goes on ---------------------------------------------------------------------

    def _follow(self, data: bytes | bytearray) -> None:
        position = self._pass_handshake(data) if self._head is not None else 0
        while position < len(data) and not self._blind:
            if self._missing:
                step = min(self._missing, len(data) - position)
                self._missing -= step
                position += step
            else:
                position = self._pass_head(data, position)
            if not self._missing and not self._begun:
                self._pass_end()

    def _pass_handshake(self, data: bytes | bytearray) -> int:
        """Return where the first frame begins, or the end of the data."""
        assert self._head is not None
        seen = self._head + data
        found = _END_OF_HEAD.search(seen)
        if found is None:
            self._head = bytes(seen[-2:])
            return len(data)
        before = len(self._head)
        self._head = None
        return found.end() - before

    def _pass_head(self, data: bytes | bytearray, position: int) -> int:
        """Read the head of a frame, or as much of it as there is."""
        head = self._begun + data[position : position + 14 - len(self._begun)]
        size = _size_of_head(head)
        if len(head) < size:
            self._begun = bytes(head)
            return len(data)
        taken, self._begun = size - len(self._begun), b""
        short = head[1] & ~_MASKED
        extended = {_TWO_BYTES: 2, _EIGHT_BYTES: 8}.get(short, 0)
        self._missing = int.from_bytes(head[2 : 2 + extended], "big") if extended else short
        opcode, final, reserved = head[0] & 0x0F, bool(head[0] & 0x80), head[0] & 0x70
        if reserved or opcode not in _DATA + _CONTROL:  # the end, one way or another
            self._blind = True
        if opcode in _DATA:
            self._in_message, self._ends_message = True, final
        return position + taken

    def _pass_end(self) -> None:
        """A frame has passed whole."""
        if self._ends_message:
            self._in_message = self._ends_message = False
            self._entrusted += 1


def _size_of_head(head: bytes | bytearray) -> int:
    """Return the size of the head that begins with these bytes, as far as they tell."""
    if len(head) < 2:
        return 2
    extended = {_TWO_BYTES: 2, _EIGHT_BYTES: 8}.get(head[1] & ~_MASKED, 0)
    return 2 + extended + (_KEY if head[1] & _MASKED else 0)


def _is_text(payload: bytes) -> bool:
    """Whether a payload is UTF-8."""
    if payload.isascii():
        return True
    try:
        payload.decode()
    except UnicodeDecodeError:
        return False
    return True
