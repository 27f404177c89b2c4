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

# Seconds for what was used to be replaced, and for most idle workers to end: they do after a minute.
_REPLACED = 1.5
_RESTED = 64.0
# Seconds between two looks at a runner under load.
_BETWEEN = 0.25


async def measure_memory(context: Context, report: ScenarioReport) -> None:
    """Measure the memory of the process tree, idle and under load."""
    seconds = context.plan.choose(5.0, 1.5)
    ceiling = Ceiling("a bare interpreter", await _bare_interpreter(context))
    async with open_stack(context.place()) as stack:
        assert stack.runner is not None
        await trio.sleep(_REPLACED)
        idle = _look("idle, all slots with a warm worker", stack.runner, ceiling, Target.value_at_most(40))
        meter = Meter(stack, context.own_lag)
        async with trio.open_nursery() as nursery:
            samples: list[float] = []
            nursery.start_soon(_sample, stack.runner, samples)
            done = await sustained(lambda: stack.requester.run("return []"), 10, seconds)
            nursery.cancel_scope.cancel()
        report.loads.append(meter.load("5 slots, memory being watched", done.all_tasks))
        report.figures += [idle, Figure("under load, 5 slots, the most seen", max(samples), "MiB", ceiling)]
        if not context.plan.quick:
            await trio.sleep(_RESTED)
            report.figures.append(_look("after a minute without a task", stack.runner, ceiling))
        stack.check()


def _look(name: str, runner: Process, ceiling: Ceiling, target: Target | None = None) -> Figure:
    processes = [runner.pid, *runner.children()]
    memory = procfs.proportional_memory(processes)
    parent = procfs.proportional_memory(processes[:1])
    note = f"{len(processes)} processes; the runner's own: {parent:.1f} MiB"
    return Figure(name, memory, "MiB", ceiling, target, note=note)


async def _sample(runner: Process, samples: list[float]) -> None:
    while True:
        samples.append(procfs.proportional_memory([runner.pid, *runner.children()]))
        await trio.sleep(_BETWEEN)


async def _bare_interpreter(context: Context) -> float:
    async with running("bare", "bare_sleep", [], context.place(), probed=False) as bare:
        await bare.said("ready")
        return procfs.proportional_memory([bare.pid])
