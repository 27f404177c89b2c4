"""Keeping secrets out of what is written for people: logs and error reports."""

from __future__ import annotations

import re
from collections.abc import Iterable

__all__ = ["Hider", "escaped", "hider"]

# A shorter "secret" protects nothing, and replacing it would make the log unreadable.
_SHORTEST_SECRET = 6
# The value of a header, whoever's token it is. Spelt out, because ignoring case makes the search four times
# slower, and every line is searched.
_BEARER = re.compile(r"([bB][eE][aA][rR][eE][rR]\s+)[^\s'\",]+")


class Hider:
    """Replaces every secret in a text, also where it stands escaped in quotes.

    Args:
        secrets: texts that must not appear; very short and empty ones are no secrets.
    """

    def __init__(self, secrets: Iterable[str]) -> None:
        self._longest_first: list[str] = []
        self.add(secrets)

    def __call__(self, text: str) -> str:
        """Return the text without the secrets."""
        for form in self._longest_first:
            if form in text:
                text = text.replace(form, "***")
        return _BEARER.sub(r"\1***", text)

    def add(self, secrets: Iterable[str]) -> None:
        """Hide further secrets too; those there are stay secrets."""
        forms = {
            form
            for secret in secrets
            if len(secret) >= _SHORTEST_SECRET
            for form in (secret, escaped(secret))
        }
        self._longest_first = sorted(forms.union(self._longest_first), key=len, reverse=True)


def hider(secrets: Iterable[str]) -> Hider:
    """Return what replaces these secrets in a text."""
    return Hider(secrets)


def escaped(text: str) -> str:
    """Return a text as it stands between double quotes."""
    return text.replace("\\", "\\\\").replace('"', '\\"')
