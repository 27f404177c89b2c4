"""Identifiers on the wire: short random strings, unique enough for everything a broker keeps."""

from __future__ import annotations

import secrets

__all__ = ["new_id"]

# 16 random bytes give 22 URL-safe characters: as hard to guess as a UUID4, at two thirds of its length.
_BYTES = 16


def new_id() -> str:
    """Return a fresh random identifier of 22 characters, safe in URLs."""
    return secrets.token_urlsafe(_BYTES)
