"""Broker, runner and requester in one process: the whole path of a task, in memory and on one port.

    python examples/all_in_one.py

In real life the three are apart: `trio-runner broker` (or n8n) on one machine, `trio-runner run` on many,
and your application keeps only the last part, `open_requester`.
"""

from __future__ import annotations

import secrets

import trio

from trio_runner import (
    BrokerConfig,
    BrokerHandle,
    RunnerConfig,
    UserCodeError,
    open_requester,
    serve_broker,
    serve_runner,
)

# The body of a function. It sees `_items` and `_query`; what it returns is the result.
ADD_UP = """
print("adding up", len(_items), "numbers")
return sum(item["json"]["n"] for item in _items)
"""


async def main() -> None:
    # Whoever knows this secret may offer and submit tasks.
    secret = secrets.token_urlsafe()

    async with trio.open_nursery() as nursery:
        # start() returns as soon as the broker can be reached. Port 0 is any free one.
        broker: BrokerHandle = await nursery.start(serve_broker, BrokerConfig(port=0, auth_token=secret))

        # ... and here as soon as the broker knows the runner. Every task gets a process of its own.
        config = RunnerConfig(brokers=(broker.url,), auth_token=secret, max_concurrency=2)
        await nursery.start(serve_runner, config)

        async with open_requester(broker.url, auth_token=secret) as requester:
            total = await requester.run(
                ADD_UP,
                [{"n": n} for n in range(101)],
                on_print=lambda line: print("the task says:", line.text),
            )
            print("the total is", total)

            try:
                await requester.run("numbers = []\nreturn 1 / len(numbers)")
            except UserCodeError as error:
                print(f"line {error.line_number} of the code failed: {error}")

        # Nothing outlives its nursery: runner, worker processes and broker are gone when the block is left.
        nursery.cancel_scope.cancel()


if __name__ == "__main__":
    trio.run(main)
