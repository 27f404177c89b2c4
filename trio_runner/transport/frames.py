"""WebSocket frames as this package writes them (RFC 6455, section 5). No I/O.

Only writing is here. Reading, but for what `shortcut` takes out, and the answers that the protocol demands to
what was read, are trio_websocket's.
"""

from __future__ import annotations

import os
import struct

__all__ = [
    "BINARY",
    "CLOSE",
    "CONTINUATION",
    "PING",
    "PONG",
    "TEXT",
    "Fragments",
    "close_frame",
    "cut_reason",
    "frame",
    "mask",
]

CONTINUATION = 0x0
TEXT = 0x1
BINARY = 0x2
CLOSE = 0x8
PING = 0x9
PONG = 0xA

_FINAL = 0x80
_MASKED = 0x80
_MAX_CONTROL_PAYLOAD = 125
_FRAGMENT = 128 * 1024
"""Bytes of a message per frame. Large enough for speed; small enough that between two of them the loop runs
other tasks, pings are answered and a close gets out."""
_XOR = tuple(bytes(byte ^ key for byte in range(256)) for key in range(256))
"""Translation tables: the fastest way to mask that needs nothing but the standard library."""
_AS_NUMBER = 512
"""Bytes up to which it is faster to mask a payload as one large number."""


def frame(opcode: int, payload: bytes | memoryview, *, masked: bool, final: bool = True) -> bytes:
    """Return one frame.

    Args:
        opcode: what it is.
        payload: what is in it.
        masked: frames of a client are masked, those of a server are not.
        final: it is the last frame of its message.
    """
    length = len(payload)
    mask_bit = _MASKED if masked else 0
    first = opcode | (_FINAL if final else 0)
    if length < 126:
        header = struct.pack("!BB", first, mask_bit | length)
    elif length < 1 << 16:
        header = struct.pack("!BBH", first, mask_bit | 126, length)
    else:
        header = struct.pack("!BBQ", first, mask_bit | 127, length)
    if not masked:
        return b"".join((header, payload))
    key = os.urandom(4)
    return b"".join((header, key, mask(payload, key)))


def close_frame(code: int, reason: str, *, masked: bool) -> bytes:
    """Return a close frame; of a reason that is too long goes what fits."""
    return frame(CLOSE, struct.pack("!H", code) + cut_reason(reason).encode(), masked=masked)


def cut_reason(reason: str) -> str:
    """Return as much of the reason for a close as a close frame can carry, cut between two characters."""
    return reason.encode()[: _MAX_CONTROL_PAYLOAD - 2].decode(errors="ignore")


class Fragments:
    """One text message, cut into frames as they are asked for."""

    def __init__(self, payload: bytes, *, masked: bool) -> None:
        self._rest = memoryview(payload)
        self._masked = masked
        self._opcode = TEXT
        self.finished = False

    def next(self) -> bytes:
        """Return the next frame; `finished` then tells whether it was the last."""
        part, self._rest = self._rest[:_FRAGMENT], self._rest[_FRAGMENT:]
        self.finished = not self._rest
        opcode, self._opcode = self._opcode, CONTINUATION
        return frame(opcode, part, masked=self._masked, final=self.finished)


def mask(payload: bytes | memoryview, key: bytes) -> bytes | bytearray:
    """Mask a payload, or undo that.

    Args:
        payload: what is in a frame.
        key: four bytes.
    """
    length = len(payload)
    if length <= _AS_NUMBER:
        keys = key * (length // len(key) + 1)
        number = int.from_bytes(payload, "big") ^ int.from_bytes(keys[:length], "big")
        return number.to_bytes(length, "big")
    masked = bytearray(payload)
    for lane, byte in enumerate(key):
        masked[lane::4] = masked[lane::4].translate(_XOR[byte])
    return masked
