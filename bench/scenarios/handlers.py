"""Tasks that an application's own functions do: no process, only messages."""

from __future__ import annotations

import attrs

from trio_runner import RawJson

from ..ceilings import mean_ceiling
from ..context import Context
from ..figures import Figure, ScenarioReport, Target
from ..load import sustained
from ..meter import Meter
from ..processes import running
from ..stack import broker_and_requester

__all__ = ["measure_handlers"]

_SLOTS = 64
_SETTINGS = RawJson(b'{"question":"what is six times seven?"}')


async def measure_handlers(context: Context, report: ScenarioReport) -> None:
    """Measure throughput of handler tasks."""
    seconds = context.plan.choose(5.0, 1.0)
    directory = context.place()
    async with broker_and_requester(directory) as alone:
        arguments = [alone.url, str(_SLOTS)]
        async with running(
            "handlers", "handler_host", arguments, directory, environment=alone.environment
        ) as host:
            stack = attrs.evolve(alone, runner=host)

            async def submit() -> None:
                await stack.requester.run_task("bench", _SETTINGS, raw=True)

            before = await context.ceilings.echo_rate(seconds / 5)
            meter = Meter(stack, context.own_lag)
            done = await sustained(submit, 2 * _SLOTS, seconds, warm_up=0.5)
            report.loads.append(meter.load(f"{_SLOTS} slots", done.all_tasks))
            after = await context.ceilings.echo_rate(seconds / 5)
            stack.check()
    report.figures.append(
        Figure(
            f"handler tasks at {_SLOTS} slots",
            done.rate,
            "/s",
            mean_ceiling("WebSocket round trips, one at a time", before, after),
            Target.ratio_at_least(0.2),
            note="a task takes four",
        )
    )
