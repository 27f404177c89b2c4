"""Tasks that import heavy modules, with and without having them preloaded."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence

from ..context import Context
from ..figures import Ceiling, Figure, ScenarioReport, Target
from ..load import one_by_one
from ..meter import Meter
from ..percentiles import median, percentile
from ..processes import output_of
from ..stack import open_stack

__all__ = ["measure_imports"]

_WANTED = ("pandas", "numpy")
# When those are not installed: what of the standard library takes long to import.
_STAND_IN = ("asyncio", "unittest", "http", "email", "xml", "sqlite3", "concurrent", "logging")
_GAP = 0.1


async def measure_imports(context: Context, report: ScenarioReport) -> None:
    """Measure a task that imports, without and with preloading."""
    missing = [name for name in _WANTED if importlib.util.find_spec(name) is None]
    modules = _STAND_IN if missing else _WANTED
    if missing:
        report.notes.append(
            f"{' and '.join(missing)} not installed: modules of the standard library stand in for them"
            f" ({', '.join(modules)}), so the target does not apply."
        )
    times = context.plan.choose(3, 1)
    kind = "stdlib" if missing else "external"
    allow = [f"--{kind}-allow", ",".join(modules)]
    bare = await context.ceilings.start_seconds(_code(modules).removesuffix("return []"), times)
    bare -= await context.ceilings.start_seconds("pass", times)
    ceiling = Ceiling("the imports alone, in a fresh interpreter", max(bare, 0.0) * 1000)
    plain = [*allow, "--preload", ""] if await _can_preload() else allow
    await _measure(context, report, modules, "not preloaded", plain, ceiling, target=None)
    if not await _can_preload():
        report.notes.append("This runner has no --preload: nothing to measure there.")
        return
    target = None if missing else Target.value_at_most(12)
    options = [*allow, "--preload", ",".join(modules)]
    await _measure(context, report, modules, "preloaded", options, ceiling, target)


async def _measure(
    context: Context,
    report: ScenarioReport,
    modules: Sequence[str],
    name: str,
    options: Sequence[str],
    ceiling: Ceiling,
    target: Target | None,
) -> None:
    count = context.plan.choose(30, 3)
    async with open_stack(context.place(), runner_options=options) as stack:
        await stack.requester.run(_code(modules))
        meter = Meter(stack, context.own_lag)
        seconds = await one_by_one(lambda: stack.requester.run(_code(modules)), count, gap=_GAP)
        report.loads.append(meter.load(name, count))
        stack.check()
    report.figures += [
        Figure(
            f"import {', '.join(modules[:2])}, {name}: p50", median(seconds) * 1000, "ms", ceiling, target
        ),
        Figure(
            f"import {', '.join(modules[:2])}, {name}: p99", percentile(seconds, 99) * 1000, "ms", ceiling
        ),
    ]


def _code(modules: Sequence[str]) -> str:
    return "".join(f"import {module}\n" for module in modules) + "return []"


async def _can_preload() -> bool:
    return "--preload" in await output_of(["-m", "trio_runner", "run", "--help"])
