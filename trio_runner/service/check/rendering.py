"""Findings, written for people as they come, and as JSON."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterable

from rich.text import Text

from ..terminal import PersonConsole, plain
from .findings import Finding, Status

__all__ = ["FindingsWriter", "as_json"]

_STYLES = {Status.OK: "green", Status.WARNING: "yellow", Status.FAILED: "bold red", Status.SKIPPED: "dim"}
_WORDS = {Status.OK: "ok", Status.WARNING: "WARN", Status.FAILED: "FAIL", Status.SKIPPED: "skip"}
_STEP_WIDTH = 20
_MARGIN = " " * (2 + 6 + _STEP_WIDTH)
# Columns where there is no terminal to ask.
_WIDTH = 80


class FindingsWriter:
    """Writes a table that grows: a heading for each subject, a line for each step, its remedy below.

    Args:
        console: where to.
    """

    def __init__(self, console: PersonConsole) -> None:
        self._console = console
        self._width = max(_WIDTH, console.width) if console.is_terminal else _WIDTH
        self._subject = ""
        self.counts = dict.fromkeys(Status, 0)

    def write(self, finding: Finding) -> None:
        """Write one finding."""
        self.counts[finding.status] += 1
        if finding.subject != self._subject:
            if self._subject:
                self._console.line()
            self._console.line(finding.subject, "bold")
            self._subject = finding.subject
        self._write_step(finding)
        for line in self._wrapped(finding.remedy and f"-> {finding.remedy}"):
            self._console.line(_MARGIN + line)

    def close(self) -> None:
        """Write how many of each there were."""
        counts = self.counts
        self._console.line()
        self._console.line(
            f"{counts[Status.OK]} ok, {counts[Status.WARNING]} warnings, {counts[Status.FAILED]} failed,"
            f" {counts[Status.SKIPPED]} skipped",
            "bold red" if counts[Status.FAILED] else "bold green",
        )

    def _write_step(self, finding: Finding) -> None:
        took = "" if finding.seconds is None else f" ({_shown(finding.seconds)})"
        lines = self._wrapped(f"{finding.detail}{took}".strip()) or [""]
        step = plain(finding.step)
        if len(step) >= _STEP_WIDTH:
            lines = ["", *lines] if lines != [""] else lines
        head = Text("  ")
        head.append(f"{_WORDS[finding.status]:<6}", _STYLES[finding.status])
        head.append(f"{step:<{_STEP_WIDTH}}{lines[0]}".rstrip())
        self._console.line(head, "dim" if finding.status is Status.SKIPPED else "")
        for line in lines[1:]:
            self._console.line(_MARGIN + line)

    def _wrapped(self, text: str) -> list[str]:
        return textwrap.wrap(plain(text), self._width - len(_MARGIN), break_on_hyphens=False)


def as_json(findings: Iterable[Finding]) -> str:
    """Return findings as one JSON document."""
    listed = list(findings)
    document = {
        "ok": not any(finding.status is Status.FAILED for finding in listed),
        "checks": [
            {
                "subject": finding.subject,
                "step": finding.step,
                "status": finding.status.value,
                "detail": finding.detail,
                "remedy": finding.remedy,
                "seconds": None if finding.seconds is None else round(finding.seconds, 6),
            }
            for finding in listed
        ],
    }
    return json.dumps(document, indent=2, ensure_ascii=False)


def _shown(seconds: float) -> str:
    return f"{seconds * 1000:.1f} ms" if seconds < 1 else f"{seconds:.1f} s"
