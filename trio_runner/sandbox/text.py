"""Text and JSON on their way out of the child: bounded, and robust against what the person's code made."""

from __future__ import annotations

import json

__all__ = ["cut", "json_bytes", "source_lines", "text_of", "type_name"]

# Made once and kept: the person's code may replace `json.dumps`, and must not reach us by that.
_encode = json.JSONEncoder(ensure_ascii=False).encode


def cut(text: str, limit: int) -> str:
    """Return `text`, or its first `limit` characters with a mark that says how many more there are."""
    if len(text) <= limit:
        return text
    return f"{text[:limit]}… {len(text) - limit} more characters"


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
