"""What a check finds: one line for each step, with a remedy where one is needed."""

from __future__ import annotations

import enum
import time
from collections.abc import Callable

import attrs

__all__ = ["Finding", "Report", "Status"]


class Status(enum.Enum):
    """How a step went."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"
    SKIPPED = "skipped"


@attrs.frozen
class Finding:
    """One step.

    Attributes:
        subject: what was looked at, such as a broker.
        step: what was tried.
        status: how it went.
        detail: what was seen.
        remedy: what to do about it; empty if nothing.
        seconds: how long it took; None if that says nothing.
    """

    subject: str
    step: str
    status: Status
    detail: str = ""
    remedy: str = ""
    seconds: float | None = None


@attrs.define
class Report:
    """Takes the findings about one subject in the order of its steps.

    Attributes:
        subject: what is looked at.
        steps: the steps that are still to come.
        tell: called with each finding.
    """

    subject: str
    steps: list[str]
    tell: Callable[[Finding], None]
    _began: float = attrs.field(factory=time.perf_counter)

    def ok(self, detail: str = "", *, timed: bool = True) -> None:
        """The next step went well."""
        self._add(Status.OK, detail, "", timed=timed)

    def warn(self, detail: str, remedy: str = "") -> None:
        """The next step went, but not well."""
        self._add(Status.WARNING, detail, remedy, timed=False)

    def skip(self, detail: str) -> None:
        """The next step was not tried."""
        self._add(Status.SKIPPED, detail, "", timed=False)

    def fail(self, detail: str, remedy: str, *, alone: bool = False) -> None:
        """The next step failed, so those after it cannot be tried, unless it failed for itself alone."""
        failed = self.steps[0]
        self._add(Status.FAILED, detail, remedy, timed=False)
        if not alone:
            self.skip_rest(f"not tried, because this failed: {failed}")

    def skip_rest(self, why: str) -> None:
        """No further step is tried."""
        while self.steps:
            self.skip(why)

    def _add(self, status: Status, detail: str, remedy: str, *, timed: bool) -> None:
        now = time.perf_counter()
        seconds = now - self._began if timed else None
        self._began = now
        self.tell(Finding(self.subject, self.steps.pop(0), status, detail, remedy, seconds))
