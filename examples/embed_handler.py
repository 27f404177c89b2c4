"""An application that serves tasks of its own: a runner with a handler, inside any trio program.

    python examples/embed_handler.py

A handler is an async function of the application. It runs in the application's own event loop, next to
everything else there, and may use what the application has in memory: here, the stock of a shop. Tasks of its
type come from any requester, through the same broker, offers and slots as Python tasks do.
"""

from __future__ import annotations

import secrets

import trio

from trio_runner import (
    BrokerConfig,
    BrokerHandle,
    HandlerExecutor,
    HandlerTask,
    RunnerConfig,
    TaskError,
    open_requester,
    serve_broker,
    serve_runner,
)


class Shop:
    """The application: some state, and a way to change it."""

    def __init__(self) -> None:
        self.stock = {"bolt": 100, "hammer": 3}

    async def reserve(self, task: HandlerTask) -> object:
        """Handle a task of the type "reserve": its settings are whatever the requester sent."""
        article, count = task.settings["article"], task.settings["count"]
        if self.stock[article] < count:
            # What a handler raises becomes the task's error.
            raise ValueError(f"only {self.stock[article]} of {article!r} left")
        task.print("reserving", count, article)
        # A cancelled task is cancelled here like any trio code: a handler needs no care but the usual.
        await trio.sleep(0.05)
        self.stock[article] -= count
        return {"article": article, "left": self.stock[article]}


async def main() -> None:
    secret = secrets.token_urlsafe()
    shop = Shop()

    async with trio.open_nursery() as nursery:
        broker: BrokerHandle = await nursery.start(serve_broker, BrokerConfig(port=0, auth_token=secret))

        # The runner is one more task of the application's nursery. With an executor for handlers alone it
        # starts no processes; leave `executor` out and give `handlers={...}` to serve Python tasks as well.
        config = RunnerConfig(brokers=(broker.url,), auth_token=secret, max_concurrency=10)
        await nursery.start(
            lambda task_status: serve_runner(
                config, executor=HandlerExecutor({"reserve": shop.reserve}), task_status=task_status
            )
        )

        await order_things(broker.url, secret)
        print("stock:", shop.stock)
        nursery.cancel_scope.cancel()


async def order_things(url: str, secret: str) -> None:
    """Somebody else, somewhere else: they know the broker and the task type, not the shop."""
    async with open_requester(url, auth_token=secret) as requester:
        for article, count in (("bolt", 40), ("hammer", 1), ("hammer", 7)):
            try:
                answer = await requester.run_task(
                    "reserve",
                    {"article": article, "count": count},
                    on_print=lambda line: print("the shop says:", line.text),
                )
                print("reserved:", answer)
            except TaskError as error:
                print("refused:", error)


if __name__ == "__main__":
    trio.run(main)
