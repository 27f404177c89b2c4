"""The ``traceparent`` of W3C Trace Context: which trace a task belongs to, as one short text."""

from __future__ import annotations

import re

__all__ = ["valid_traceparent"]

# Version, trace, span, flags. Longer ones of later versions are not taken: nothing knows what they mean.
_TRACEPARENT = re.compile(
    r"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}", re.ASCII
)


def valid_traceparent(value: object) -> str:
    """Return `value` if it is a ``traceparent``, else an empty text.

    Args:
        value: what a peer sent under that name, of any type.
    """
    return value if isinstance(value, str) and _TRACEPARENT.fullmatch(value) else ""
