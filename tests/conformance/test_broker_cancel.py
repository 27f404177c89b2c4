"""Requesters that change their mind or vanish, and a broker that is told to end."""

from __future__ import annotations

import signal

import pytest
import trio

from .daemon import BrokerProcess, open_broker_process
from .fake_peers import FakeRequester, FakeRunner, begin, open_fake_requester, open_fake_runner


async def ready(requester: FakeRequester, runner: FakeRunner, task_type: str) -> str:
    """Bring a task to where its settings are awaited, and return its id."""
    request_id = requester.request(task_type)
    task_id = await runner.take(task_type)
    assert await requester.ready(request_id) == task_id
    return task_id


async def overtook(runner: FakeRunner, waiting: FakeRequester, task_id: str) -> bool:
    """Tell whether an offer was matched before the broker saw that the connection of the request was lost.

    Then the broker takes the task back, and the request that waits gets the next offer.
    """
    taken_back: list[object] = []

    async def see_cancel(scope: trio.CancelScope) -> None:
        taken_back.append(await runner.peer.next("broker:taskcancel", taskId=task_id))
        scope.cancel()

    async def see_ready(scope: trio.CancelScope) -> None:
        await waiting.peer.wait_for("broker:taskready", taskId=task_id)
        scope.cancel()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(see_cancel, nursery.cancel_scope)
        nursery.start_soon(see_ready, nursery.cancel_scope)
    return bool(taken_back)


@pytest.mark.row("2", "requester:taskcancel of a running task → broker:taskcancel with the reason")
async def test_cancel_of_a_running_task(broker: BrokerProcess, task_type: str) -> None:
    async with (
        open_fake_runner(broker.port, task_type) as runner,
        open_fake_requester(broker.port) as requester,
    ):
        task_id = await begin(requester, runner, task_type)
        requester.send("taskcancel", task_id, reason="no longer wanted")
        cancel = await runner.peer.next("broker:taskcancel")
        assert cancel == {"type": "broker:taskcancel", "taskId": task_id, "reason": "no longer wanted"}
        runner.answer("taskerror", task_id, error={"message": "Task was cancelled", "description": ""})
        await runner.sync()
        assert len(requester.peer.seen("broker:taskdone", "broker:taskerror", taskId=task_id)) <= 1


@pytest.mark.row("2", "requester:taskcancel between ready and settings → broker:taskcancel, no settings")
async def test_cancel_before_the_settings(broker: BrokerProcess, task_type: str) -> None:
    async with (
        open_fake_runner(broker.port, task_type) as runner,
        open_fake_requester(broker.port) as requester,
    ):
        task_id = await ready(requester, runner, task_type)
        requester.send("taskcancel", task_id, reason="changed my mind")
        requester.send("tasksettings", task_id, settings={"late": True})
        assert (await runner.peer.next())["type"] == "broker:taskcancel"
        await runner.peer.nothing("broker:tasksettings", within=0.2)


@pytest.mark.row("2", "requester:taskcancel straight after the settings → settings, then cancel: never lost")
async def test_cancel_straight_after_the_settings(broker: BrokerProcess, task_type: str) -> None:
    async with (
        open_fake_runner(broker.port, task_type) as runner,
        open_fake_requester(broker.port) as requester,
    ):
        task_id = await ready(requester, runner, task_type)
        requester.send("tasksettings", task_id, settings={"a": 1})
        requester.send("taskcancel", task_id, reason="at once")
        await runner.peer.next("broker:taskcancel", taskId=task_id)


@pytest.mark.row(
    "2", "requester:taskcancel twice, of a finished or of an unknown task: at most one broker:taskcancel"
)
async def test_cancel_twice_and_too_late(broker: BrokerProcess, task_type: str) -> None:
    async with (
        open_fake_runner(broker.port, task_type) as runner,
        open_fake_requester(broker.port) as requester,
    ):
        task_id = await begin(requester, runner, task_type)
        requester.send("taskcancel", task_id, reason="one")
        requester.send("taskcancel", task_id, reason="two")
        await runner.peer.next("broker:taskcancel", taskId=task_id)
        await runner.peer.nothing("broker:taskcancel", within=0.2)
        finished = await begin(requester, runner, task_type)
        runner.done(finished)
        await requester.end(finished)
        requester.send("taskcancel", finished, reason="too late")
        requester.send("taskcancel", "unknown", reason="never was")
        await runner.peer.nothing("broker:taskcancel", within=0.2)


