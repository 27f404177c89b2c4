"""Payloads as JSON: lists of items of about a kilobyte, like rows of a database or answers of a service."""

from __future__ import annotations

import json
from functools import lru_cache

__all__ = ["items_json"]

_MIB = 1024**2
_WORDS = "bolt hammer nail pliers ruler saw screw wrench Müller Łódź naïve 東京".split()


@lru_cache(maxsize=2)
def items_json(mebibytes: float) -> bytes:
    """Return a JSON list of items of this size, to within a kilobyte; the same at every call.

    Args:
        mebibytes: about how large.
    """
    # The same rows again and again: making 256 MiB of different ones would take longer than measuring them.
    rows = [_row(number) for number in range(200)]
    size = int(mebibytes * _MIB)
    page = ",".join(rows).encode()
    pages, rest = divmod(size, len(page) + 1)
    whole = b",".join([page] * pages)
    cut = page[: max(0, rest)].rpartition(b',{"json":')[0]
    parts = [part for part in (whole, cut) if part]
    return b"[" + b",".join(parts) + b"]" if parts else b'[{"json":{"id":0}}]'


def _row(number: int) -> str:
    words = [_WORDS[(number * 7 + place) % len(_WORDS)] for place in range(6)]
    fields = {
        "id": 100_000 + number,
        "price": round(number * 1.37 + 0.25, 2),
        "in_stock": number % 3 == 0,
        "tags": words[:4],
        "seller": {"name": " ".join(words[4:]), "rating": 4.5, "since": "2019-04-01T00:00:00Z"},
        "text": " ".join(_WORDS[(number + place) % len(_WORDS)] for place in range(90)),
        "none": None,
    }
    return json.dumps({"json": fields}, ensure_ascii=False, separators=(",", ":"))
