"""How long a runner takes to answer a ping while a large payload passes through it.

Here the benchmark itself is the broker, on trio-websocket as it comes: so the pings are real ones, and each
answer is timed. While the settings go out nothing is pinged: a library that sends a message as one frame, as
n8n's does too, keeps a ping waiting behind it, whoever the runner is.
"""

from __future__ import annotations

import json
import time
from functools import partial

import trio
import trio_websocket

from ..context import Context
from ..figures import Figure, ScenarioReport
from ..payload import items_json
from ..processes import running

__all__ = ["measure_pings"]

_LARGEST = 1024**3
_RECEIVE_SIZE = 256 * 1024
# Seconds between an answer and the next ping.
_BETWEEN = 0.05
_TASK = "benchmark"


async def measure_pings(context: Context, report: ScenarioReport) -> None:
    """Measure the longest answer to a ping for each size."""
    directory = context.place()
    for mebibytes in context.plan.choose((8, 64, 256), (8,)):
        broker = _PingingBroker(items_json(mebibytes).decode())
        context.own_lag.gauge.begin()
        async with trio.open_nursery() as nursery:
            port = await nursery.start(broker.serve)
            arguments = ["run", "--broker", f"http://127.0.0.1:{port}", "--grant-token", "any"]
            async with running(f"runner{mebibytes}", "probed", arguments, directory) as runner:
                await broker.done.wait()
                runner.check()
            nursery.cancel_scope.cancel()
        report.figures.append(
            Figure(
                f"{mebibytes} MiB in and out: longest answer to a ping",
                max(broker.answers) * 1000,
                "ms",
                note=f"{len(broker.answers)} pings, none unanswered; this broker itself was busy for up to"
                f" {context.own_lag.gauge.longest() * 1000:.0f} ms",
            )
        )


class _PingingBroker:
    """Gives one task to one runner, and pings it until the result is there.

    Args:
        items: JSON of what the task gets and returns.
    """

    def __init__(self, items: str) -> None:
        self.answers: list[float] = []
        self.done = trio.Event()
        self._items = items

    async def serve(self, *, task_status: trio.TaskStatus[int]) -> None:
        """Listen; started with the port."""
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        task_status.started(listeners[0].socket.getsockname()[1])
        server = trio_websocket.WebSocketServer(
            self._greet, listeners, max_message_size=_LARGEST, receive_buffer_size=_RECEIVE_SIZE
        )
        await server.run()

    async def _greet(self, request: trio_websocket.WebSocketRequest) -> None:
        connection = await request.accept()
        await _say(connection, "broker:inforequest")
        await _wait_for(connection, "runner:info")
        await _say(connection, "broker:runnerregistered")
        offer = await _wait_for(connection, "runner:taskoffer")
        await _say(connection, "broker:taskofferaccept", taskId=_TASK, offerId=offer["offerId"])
        await _wait_for(connection, "runner:taskaccepted")
        code = '{"code":"return _items","nodeMode":"runOnceForAllItems","items":' + self._items + "}"
        await connection.send_message(
            f'{{"type":"broker:tasksettings","taskId":"{_TASK}","settings":{code}}}'
        )
        async with trio.open_nursery() as nursery:
            nursery.start_soon(partial(self._ping, connection))
            await _wait_for(connection, "runner:taskdone")
            nursery.cancel_scope.cancel()
        self.done.set()

    async def _ping(self, connection: trio_websocket.WebSocketConnection) -> None:
        while True:
            begin = time.perf_counter()
            await connection.ping()
            self.answers.append(time.perf_counter() - begin)
            await trio.sleep(_BETWEEN)


async def _say(connection: trio_websocket.WebSocketConnection, kind: str, **fields: str) -> None:
    await connection.send_message(json.dumps({"type": kind, **fields}))


async def _wait_for(connection: trio_websocket.WebSocketConnection, kind: str) -> dict[str, str]:
    """Read messages until one of a kind; a large one is not looked into further than its head."""
    while True:
        message = await connection.get_message()
        assert isinstance(message, str)
        if f'"{kind}"' in message[:200]:
            return dict(json.loads(message)) if len(message) < 1000 else {}
        assert '"runner:taskerror"' not in message[:200], f"the task failed: {message[:500]}"
