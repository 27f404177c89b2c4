"""How long a task takes that does nothing, on a runner that has nothing else to do."""

from __future__ import annotations

from ..ceilings import mean_ceiling
from ..context import Context
from ..figures import Figure, ScenarioReport, Target
from ..load import one_by_one
from ..meter import Meter
from ..percentiles import percentile
from ..stack import open_stack

__all__ = ["measure_latency"]

# A task that crosses the broker is eight messages; four of them wait for an answer.
_ROUND_TRIPS = 4
# Seconds between two tasks: the runner has forked the next worker and rests.
_GAP = 0.02


async def measure_latency(context: Context, report: ScenarioReport) -> None:
    """Measure idle latency of a trivial task."""
    count = context.plan.choose(500, 40)
    async with open_stack(context.place()) as stack:
        before = await context.ceilings.echo_rate(context.plan.choose(1.0, 0.3))
        await one_by_one(lambda: stack.requester.run("return []"), 10, gap=_GAP)
        meter = Meter(stack, context.own_lag)
        seconds = await one_by_one(lambda: stack.requester.run("return []"), count, gap=_GAP)
        report.loads.append(meter.load("trivial tasks, idle", count))
        after = await context.ceilings.echo_rate(context.plan.choose(1.0, 0.3))
        stack.check()
    trips = mean_ceiling(
        f"{_ROUND_TRIPS} WebSocket round trips", _ROUND_TRIPS * 1000 / before, _ROUND_TRIPS * 1000 / after
    )
    for percent, limit in ((50, 4.0), (99, 12.0)):
        value = percentile(seconds, percent) * 1000
        report.figures.append(
            Figure(f"p{percent} from request to result", value, "ms", trips, Target.value_at_most(limit))
        )
