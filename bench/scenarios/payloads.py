"""Large payloads in and back out, and what they do to the processes that pass them on."""

from __future__ import annotations

import time

from trio_runner import RawJson

from .. import procfs
from ..context import Context
from ..figures import Ceiling, Figure, ScenarioReport, Target
from ..meter import Meter
from ..payload import items_json
from ..percentiles import median
from ..stack import Stack, open_stack

__all__ = ["measure_payloads"]

# Mebibytes, and how often: one of 256 takes long enough to be exact.
_FULL = ((1, 20), (8, 7), (64, 2), (256, 1))
_QUICK = ((8, 3),)
_HEARTBEAT = 2
"""Seconds between the broker's pings, instead of 30: a process that is busy for longer is dropped."""


async def measure_payloads(context: Context, report: ScenarioReport) -> None:
    """Measure each size."""
    async with open_stack(context.place(), broker_options=["--heartbeat", str(_HEARTBEAT)]) as stack:
        for mebibytes, times in context.plan.choose(_FULL, _QUICK):
            await _measure(context, report, stack, mebibytes, times)
            stack.check()
        assert stack.runner is not None
        lost = stack.runner.last_words().count("No connection to broker")
    report.figures.append(
        Figure(
            "connections lost",
            lost,
            "",
            target=Target.value_at_most(0),
            note=f"the broker pings every {_HEARTBEAT} s and drops who does not answer",
        )
    )


async def _measure(
    context: Context, report: ScenarioReport, stack: Stack, mebibytes: int, times: int
) -> None:
    items = RawJson(items_json(mebibytes))
    runner = stack.runner
    assert runner is not None
    await stack.requester.run("return _items", RawJson(items_json(0.01)), raw=True)
    procfs.reset_peak_memory(runner.pid)
    meter, seconds = Meter(stack, context.own_lag), []
    for _ in range(times):
        begin = time.perf_counter()
        result = await stack.requester.run("return _items", items, raw=True)
        seconds.append(time.perf_counter() - begin)
        assert len(result) >= len(items) * 0.95, "the payload came back cut"
    load = meter.load(f"{mebibytes} MiB", times)
    report.loads.append(load)
    peak = procfs.peak_memory(runner.pid)
    bare = await context.ceilings.json_seconds(mebibytes, times)
    bare += await context.ceilings.echo_seconds(mebibytes, times)
    report.figures += [
        Figure(
            f"{mebibytes} MiB in and out",
            median(seconds) * 1000,
            "ms",
            Ceiling("loads + dumps + WebSocket echo", bare * 1000),
            Target.ratio_at_most(1.6) if mebibytes == 8 else None,
        ),
        Figure(
            f"{mebibytes} MiB: lag of broker and runner",
            max(load.lag_ms["broker"], load.lag_ms["runner"]),
            "ms",
            target=Target.value_at_most(150) if mebibytes == 8 else None,
        ),
        Figure(
            f"{mebibytes} MiB: peak memory of the runner",
            peak,
            "MiB",
            Ceiling("payload", mebibytes),
            Target.ratio_at_most(5) if mebibytes == 256 else None,
        ),
    ]
