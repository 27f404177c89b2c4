"""What a runner takes of the machine's memory, with all its processes."""

from __future__ import annotations

import trio

from .. import procfs
from ..context import Context
from ..figures import Ceiling, Figure, ScenarioReport, Target
from ..load import sustained
from ..meter import Meter
from ..processes import Process, running
from ..stack import open_stack

__all__ = ["measure_memory"]

# Seconds for a runner to come to rest, and between two looks at one under load.
_REST = 1.5
_BETWEEN = 0.25


async def measure_memory(context: Context, report: ScenarioReport) -> None:
    """Measure the memory of the process tree, idle and under load."""
    seconds = context.plan.choose(5.0, 1.5)
    async with open_stack(context.place()) as stack:
        assert stack.runner is not None
        await trio.sleep(_REST)
        processes = [stack.runner.pid, *stack.runner.children()]
        idle = procfs.proportional_memory(processes)
        parent = procfs.proportional_memory(processes[:1])
        meter = Meter(stack, context.own_lag)
        async with trio.open_nursery() as nursery:
            samples: list[float] = []
            nursery.start_soon(_sample, stack.runner, samples)
            done = await sustained(lambda: stack.requester.run("return []"), 10, seconds)
            nursery.cancel_scope.cancel()
        report.loads.append(meter.load("5 slots, memory being watched", done.all_tasks))
        stack.check()
    ceiling = Ceiling("a bare interpreter", await _bare_interpreter(context))
    report.figures += [
        Figure(
            f"idle, {len(processes)} processes",
            idle,
            "MiB",
            ceiling,
            Target.value_at_most(40),
            note=f"of it the runner's own process: {parent:.1f} MiB",
        ),
        Figure("under load, 5 slots, the most seen", max(samples), "MiB", ceiling),
    ]


async def _sample(runner: Process, samples: list[float]) -> None:
    while True:
        samples.append(procfs.proportional_memory([runner.pid, *runner.children()]))
        await trio.sleep(_BETWEEN)


async def _bare_interpreter(context: Context) -> float:
    async with running("bare", "bare_sleep", [], context.place(), probed=False) as bare:
        await bare.said("ready")
        return procfs.proportional_memory([bare.pid])
