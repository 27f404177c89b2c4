"""Losing the broker and coming back: section 1 of the protocol's document, and the failures around tokens."""

from __future__ import annotations

import socket

import pytest
import trio

from .daemon import START_LIMIT, open_registered, open_runner
from .fake_broker import fresh_id, open_broker, settings_of
from .processes import MARK, marked
from .scenario_obstacles import hang_up
from .test_runner_offers import EXPIRED

FREE = {"STDLIB_ALLOW": "*", "EXTERNAL_ALLOW": "*", "BUILTINS_DENY": ""}
AUTH = "POST .*/auth"
UPGRADE = "GET .*/_ws"


@pytest.mark.row(
    "1", "a connection ends: its running tasks are stopped, their slots freed, nothing of it on the new one"
)
@pytest.mark.parametrize("how", ["drop", "close", "hang_up"])
async def test_a_lost_connection_ends_its_tasks(how: str) -> None:
    marker = fresh_id("lost-marker")
    code = MARK.format(marker=marker) + "import time\nprint('up')\ntime.sleep(60)\nreturn 'late'"
    async with open_broker() as broker, open_registered(broker, MAX_CONCURRENCY="1", **FREE) as (_, first):
        task_id = await first.start(code)
        await first.printed(task_id, "'up'")
        assert marked(marker)
        getattr(first.peer, how)()
        second = await broker.registered()
        await second.fence()
        assert marked(marker) == []
        assert second.peer.seen(taskId=task_id) == []


@pytest.mark.row("1", "a connection ends: back within a few seconds, with backoff, with a fresh token")
async def test_comes_back_soon_but_not_at_once() -> None:
    async with open_broker() as broker, open_registered(broker) as (_, first):
        gaps = []
        session = first
        for _ in range(3):
            session.peer.drop()
            lost = trio.current_time()
            session = await broker.registered()
            gaps.append(session.hit.at - lost)
            await session.fence()
        # Within a few seconds, and a machine with other work has more of them.
        assert all(0.01 < gap < 20 for gap in gaps), gaps


@pytest.mark.row("3", "all offers of a lost connection are void")
async def test_offers_do_not_outlive_their_connection() -> None:
    async with open_broker() as broker, open_registered(broker) as (_, first):
        old = await first.offer()
        first.peer.drop()
        second = await broker.registered()
        answer = await second.accept(str(old["offerId"]))
        assert (answer["type"], answer["reason"]) == ("runner:taskrejected", EXPIRED)
        new = await second.offer()
        assert new["offerId"] not in {offer["offerId"] for offer in first.peer.seen("runner:taskoffer")}


@pytest.mark.row("1", "settings and cancels of the old connection's tasks mean nothing on the new one")
async def test_tasks_do_not_outlive_their_connection() -> None:
    async with open_broker() as broker, open_registered(broker, MAX_CONCURRENCY="1") as (_, first):
        task_id = await first.hold()
        first.peer.drop()
        second = await broker.registered()
        second.peer.send(
            {"type": "broker:tasksettings", "taskId": task_id, "settings": settings_of("return 1")},
            {"type": "broker:taskcancel", "taskId": task_id, "reason": "old"},
        )
        await second.fence()
        assert second.peer.seen(taskId=task_id) == []


@pytest.mark.row("1", "a connection ends in the middle of a large result")
async def test_a_connection_lost_in_mid_message() -> None:
    async with open_broker() as broker, open_registered(broker, MAX_CONCURRENCY="1", **FREE) as (_, first):
        task_id = await first.start("return 'x' * 80_000_000")
        await first.peer.wait_bytes(1_000_000)
        first.peer.drop()
        second = await broker.registered()
        await second.fence()
        assert second.peer.seen(taskId=task_id) == []


@pytest.mark.row("1", "upgrade 403 with an auth token: mints again and connects")
async def test_a_spent_token_is_replaced() -> None:
    async with open_broker() as broker:
        refusals = iter([403, 401, 101])
        broker.on_upgrade = lambda hit: next(refusals)
        async with open_registered(broker) as (daemon, session):
            await session.fence()
            assert len(broker.asked_for(AUTH)) == len(broker.asked_for(UPGRADE)) == 3
            assert len({hit.bearer for hit in broker.asked_for(UPGRADE)}) == 3
            assert "Traceback" not in daemon.output


