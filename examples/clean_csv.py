"""Clean a CSV file with many tasks at once: the rows go out in parts, the results come back in order.

    python examples/clean_csv.py [cleaned.csv]

Every row of data/orders.csv goes through tasks/clean_order.py on a runner. The same from a shell, with a
broker and a runner that are already there:

    trio-runner submit examples/tasks/clean_order.py --items examples/data/orders.csv --mode each --split 500
"""

from __future__ import annotations

import csv
import secrets
import sys
from pathlib import Path
from typing import Any, TextIO

import trio

from trio_runner import (
    BrokerConfig,
    BrokerHandle,
    Policy,
    Requester,
    RunnerConfig,
    open_requester,
    serve_broker,
    serve_runner,
)

HERE = Path(__file__).parent
ROWS_PER_TASK = 500


async def clean(requester: Requester, rows: list[dict[str, str]]) -> list[dict[str, Any]]:
    """Clean all rows, `ROWS_PER_TASK` of them to a task, and return them in order, each once."""
    code = (HERE / "tasks" / "clean_order.py").read_text(encoding="utf-8")
    parts = [rows[start : start + ROWS_PER_TASK] for start in range(0, len(rows), ROWS_PER_TASK)]
    cleaned: list[list[Any]] = [[] for _ in parts]

    async def clean_part(index: int) -> None:
        # In "each" mode the result is a list of items: {"json": what the code returned, "pairedItem": ...}.
        cleaned[index] = await requester.run(
            code, parts[index], mode="each", on_print=lambda line: print(line.text, file=sys.stderr)
        )

    async with trio.open_nursery() as nursery:
        for index in range(len(parts)):
            nursery.start_soon(clean_part, index)

    # What no single task can see, because each has only some of the rows: orders that are there twice.
    orders = {item["json"]["order_id"]: item["json"] for part in cleaned for item in part}
    return list(orders.values())


async def main(output: TextIO) -> None:
    with (HERE / "data" / "orders.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))

    secret = secrets.token_urlsafe()
    async with trio.open_nursery() as nursery:
        broker: BrokerHandle = await nursery.start(serve_broker, BrokerConfig(port=0, auth_token=secret))
        policy = Policy(stdlib_allow=frozenset({"datetime", "re"}))  # what tasks may import
        await nursery.start(
            serve_runner, RunnerConfig(brokers=(broker.url,), auth_token=secret, policy=policy)
        )
        async with open_requester(broker.url, auth_token=secret) as requester:
            cleaned = await clean(requester, rows)
        nursery.cancel_scope.cancel()

    writer = csv.DictWriter(output, fieldnames=list(cleaned[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(cleaned)
    print(f"{len(cleaned)} of {len(rows)} rows are clean", file=sys.stderr)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        with Path(sys.argv[1]).open("w", encoding="utf-8", newline="") as file:
            trio.run(main, file)
    else:
        trio.run(main, sys.stdout)
