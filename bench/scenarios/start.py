"""How long it takes from starting a runner to its first offer."""

from __future__ import annotations

import time
from functools import partial
from typing import Any

import trio

from trio_runner.protocol import messages as m
from trio_runner.protocol.codec import RUNNER_TO_BROKER
from trio_runner.transport.http_server import HttpRequest, HttpResponse, Upgrade, serve_http
from trio_runner.transport.link import Link

from ..context import Context
from ..figures import Ceiling, Figure, ScenarioReport, Target
from ..percentiles import median
from ..processes import running
from ..stack import secret_environment

__all__ = ["measure_start"]


class _Greeter:
    """A broker that only says hello, to note when the first offer comes."""

    def __init__(self) -> None:
        self.offered = trio.Event()

    def answer(self, request: HttpRequest) -> HttpResponse | Upgrade[Any]:
        """Route a request."""
        if request.wants_upgrade:
            return Upgrade(RUNNER_TO_BROKER, self._greet)
        return HttpResponse(200, b'{"data":{"token":"any"}}', "application/json")

    async def _greet(self, link: Link[m.RunnerToBroker]) -> None:
        link.send(m.InfoRequest())
        while True:
            match await link.receive():
                case m.RunnerInfo():
                    link.send(m.RunnerRegistered())
                case m.TaskOffer():
                    self.offered.set()


async def measure_start(context: Context, report: ScenarioReport) -> None:
    """Measure the time to the first offer, several times."""
    times = context.plan.choose(7, 3)
    bare = await context.ceilings.start_seconds("import trio, trio_websocket", times)
    seconds = [await _once(context) for _ in range(times)]
    report.figures.append(
        Figure(
            "from start to first offer",
            median(seconds),
            "s",
            Ceiling("an interpreter that imports trio_websocket and ends", bare),
            Target.value_at_most(0.5),
        )
    )


async def _once(context: Context) -> float:
    greeter, environment, directory = _Greeter(), secret_environment(), context.place()
    async with trio.open_nursery() as nursery:
        ((host, port), *_) = await nursery.start(partial(serve_http, "127.0.0.1", 0, greeter.answer))
        begin = time.perf_counter()
        arguments = ["run", "--broker", f"http://{host}:{port}"]
        async with running("runner", "probed", arguments, directory, environment=environment) as runner:
            with trio.fail_after(20):
                await greeter.offered.wait()
            taken = time.perf_counter() - begin
            runner.check()
        nursery.cancel_scope.cancel()
    return taken
