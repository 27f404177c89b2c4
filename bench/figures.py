"""What a run of the benchmark finds out, as values: figures with their ceilings, targets and verdicts.

A figure is read against its ceiling, the bare operation that it cannot beat, measured in the same run on the
same machine. A target bounds either that ratio or the value itself.
"""

from __future__ import annotations

import math
from typing import Literal

import attrs

__all__ = ["Ceiling", "Figure", "Load", "Report", "ScenarioReport", "Series", "Target", "Verdict"]

Verdict = Literal["met", "missed", "no target"]


@attrs.frozen
class Ceiling:
    """The bare operation that a figure is measured against.

    Attributes:
        name: what was done.
        value: what it gave, in the unit of the figure.
    """

    name: str
    value: float


@attrs.frozen
class Target:
    """What a figure must show.

    Attributes:
        of: what is bounded: the ``value``, or its ``ratio`` to the ceiling.
        at: whether the limit is the ``least`` or the ``most`` it may be.
        limit: the bound, in the unit of the value or as a ratio.
    """

    of: Literal["value", "ratio"]
    at: Literal["least", "most"]
    limit: float

    @classmethod
    def value_at_most(cls, limit: float) -> Target:
        """The value may not exceed `limit`."""
        return cls("value", "most", limit)

    @classmethod
    def ratio_at_most(cls, limit: float) -> Target:
        """The value may not exceed `limit` times the ceiling."""
        return cls("ratio", "most", limit)

    @classmethod
    def ratio_at_least(cls, limit: float) -> Target:
        """The value must reach `limit` times the ceiling."""
        return cls("ratio", "least", limit)


@attrs.frozen
class Figure:
    """One thing that was measured.

    Attributes:
        name: what, unique in its scenario.
        value: how much.
        unit: of what; ``/s`` is a rate, of which more is better.
        ceiling: the bare operation to compare with.
        target: what the figure must show; None: it is there to be read.
        note: what a reader should know.
    """

    name: str
    value: float
    unit: str
    ceiling: Ceiling | None = None
    target: Target | None = None
    note: str = ""

    @property
    def ratio(self) -> float | None:
        """The value as a multiple of the ceiling; None without a ceiling."""
        return self.value / self.ceiling.value if self.ceiling and self.ceiling.value else None

    @property
    def share_of_limit(self) -> float | None:
        """How much of the target is used up: up to 1 it is met. None if there is nothing to bound."""
        if self.target is None:
            return None
        measured = self.value if self.target.of == "value" else self.ratio
        if measured is None:
            return None
        part, whole = measured, self.target.limit
        if self.target.at == "least":
            part, whole = whole, part
        return part / whole if whole else math.inf if part else 0.0

    @property
    def verdict(self) -> Verdict:
        """Whether the target is met."""
        share = self.share_of_limit
        if share is None:
            return "no target"
        return "met" if share <= 1 else "missed"


@attrs.frozen
class Load:
    """What the processes did while a part of a scenario ran.

    Attributes:
        name: which part.
        tasks: how many tasks that was.
        seconds: how long it took.
        cpu_ms_per_task: by kind of process, milliseconds of processor time per task, user and system.
        lag_ms: by process, the longest time between two looks of its event loop at the world.
    """

    name: str
    tasks: int
    seconds: float
    cpu_ms_per_task: dict[str, float]
    lag_ms: dict[str, float]


@attrs.frozen
class Series:
    """Samples taken in the course of a scenario.

    Attributes:
        name: what was sampled.
        unit: of what.
        at: where in the course, such as the number of tasks done.
        values: the samples.
    """

    name: str
    unit: str
    at: list[float]
    values: list[float]


@attrs.define
class ScenarioReport:
    """What one scenario found out; filled while it runs.

    Attributes:
        name: the scenario.
        title: what it is about.
        seconds: how long it took, all in all.
        figures, loads, series: the findings.
        notes: what a reader should know; why there are no findings, if there are none.
        failed: it could not be carried through.
    """

    name: str
    title: str
    seconds: float = 0.0
    figures: list[Figure] = attrs.field(factory=list)
    loads: list[Load] = attrs.field(factory=list)
    series: list[Series] = attrs.field(factory=list)
    notes: list[str] = attrs.field(factory=list)
    failed: bool = False


@attrs.frozen
class Report:
    """A whole run.

    Attributes:
        kind: ``full``, ``quick`` (shorter, less exact) or ``partial`` (chosen scenarios).
        date: when, UTC, ISO 8601.
        machine: facts about the machine and the software, nothing that names the machine.
        scenarios: the findings, in the order in which they were made.
    """

    kind: Literal["full", "quick", "partial"]
    date: str
    machine: dict[str, str]
    scenarios: list[ScenarioReport]
