"""Log lines as they are said, for tests."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from trio_runner.service.logs.logger import writing_to


@contextmanager
def capture_logs() -> Iterator[list[dict[str, Any]]]:
    """Collect the lines of every level: ``event``, ``log_level``, what they are about, perhaps ``trace``."""
    lines: list[dict[str, Any]] = []

    def write(level: str, message: str, about: Mapping[str, object], trace: str) -> None:
        lines.append({"event": message, "log_level": level, **about, **({"trace": trace} if trace else {})})

    root = logging.getLogger()
    before = root.level
    root.setLevel(logging.DEBUG)
    try:
        with writing_to(write):
            yield lines
    finally:
        root.setLevel(before)
