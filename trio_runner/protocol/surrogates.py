"""Lone surrogates: half an emoji, as JavaScript makes them by cutting text at a fixed length.

JSON may hold one as an escape such as ``\\ud83d``; UTF-8 has no bytes for it. In payloads the escapes must
pass through untouched; in texts of our own they would make a message that cannot be sent.
"""

from __future__ import annotations

import re

__all__ = ["mask_escaped_surrogates", "replace_surrogates"]

_ESCAPED_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F][0-9a-fA-F]{2}")
_MASK = rb"\\ufffd"


def mask_escaped_surrogates(data: bytes) -> bytes:
    """Return JSON of the same length and structure without escaped surrogates, paired or not.

    A match may also begin at the second of two backslashes, where it is no escape but plain text. That text
    then differs, too; structure and length do not, and only they are what a mask is for.
    """
    return _ESCAPED_SURROGATE.sub(_MASK, data)


def replace_surrogates(text: str) -> str:
    """Return the text with every lone surrogate replaced by U+FFFD, and with paired ones joined."""
    if text.isascii():
        return text
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
