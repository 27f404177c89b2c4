"""One broker with the offers of a thousand runners on it, against one with those of a single runner."""

from __future__ import annotations

from contextlib import AsyncExitStack

import trio

from trio_runner import RawJson

from .. import procfs
from ..context import Context
from ..figures import Ceiling, Figure, ScenarioReport, Target
from ..fleet import TASK_TYPE
from ..load import sustained
from ..meter import Meter
from ..processes import running
from ..stack import Stack, broker_and_requester

__all__ = ["measure_many_runners"]

_SLOTS = 5
# Simulated by two processes, so that neither of them is what is measured.
_PROCESSES = 2
_IN_FLIGHT = 10
# Seconds in which every offer is renewed: a shorter look at idle runners would see nothing.
_RENEWAL = 5.5
_SETTINGS = RawJson(b'{"question":"what is six times seven?"}')
_FLEET = "fleet"


async def measure_many_runners(context: Context, report: ScenarioReport) -> None:
    """Measure the cost of a task with one runner and with many."""
    many = context.plan.choose(1000, 100)
    rate_of_one, cpu_of_one = await _measure(context, report, 1)
    rate, cpu = await _measure(context, report, many)
    report.figures += [
        Figure(
            f"time per task, {many} runners",
            1000 / rate,
            "ms",
            Ceiling("with one runner", 1000 / rate_of_one),
            Target.ratio_at_most(1.5),
            note=f"{_IN_FLIGHT} in flight; every runner keeps {_SLOTS} offers open",
        ),
        Figure(
            f"broker's processor time per task, {many} runners",
            cpu,
            "ms",
            Ceiling("with one runner", cpu_of_one),
            note="holds the renewal of all offers meanwhile",
        ),
    ]


async def _measure(context: Context, report: ScenarioReport, runners: int) -> tuple[float, float]:
    """Return tasks per second, and the broker's milliseconds per task."""
    seconds = context.plan.choose(6.0, 1.5)
    directory = context.place()
    options = ["--requests-per-second", "100000"]
    async with broker_and_requester(directory, options) as stack, AsyncExitStack() as fleets:
        fleet = []
        for number in range(min(_PROCESSES, runners)):
            arguments = [stack.url, str(runners // min(_PROCESSES, runners)), str(_SLOTS), f"{number}-"]
            opening = running(
                f"fleet{number}", "fleet", arguments, directory, probed=False, environment=stack.environment
            )
            fleet.append(await fleets.enter_async_context(opening))
        for process in fleet:
            await process.said("ready")

        async def submit() -> None:
            await stack.requester.run_task(TASK_TYPE, _SETTINGS, raw=True)

        meter = Meter(stack, context.own_lag, {_FLEET: fleet})
        done = await sustained(submit, _IN_FLIGHT, seconds, warm_up=0.5)
        load = meter.load(f"{runners} runner{'s' * (runners > 1)}", done.all_tasks)
        report.loads.append(load)
        if runners > 1 and seconds > _RENEWAL:
            report.figures.append(await _idle_share(stack, runners, seconds))
        stack.check()
        for process in fleet:
            process.check()
    return done.rate, load.cpu_ms_per_task["broker"]


async def _idle_share(stack: Stack, runners: int, seconds: float) -> Figure:
    """Measure what the broker spends on runners that have nothing to do."""
    before = procfs.times(stack.broker.pid).own
    await trio.sleep(seconds)
    spent = procfs.times(stack.broker.pid).own - before
    return Figure(f"broker's share of a core, {runners} idle runners", spent / seconds * 100, "%")
