"""Many tasks in a row: nothing may grow, nothing may be left."""

from __future__ import annotations

import trio

from .. import procfs
from ..context import Context
from ..figures import Figure, ScenarioReport, Series, Target
from ..load import Submit, burst
from ..meter import Meter
from ..percentiles import median
from ..processes import Process
from ..stack import Stack, open_stack

__all__ = ["growth", "measure_soak"]

_ROUNDS = 25
# Seconds between the end of a round and the look at what is there: the next workers have been forked.
_REST = 0.3
# Tasks before the first look: caches fill, the allocator finds its size. And the seconds they may take.
_WARM_UP = 5000
_QUICK_WARM_UP = 50
_WARM_UP_LIMIT = 60.0
_AT_A_TIME = 100
_ALLOWED = 1.03


async def measure_soak(context: Context, report: ScenarioReport) -> None:
    """Run the tasks in rounds, and look at the processes between two of them."""
    count = context.plan.soak_tasks or context.plan.choose(5000, 250)
    rounds = min(_ROUNDS, max(2, count // 50))
    samples: dict[str, list[float]] = {}
    done: list[float] = []
    async with open_stack(context.place()) as stack:
        assert stack.runner is not None
        limiter = trio.CapacityLimiter(20)

        async def submit() -> None:
            async with limiter:
                await stack.requester.run("return [{'json': {'n': len(_items)}}]", [{"n": 1}])

        await _warm_up(submit, context.plan.choose(min(count, _WARM_UP), _QUICK_WARM_UP))
        meter = Meter(stack, context.own_lag)
        for number in range(rounds):
            await burst(submit, count // rounds)
            await trio.sleep(_REST)
            done.append((number + 1) * (count // rounds))
            for name, value in _look(stack, stack.runner).items():
                samples.setdefault(name, []).append(value)
        report.loads.append(meter.load(f"{count} tasks", count))
        stack.check()
    report.series += [
        Series(name, "MiB" if "memory" in name else "", done, values) for name, values in samples.items()
    ]
    report.figures += _figures(samples, judged=not context.plan.quick)
    if context.plan.quick:
        report.notes.append("Too short to judge growth: a process needs some thousand tasks to settle.")


async def _warm_up(submit: Submit, count: int) -> None:
    end = trio.current_time() + _WARM_UP_LIMIT
    for _ in range(0, count, _AT_A_TIME):
        if trio.current_time() < end:
            await burst(submit, _AT_A_TIME)


def _look(stack: Stack, runner: Process) -> dict[str, float]:
    below = runner.children()
    everything = [runner.pid, *below]
    return {
        "memory of the runner's tree": procfs.anonymous_memory(everything),
        "memory of the broker": procfs.anonymous_memory([stack.broker.pid]),
        "descriptors of runner and zygote": sum(
            map(procfs.open_descriptors, (runner.pid, *procfs.zygotes(runner.pid)))
        ),
        "descriptors of the broker": procfs.open_descriptors(stack.broker.pid),
        "processes": len(everything),
        "zombies": procfs.zombies(everything),
    }


def _figures(samples: dict[str, list[float]], *, judged: bool) -> list[Figure]:
    figures = []
    for name, values in samples.items():
        if name == "zombies":
            figures.append(Figure("zombies, the most seen", max(values), "", target=Target.value_at_most(0)))
        else:
            figures.append(
                Figure(
                    f"{name}: end against beginning",
                    growth(values),
                    "×",
                    target=Target.value_at_most(_ALLOWED) if judged else None,
                    note=f"{values[-1]:.1f} at the end",
                )
            )
    return figures


def growth(values: list[float]) -> float:
    """Return how much larger the samples of the last quarter are than those of the first, as a factor."""
    quarter = max(1, len(values) // 4)
    first = median(values[:quarter])
    return median(values[-quarter:]) / first if first else 1.0
