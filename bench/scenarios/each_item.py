"""Many small items, the code run once for each."""

from __future__ import annotations

import json
import time

from trio_runner import RawJson

from ..context import Context
from ..figures import Ceiling, Figure, ScenarioReport, Target
from ..meter import Meter
from ..percentiles import median
from ..stack import open_stack

__all__ = ["measure_each_item"]

_ITEMS = 20_000
_CODE = """\
row = _item["json"]
total = row["price"] * row["count"]
return {"json": {"id": row["id"], "name": row["name"].upper(), "total": total, "large": total > 100}}
"""


async def measure_each_item(context: Context, report: ScenarioReport) -> None:
    """Measure each-item mode against the same work in a plain loop."""
    times = context.plan.choose(15, 3)
    items = [
        {"json": {"id": n, "name": f"article {n}", "price": n % 97 + 0.5, "count": n % 7}}
        for n in range(_ITEMS)
    ]
    raw = RawJson.of(items)
    directory = context.place()
    settings = directory / "settings.json"
    settings.write_text(json.dumps({"code": _CODE, "items": items}), encoding="utf-8")
    before = await context.ceilings.loop_seconds(settings, times)
    async with open_stack(directory) as stack:
        await stack.requester.run(_CODE, raw, mode="each", raw=True)
        meter, seconds = Meter(stack, context.own_lag), []
        for _ in range(times):
            begin = time.perf_counter()
            await stack.requester.run(_CODE, raw, mode="each", raw=True)
            seconds.append(time.perf_counter() - begin)
        report.loads.append(meter.load(f"{_ITEMS} items", times))
        stack.check()
    after = await context.ceilings.loop_seconds(settings, times)
    report.figures.append(
        Figure(
            f"{_ITEMS} items in each-item mode",
            median(seconds) * 1000,
            "ms",
            Ceiling("the same loop in one process", (before + after) / 2 * 1000),
            Target.ratio_at_most(1.5),
            note=f"{len(raw) / 1024**2:.1f} MiB of items; request to result, through the broker",
        )
    )
