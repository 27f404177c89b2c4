"""How many trivial tasks a second: sustained at several numbers of slots, and a thousand at once."""

from __future__ import annotations

from functools import partial

from ..ceilings import mean_ceiling
from ..context import Context
from ..figures import Ceiling, Figure, ScenarioReport, Target
from ..load import burst, sustained
from ..meter import Meter
from ..stack import open_stack

__all__ = ["measure_burst", "measure_sustained"]

_SLOTS = (1, 5, 16, 64)
_QUICK_SLOTS = (5, 64)
# Seconds of measuring per slot, at the least: several rounds of tasks.
_ROUND = 0.05
_ZYGOTE = "trio_runner.sandbox.zygote"


async def measure_sustained(context: Context, report: ScenarioReport) -> None:
    """Measure sustained throughput at each number of slots."""
    costs: dict[int, float] = {}
    for slots in context.plan.choose(_SLOTS, _QUICK_SLOTS):
        rate, ceiling = await _sustained(context, report, slots)
        costs[slots] = 1000 / rate
        target = Target.ratio_at_least(0.5) if slots == 5 else None
        report.figures.append(Figure(_slots(slots), rate, "/s", ceiling, target))
        if slots == 5:
            large = await context.ceilings.fork_rate(context.plan.choose(2.0, 0.5), _ZYGOTE)
            report.figures.append(
                Figure("5 slots, seen from the zygote", rate, "/s", Ceiling("forks of its size", large))
            )
    report.figures.append(
        Figure(
            "time per task, 64 against 5 slots",
            costs[64],
            "ms",
            Ceiling("at 5 slots", costs[5]),
            Target.ratio_at_most(1.3),
        )
    )


async def _sustained(context: Context, report: ScenarioReport, slots: int) -> tuple[float, Ceiling]:
    """Return tasks per second, and the rate of bare forks around them."""
    seconds = context.plan.choose(5.0, 1.0)
    async with open_stack(context.place(), slots=slots) as stack:
        before = await context.ceilings.fork_rate(seconds / 5)
        meter = Meter(stack, context.own_lag)
        # Many slots share the processors: all of their tasks end late, and together.
        window = max(seconds, slots * _ROUND)
        submit = partial(stack.requester.run, "return []")
        done = await sustained(submit, 2 * slots, window, warm_up=window / 3)
        report.loads.append(meter.load(_slots(slots), done.all_tasks))
        after = await context.ceilings.fork_rate(seconds / 5)
        stack.check()
    return done.rate, mean_ceiling("bare fork and wait", before, after)


def _slots(count: int) -> str:
    return f"{count} slot{'s' if count > 1 else ''}"


async def measure_burst(context: Context, report: ScenarioReport) -> None:
    """Measure a burst of tasks against the sustained throughput of the same runner."""
    count = context.plan.choose(1000, 200)
    seconds = context.plan.choose(3.0, 0.7)
    async with open_stack(context.place()) as stack:
        submit = partial(stack.requester.run, "return []")
        before = await sustained(submit, 10, seconds, warm_up=0.5)
        meter = Meter(stack, context.own_lag)
        taken = await burst(submit, count)
        report.loads.append(meter.load(f"burst of {count}", count))
        after = await sustained(submit, 10, seconds)
        stack.check()
    report.figures.append(
        Figure(
            f"burst of {count} at 5 slots",
            count / taken,
            "/s",
            mean_ceiling("sustained, just before and after", before.rate, after.rate),
            Target.ratio_at_least(0.95),
            note="0.95 × leaves room for noise",
        )
    )
