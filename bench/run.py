"""Running scenarios, one after another, each within its time."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import trio

from .ceilings import open_ceilings
from .context import Context, Plan, Scenario
from .figures import Report, ScenarioReport
from .machine import machine_facts
from .meter import OwnLag

__all__ = ["measure"]

# Seconds for a whole run: what has not begun by then is left out.
_FULL_LIMIT = 560.0
_QUICK_LIMIT = 56.0
# Seconds per task that a soak of a chosen length may take.
_SOAK_PACE = 0.05


async def measure(
    scenarios: Sequence[Scenario],
    plan: Plan,
    kind: Literal["full", "quick", "partial"],
    on_report: Callable[[ScenarioReport], None],
) -> Report:
    """Run scenarios and return what they found.

    Args:
        scenarios: which.
        plan: how thorough.
        kind: what the report is called.
        on_report: told of each scenario that has ended.

    Cancellation:
        Ends every process of the benchmark.
    """
    facts = machine_facts()
    date = datetime.now(UTC).isoformat(timespec="seconds")
    reports = []
    with tempfile.TemporaryDirectory(prefix="bench-") as directory:
        async with open_ceilings(Path(directory)) as ceilings:
            own_lag = OwnLag(Path(directory))
            own_lag.install()
            context = Context(plan, ceilings, own_lag, Path(directory))
            deadline = trio.current_time() + _whole_limit(plan)
            for scenario in scenarios:
                report = ScenarioReport(scenario.name, scenario.title)
                reports.append(await _measure(scenario, context, report, deadline))
                on_report(reports[-1])
    return Report(kind, date, facts, reports)


def _whole_limit(plan: Plan) -> float:
    extra = (plan.soak_tasks or 0) * _SOAK_PACE
    return (_QUICK_LIMIT if plan.quick else _FULL_LIMIT) + extra


def _limit(scenario: Scenario, plan: Plan) -> float:
    extra = (plan.soak_tasks or 0) * _SOAK_PACE if scenario.name == "soak" else 0
    return (scenario.quick_limit if plan.quick else scenario.limit) + extra


async def _measure(
    scenario: Scenario, context: Context, report: ScenarioReport, deadline: float
) -> ScenarioReport:
    """Run one scenario; a failure is noted, and is no reason not to run the others."""
    begin = time.perf_counter()
    left = deadline - trio.current_time()
    if left <= 0:
        report.notes.append("left out: the time for the whole run is up")
        report.failed = True
        return report
    limit = min(_limit(scenario, context.plan), left)
    try:
        with trio.fail_after(limit):
            await scenario.run(context, report)
    except Exception as exc:  # a scenario's boundary: whatever went wrong in it is a finding
        report.notes.append(f"failed: {_say(exc, limit)}")
        report.failed = True
    report.seconds = time.perf_counter() - begin
    return report


def _say(error: BaseException, limit: float) -> str:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    if isinstance(error, trio.TooSlowError):
        return f"not done within {limit:.0f} seconds"
    return f"{type(error).__name__}: {error}"
