"""Identifiers: short, safe in URLs, never the same."""

from __future__ import annotations

import re

from trio_runner.protocol.ids import new_id


def test_an_id_is_22_characters_that_are_safe_in_urls() -> None:
    assert all(re.fullmatch(r"[A-Za-z0-9_-]{22}", new_id()) for _ in range(100))


def test_ids_differ() -> None:
    assert len({new_id() for _ in range(10_000)}) == 10_000