@pytest.mark.row("1", "only a grant token, upgrade 403: exits promptly, non-zero")
@pytest.mark.parametrize("status", [403, 401])
async def test_a_refused_grant_token_is_the_end(status: int) -> None:
    async with open_broker() as broker:
        broker.on_upgrade = lambda hit: status
        async with open_runner(broker, AUTH_TOKEN=None, GRANT_TOKEN=broker.mint()) as daemon:
            await broker.wait_hits(1, UPGRADE, START_LIMIT)
            assert await daemon.exit_code() > 0
            assert "Traceback" not in daemon.output
            assert broker.asked_for(AUTH) == []


@pytest.mark.row("1", "only a grant token, connection lost: exits promptly, non-zero, its tasks gone")
@pytest.mark.parametrize("how", ["reset", "close"])
async def test_a_lost_connection_is_the_end_without_an_auth_token(how: str) -> None:
    marker = fresh_id("grant-marker")
    code = MARK.format(marker=marker) + "import time\nprint('up')\ntime.sleep(60)"
    async with (
        open_broker() as broker,
        open_registered(broker, AUTH_TOKEN=None, GRANT_TOKEN=broker.mint(), **FREE) as (daemon, session),
    ):
        task_id = await session.start(code)
        await session.printed(task_id, "'up'")
        below = daemon.below()
        if how == "reset":
            session.peer.drop()
        else:
            session.peer.close(1001)
        assert await daemon.exit_code() > 0
        assert "Traceback" not in daemon.output
        assert marked(marker) == []
        assert [process for process in below if process.alive()] == []


@pytest.mark.row("1", "broker down at start: waits for it, with backoff, and connects")
async def test_a_broker_that_comes_later() -> None:
    with socket.socket() as reserved:
        reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        reserved.bind(("127.0.0.1", 0))
        port = reserved.getsockname()[1]
        settings = {"HEALTH_CHECK_SERVER_ENABLED": "true", "HEALTH_CHECK_SERVER_PORT": "0"}
        async with open_runner(f"http://127.0.0.1:{port}", **settings) as daemon:
            await daemon.line("Health check server listening on")
            reserved.close()
            async with open_broker(port=port) as broker:
                session = await broker.registered()
                await session.fence()
            assert "Traceback" not in daemon.output


@pytest.mark.row("1", "the broker restarts: the runner is back within a few seconds")
async def test_a_broker_that_restarts() -> None:
    async with open_broker() as broker, open_runner(broker) as daemon:
        await (await broker.registered(START_LIMIT)).fence()
        broker.rude = hang_up
        broker.sessions[0].peer.drop()
        await broker.wait_hits(len(broker.hits) + 2, ".*")
        broker.rude = None
        await (await broker.registered()).fence()
        assert daemon.code is None


@pytest.mark.row("2", "broker:drain ends with its connection: the broker that comes back gets offers again")
async def test_a_drained_broker_comes_back() -> None:
    async with open_broker() as broker, open_registered(broker) as (daemon, session):
        await session.fence()
        session.peer.send({"type": "broker:drain"})
        await session.peer.ping()
        session.peer.close(1001)
        await (await broker.registered()).fence()
        assert daemon.code is None


@pytest.mark.row("4", "every process below the runner is killed: its tasks fail at once, the next ones run")
async def test_the_death_of_all_its_children() -> None:
    async with open_broker() as broker, open_registered(broker, **FREE) as (daemon, session):
        for _ in range(2):
            task_id = await session.start("import time\nprint('up')\ntime.sleep(60)")
            await session.printed(task_id, "'up'")
            for process in daemon.below():
                process.kill()
            error = (await session.end(task_id)).error["message"]
            assert error == "Process was forcefully killed (SIGKILL)"
            await session.fence()
        assert "Traceback" not in daemon.output
