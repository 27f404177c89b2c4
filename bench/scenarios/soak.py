"""Many tasks in a row: nothing may grow, nothing may be left."""

from __future__ import annotations

import trio

from .. import procfs
from ..context import Context
from ..figures import Figure, ScenarioReport, Series, Target
from ..load import burst
from ..meter import Meter
from ..percentiles import median
from ..processes import Process
from ..stack import Stack, open_stack

__all__ = ["growth", "measure_soak"]

_ROUNDS = 25
# Seconds between the end of a round and the look at what is there: the next workers have been forked.
_REST = 0.3
# Part of the rounds that does not count: caches fill, the allocator finds its size.
_WARM_UP = 0.3
_ALLOWED = 1.03


async def measure_soak(context: Context, report: ScenarioReport) -> None:
    """Run the tasks in rounds, and look at the processes between two of them."""
    count = context.plan.soak_tasks or context.plan.choose(5000, 500)
    rounds = min(_ROUNDS, max(2, count // 50))
    samples: dict[str, list[float]] = {}
    done: list[float] = []
    async with open_stack(context.place()) as stack:
        assert stack.runner is not None
        meter = Meter(stack, context.own_lag)
        limiter = trio.CapacityLimiter(20)

        async def submit() -> None:
            async with limiter:
                await stack.requester.run("return [{'json': {'n': len(_items)}}]", [{"n": 1}])

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
    report.figures += _figures(samples)


def _look(stack: Stack, runner: Process) -> dict[str, float]:
    below = runner.children()
    everything = [runner.pid, *below]
    return {
        "memory of the runner's tree": procfs.proportional_memory(everything),
        "memory of the broker": procfs.proportional_memory([stack.broker.pid]),
        "descriptors of runner and zygote": sum(map(procfs.open_descriptors, (runner.pid, *below[:1]))),
        "descriptors of the broker": procfs.open_descriptors(stack.broker.pid),
        "processes": len(everything),
        "zombies": procfs.zombies(everything),
    }


def _figures(samples: dict[str, list[float]]) -> list[Figure]:
    figures = []
    for name, values in samples.items():
        if name == "zombies":
            figures.append(Figure("zombies, the most seen", max(values), "", target=Target.value_at_most(0)))
        else:
            figures.append(
                Figure(
                    f"{name}: end against after warm-up",
                    growth(values),
                    "×",
                    target=Target.value_at_most(_ALLOWED),
                    note=f"{values[-1]:.1f} at the end",
                )
            )
    return figures


def growth(values: list[float]) -> float:
    """Return how much larger the last samples are than the first ones after the warm-up, as a factor."""
    settled = values[int(len(values) * _WARM_UP) :]
    quarter = max(1, len(settled) // 4)
    first = median(settled[:quarter])
    return median(settled[-quarter:]) / first if first else 1.0
