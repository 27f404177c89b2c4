"""What every scenario is given."""

from __future__ import annotations

import itertools
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import TypeVar

import attrs

from .ceilings import Ceilings
from .figures import ScenarioReport
from .meter import OwnLag

__all__ = ["Context", "Plan", "Scenario"]

T = TypeVar("T")


@attrs.frozen
class Plan:
    """How thorough a run is.

    Attributes:
        quick: a short look: fewer repetitions, smaller loads, no payloads above 8 MiB.
        soak_tasks: how many tasks the soak is made of; None: as many as the time allows.
    """

    quick: bool = False
    soak_tasks: int | None = None

    def choose(self, full: T, quick: T) -> T:
        """Return what fits this plan."""
        return quick if self.quick else full


@attrs.frozen
class Context:
    """What a scenario works with.

    Attributes:
        plan: how thorough to be.
        ceilings: measures the bare operations.
        own_lag: of this process.
    """

    plan: Plan
    ceilings: Ceilings
    own_lag: OwnLag
    _directory: Path
    _numbers: Iterator[int] = attrs.field(factory=itertools.count)

    def place(self) -> Path:
        """Make a fresh directory for the logs and probes of one stack."""
        directory = self._directory / str(next(self._numbers))
        directory.mkdir()
        return directory


@attrs.frozen
class Scenario:
    """One thing to measure.

    Attributes:
        name: short, for the command line.
        title: for people.
        run: measures, and adds what it finds to the report as it goes.
        limit, quick_limit: seconds after which it is given up.
    """

    name: str
    title: str
    run: Callable[[Context, ScenarioReport], Awaitable[None]]
    limit: float = 60.0
    quick_limit: float = 20.0
