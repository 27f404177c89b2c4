"""Time limits and cancellation: a task is cancelled as any trio code is, by the scope it is awaited in.

    python examples/timeouts.py

There is no timeout argument anywhere. When the scope around a `run` is cancelled, the task is cancelled at
the broker, the runner kills its process, and its slot is free for the next one.
"""

from __future__ import annotations

import secrets
import time

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

ENDLESS = "while True: pass"

GUESS = """
from time import sleep
sleep(_query["seconds"])
return _query["name"]
"""

STALLS = """
from time import sleep
for step in range(100):
    print("step", step)
    sleep(0.05 if step < 5 else 3600)
"""


async def give_up_after_a_while(requester: Requester) -> None:
    """`move_on_after`: go on without the result."""
    with trio.move_on_after(0.5) as scope:
        await requester.run(ENDLESS)
    print("gave up:", scope.cancelled_caught)


async def fail_if_too_slow(requester: Requester) -> None:
    """`fail_after`: no result in time is an error."""
    try:
        with trio.fail_after(0.5):
            await requester.run(ENDLESS)
    except trio.TooSlowError:
        print("too slow")


async def first_answer_wins(requester: Requester) -> None:
    """The same question three times: take the first answer, cancel the others."""
    winner = ""

    async with trio.open_nursery() as nursery:

        async def ask(name: str, seconds: float) -> None:
            nonlocal winner
            winner = await requester.run(GUESS, query={"name": name, "seconds": seconds})
            nursery.cancel_scope.cancel()

        nursery.start_soon(ask, "tortoise", 3600)
        nursery.start_soon(ask, "hare", 0.1)
        nursery.start_soon(ask, "snail", 3600)

    print("the winner is the", winner)


async def no_news_for_too_long(requester: Requester) -> None:
    """A deadline that moves: as long as the task prints something it may run, silence ends it."""
    last = ""
    with trio.CancelScope() as scope:
        async with requester.start(STALLS) as running:
            scope.deadline = trio.current_time() + 5
            async for line in running.output:
                last = line.text
                scope.deadline = trio.current_time() + 2
    print("silent after", last)


async def main() -> None:
    secret = secrets.token_urlsafe()
    async with trio.open_nursery() as nursery:
        broker: BrokerHandle = await nursery.start(serve_broker, BrokerConfig(port=0, auth_token=secret))
        policy = Policy(stdlib_allow=frozenset({"time"}))
        config = RunnerConfig(brokers=(broker.url,), auth_token=secret, max_concurrency=3, policy=policy)
        await nursery.start(serve_runner, config)

        async with open_requester(broker.url, auth_token=secret) as requester:
            await give_up_after_a_while(requester)
            await fail_if_too_slow(requester)
            await first_answer_wins(requester)
            await no_news_for_too_long(requester)

            # All the cancelled tasks are gone and their slots free: this one runs at once.
            started = time.monotonic()
            await requester.run("return 'there is room'")
            print("the next task had to wait:", time.monotonic() - started > 5)

        nursery.cancel_scope.cancel()


if __name__ == "__main__":
    trio.run(main)
