"""A JSON value kept as its bytes, so that it can pass through without being decoded."""

from __future__ import annotations

import codecs
import json
from typing import Any, ClassVar

import attrs
import msgspec

from .surrogates import mask_escaped_surrogates

__all__ = ["RawJson"]


@attrs.frozen
class RawJson:
    """One JSON value as UTF-8 bytes.

    Nothing checks `data` on construction: it either came out of a message that was parsed whole, or goes
    through `RawJson.checked` first. Text with lone surrogates is legal as long as they are escaped.

    Attributes:
        data: the bytes of exactly one JSON value, without a byte-order mark.
    """

    NULL: ClassVar[RawJson]

    data: bytes

    @classmethod
    def of(cls, value: object) -> RawJson:
        """Encode a Python value.

        Args:
            value: anything the standard library's ``json`` can write; NaN and infinities are refused.

        Raises:
            ValueError: the value holds NaN, an infinity or a circular reference, or nests too deeply.
            TypeError: the value holds something JSON does not know.
        """
        try:
            return cls(json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode())
        except UnicodeEncodeError:
            # A lone surrogate, as JavaScript makes them by cutting an emoji: only its escape is valid UTF-8.
            return cls(json.dumps(value, allow_nan=False, separators=(",", ":")).encode("ascii"))
        except RecursionError as exc:
            raise ValueError("the value is nested too deeply for JSON") from exc

    @classmethod
    def checked(cls, data: bytes) -> RawJson:
        """Wrap bytes from an untrusted source after checking that they are exactly one JSON value.

        Args:
            data: bytes that claim to be JSON.

        Raises:
            ValueError: the bytes are not one JSON value in UTF-8, or nest too deeply to be checked.
        """
        try:
            try:
                msgspec.json.decode(data, type=msgspec.Raw)
            except ValueError:  # perhaps only because of lone surrogates, which are fine
                msgspec.json.decode(mask_escaped_surrogates(data), type=msgspec.Raw)
        except RecursionError as exc:
            raise ValueError("JSON is nested too deeply") from exc
        _check_utf8(data)
        return cls(data)

    def decode(self) -> Any:
        """Decode the value with the standard library, which accepts lone surrogates.

        Raises:
            ValueError: the bytes are not JSON, or nest too deeply.
        """
        try:
            return json.loads(self.data)
        except RecursionError as exc:
            raise ValueError("JSON is nested too deeply") from exc

    def __len__(self) -> int:
        return len(self.data)

    def __repr__(self) -> str:
        """Show the size, not the payload: reprs end up in logs."""
        return f"RawJson({len(self.data)} bytes)"


# Large enough that the loop costs nothing, small enough that the text made on the way stays in the cache.
_CHUNK = 1 << 16


def _check_utf8(data: bytes) -> None:
    """Check what msgspec does not: inside a raw value it skips over strings without looking.

    Raises:
        UnicodeDecodeError: a string is not UTF-8. Sent on, it would end the connection for every task on it.
    """
    view, position = memoryview(data), 0
    while position < len(data):
        end = position + _CHUNK
        _, used = codecs.utf_8_decode(view[position:end], "strict", end >= len(data))
        position += used


RawJson.NULL = RawJson(b"null")
