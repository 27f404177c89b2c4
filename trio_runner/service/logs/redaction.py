"""Keeping secrets out of what is written for people: logs and error reports."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

__all__ = ["escaped", "hider"]

# A shorter "secret" protects nothing, and replacing it would make the log unreadable.
_SHORTEST_SECRET = 6
# The value of a header, whoever's token it is. Spelt out, because ignoring case makes the search four times
# slower, and every line is searched.
_BEARER = re.compile(r"([bB][eE][aA][rR][eE][rR]\s+)[^\s'\",]+")


def hider(secrets: Iterable[str]) -> Callable[[str], str]:
    """Return a function that replaces every secret in a text, also where it stands escaped in quotes.

    Args:
        secrets: texts that must not appear; very short and empty ones are no secrets.
    """
    forms = {
        form for secret in secrets if len(secret) >= _SHORTEST_SECRET for form in (secret, escaped(secret))
    }
    longest_first = sorted(forms, key=len, reverse=True)

    def hide(text: str) -> str:
        for form in longest_first:
            if form in text:
                text = text.replace(form, "***")
        return _BEARER.sub(r"\1***", text)

    return hide


def escaped(text: str) -> str:
    """Return a text as it stands between double quotes."""
    return text.replace("\\", "\\\\").replace('"', '\\"')
