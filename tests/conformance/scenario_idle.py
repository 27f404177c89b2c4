"""Runners that sit idle, or busy, for some seconds, side by side."""

from __future__ import annotations

from functools import partial

import trio

from .ahead import SCENARIO_LIMIT
from .daemon import open_registered, open_runner
from .fake_broker import open_broker
from .http_wire import fetch

FREE = {"STDLIB_ALLOW": "*", "EXTERNAL_ALLOW": "*", "BUILTINS_DENY": ""}


async def _idle_from_the_start(found: dict[str, object]) -> None:
    async with (
        open_broker() as broker,
        open_registered(broker, AUTO_SHUTDOWN_TIMEOUT="1") as (daemon, session),
    ):
        found["idle-code"] = await daemon.exit_code()
        found["idle-after"] = trio.current_time() - session.registered_at
        await session.peer.wait_over()
        found["idle-close"] = session.peer.close_code


async def _busy_then_idle(found: dict[str, object]) -> None:
    settings = {"AUTO_SHUTDOWN_TIMEOUT": "1", **FREE}
    async with open_broker() as broker, open_registered(broker, **settings) as (daemon, session):
        task_id = await session.hold()
        begun = trio.current_time()
        session.send_settings(task_id, "import time\ntime.sleep(2)\nreturn 'done'")
        found["busy-result"] = (await session.end(task_id)).result
        found["busy-code"] = await daemon.exit_code()
        found["busy-after"] = trio.current_time() - begun


async def _never_idle(found: dict[str, object]) -> None:
    async with (
        open_broker() as broker,
        open_registered(broker, AUTO_SHUTDOWN_TIMEOUT="0") as (daemon, session),
    ):
        with trio.move_on_after(2.5):
            await session.peer.over.wait()
        found["never-code"] = daemon.code


async def _two_seconds(found: dict[str, object]) -> None:
    async with open_broker() as broker, open_registered(broker, TASK_TIMEOUT="2", **FREE) as (_, session):
        found["two-seconds"] = (await session.run("import time\ntime.sleep(60)")).error["message"]


async def _never_registered(found: dict[str, object]) -> None:
    health = {"HEALTH_CHECK_SERVER_ENABLED": "true", "HEALTH_CHECK_SERVER_PORT": "0"}
    async with open_broker() as broker, open_runner(broker, **health) as daemon:
        port = int((await daemon.line(r"Health check server listening on [^,]+, port (\d+)")).group(1))
        deaf = await broker.connected()
        await deaf.peer.wait_over(40)
        found["unregistered-back"] = await broker.connected() is not deaf
        found["unregistered-health"] = [
            (await fetch(port, "GET", path)).status for path in ("/healthz", "/readyz")
        ]


async def sit_idle() -> dict[str, object]:
    """Let them sit, and return what was seen, by name."""
    found: dict[str, object] = {}
    with trio.fail_after(SCENARIO_LIMIT):
        async with trio.open_nursery() as nursery:
            for scenario in (
                _idle_from_the_start,
                _busy_then_idle,
                _never_idle,
                _two_seconds,
                _never_registered,
            ):
                nursery.start_soon(partial(scenario, found))
    return found
