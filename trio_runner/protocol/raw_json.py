"""A JSON value kept as its bytes, so that it can pass through without being decoded."""

from __future__ import annotations

import json
from typing import Any, ClassVar

import attrs
import msgspec

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
            ValueError: the value holds NaN, an infinity or a circular reference.
            TypeError: the value holds something JSON does not know.
        """
        try:
            return cls(json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode())
        except UnicodeEncodeError:
            # A lone surrogate, as JavaScript makes them by cutting an emoji: only its escape is valid UTF-8.
            return cls(json.dumps(value, allow_nan=False, separators=(",", ":")).encode("ascii"))

    @classmethod
    def checked(cls, data: bytes) -> RawJson:
        """Wrap bytes from an untrusted source after checking that they are exactly one JSON value.

        Args:
            data: bytes that claim to be JSON.

        Raises:
            ValueError: the bytes are not one JSON value in UTF-8, or nest too deeply to be checked.
        """
        try:
            msgspec.json.decode(data, type=msgspec.Raw)
        except (msgspec.DecodeError, UnicodeDecodeError):
            _check_with_standard_library(data)
        except RecursionError as exc:
            raise ValueError("JSON is nested too deeply") from exc
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


def _check_with_standard_library(data: bytes) -> None:
    """Second opinion for what msgspec refuses: escaped lone surrogates are fine, NaN is not.

    Raises:
        ValueError: the bytes are not one JSON value in UTF-8.
    """

    def refuse(constant: str) -> None:
        raise ValueError(f"{constant} is not JSON")

    try:
        json.loads(data.decode(), parse_constant=refuse)
    except RecursionError as exc:
        raise ValueError("JSON is nested too deeply") from exc


RawJson.NULL = RawJson(b"null")
