"""Text and JSON on their way out of the child: bounded, and robust against what the person's code made."""

from __future__ import annotations

import json
import json.encoder
from collections.abc import Callable

__all__ = ["cut", "json_bytes", "json_writer", "source_lines", "text_of", "type_name"]


def cut(text: str, limit: int) -> str:
    """Return `text`, or its first `limit` characters with a mark that says how many more there are."""
    if len(text) <= limit:
        return text
    return f"{text[:limit]}… {len(text) - limit} more characters"


def json_writer(
    default: Callable[[object], object] | None = None, *, allow_nan: bool = True, tight: bool = False
) -> Callable[[object], str]:
    """Return a function that writes a value as JSON, text as it is.

    What it needs it holds: the person's code may replace whatever it likes in `json` without reaching us.

    Args:
        default: what stands for a value that JSON does not know; None: such a value raises `TypeError`.
        allow_nan: write NaN and the infinities, which JSON does not have, instead of raising `ValueError`.
        tight: leave the spaces out.
    """
    comma, colon = (",", ":") if tight else (", ", ": ")
    encoder = json.JSONEncoder(
        default=default, ensure_ascii=False, allow_nan=allow_nan, separators=(comma, colon)
    )
    make = getattr(json.encoder, "c_make_encoder", None)  # None: a Python without its C accelerators
    unknown, join = encoder.default, "".join
    if make is None:
        return encoder.encode
    write_text = json.encoder.encode_basestring

    def write(value: object) -> str:
        # As `JSONEncoder.iterencode` calls it: markers, default, encoder, indent, separators, sort_keys,
        # skipkeys, allow_nan. The markers are those of one value: they find circles.
        iterate = make({}, unknown, write_text, None, colon, comma, False, False, allow_nan)
        return join(iterate(value, 0))

    return write


def json_bytes(value: object) -> bytes:
    """Write a value that JSON knows as UTF-8.

    Text stays as it is. Half a surrogate pair, as JavaScript makes by cutting an emoji, has no UTF-8:
    it becomes its JSON escape, which is what ``backslashreplace`` writes for it.
    """
    return _encode(value).encode("utf-8", "backslashreplace")


def type_name(value: object) -> str:
    """Return the name of the type of `value`, whatever a metaclass makes of it."""
    try:
        name = type(value).__name__
    except Exception:  # the name may be computed by a metaclass of the person's own
        return "object"
    return name if type(name) is str else "object"


def text_of(value: object) -> str:
    """Return ``str(value)``, or a note of the fault if that raises."""
    try:
        return str(value)
    except Exception as error:  # `__str__` is the person's own code
        return f"[{type_name(value)} whose str() raised {type_name(error)}]"


def source_lines(code: str) -> list[str]:
    """Split code into lines as the Python parser does, without their ends.

    `str.splitlines` would also split at form feeds and at line ends that only Unicode knows.
    """
    return code.replace("\r\n", "\n").replace("\r", "\n").split("\n")


_encode = json_writer()