@pytest.mark.row("1", "a requester's connection ends while its request waits: no offer is taken for it")
async def test_requests_of_a_lost_requester_are_dropped(broker: BrokerProcess, task_type: str) -> None:
    async with open_fake_runner(broker.port, task_type) as runner, open_fake_requester(broker.port) as other:
        async with open_fake_requester(broker.port) as lost:
            lost.request(task_type)
            await lost.sync()
            lost.peer.drop()
            await lost.peer.wait_over()
        request_id = other.request(task_type)
        task_id = await runner.take(task_type)
        if await overtook(runner, other, task_id):
            task_id = await runner.take(task_type)
        assert await other.ready(request_id) == task_id
        runner.offer(task_type)
        await runner.peer.nothing("broker:taskofferaccept", within=0.3)


@pytest.mark.row(
    "1", "a requester's connection ends with a task on a runner: broker:taskcancel, in each phase"
)
@pytest.mark.parametrize("phase", ["offered", "accepted", "running"])
async def test_tasks_of_a_lost_requester_are_cancelled(
    broker: BrokerProcess, task_type: str, phase: str
) -> None:
    async with (
        open_fake_runner(broker.port, task_type) as runner,
        open_fake_requester(broker.port) as requester,
    ):
        if phase == "offered":
            requester.request(task_type)
            task_id = await runner.asked(runner.offer(task_type))
        elif phase == "accepted":
            task_id = await ready(requester, runner, task_type)
        else:
            task_id = await begin(requester, runner, task_type)
        requester.peer.drop()
        if phase == "offered":
            await requester.peer.wait_over()
            runner.answer("taskaccepted", task_id)
        await runner.peer.next("broker:taskcancel", taskId=task_id)


@pytest.mark.row("2", "a cancelled task's runner may still answer: nothing breaks, the runner is used again")
async def test_a_runner_is_used_again_after_a_cancel(broker: BrokerProcess, task_type: str) -> None:
    async with (
        open_fake_runner(broker.port, task_type) as runner,
        open_fake_requester(broker.port) as requester,
    ):
        for answer in ("taskdone", "taskerror"):
            task_id = await begin(requester, runner, task_type)
            requester.send("taskcancel", task_id, reason="no longer wanted")
            await runner.peer.next("broker:taskcancel", taskId=task_id)
            runner.answer(answer, task_id, data={"result": 1}, error={"message": "m", "description": ""})
        task_id = await begin(requester, runner, task_type)
        runner.done(task_id)
        assert (await requester.end(task_id))["type"] == "broker:taskdone"


@pytest.mark.row(
    "2",
    "broker told to end: broker:drain to runners, running tasks finish, requests expire as draining, exit 0",
)
async def test_a_broker_drains_at_sigterm(task_type: str) -> None:
    async with open_broker_process(drain_timeout="600") as broker:
        async with (
            open_fake_runner(broker.port, task_type) as runner,
            open_fake_requester(broker.port) as requester,
        ):
            task_id = await begin(requester, runner, task_type)
            waiting = requester.request(task_type)
            await requester.sync()
            broker.daemon.signal(signal.SIGTERM)
            await runner.peer.next("broker:drain")
            expired = await requester.peer.next("broker:requestexpired", requestId=waiting)
            assert expired["reason"] == "draining"
            runner.done(task_id, "finished")
            assert (await requester.end(task_id))["data"] == {"result": "finished"}
            assert await broker.daemon.exit_code() == 0
            await runner.peer.wait_over()
            assert runner.peer.close_code is not None
        assert "Traceback" not in broker.daemon.output


@pytest.mark.row(
    "2", "broker told to end with a task longer than its drain limit: the requester is told, exit 0"
)
async def test_a_broker_ends_at_its_drain_limit(task_type: str) -> None:
    async with open_broker_process(drain_timeout="1") as broker:
        async with (
            open_fake_runner(broker.port, task_type) as runner,
            open_fake_requester(broker.port) as requester,
        ):
            task_id = await begin(requester, runner, task_type)
            broker.daemon.signal(signal.SIGTERM)
            assert (await requester.end(task_id))["type"] == "broker:taskerror"
            assert await broker.daemon.exit_code() == 0
            await requester.peer.wait_over()
        assert "Traceback" not in broker.daemon.output
