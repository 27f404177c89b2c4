"""Broker and runner of the product together, and a raw requester at the other end: one task's whole path."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest
import trio

from .daemon import BrokerProcess, Daemon, open_runner
from .fake_broker import settings_of
from .fake_peers import FakeRequester, open_fake_requester
from .hosting import hosted
from .wire import Message


@pytest.fixture(scope="module")
def runner(broker: BrokerProcess) -> Iterator[Daemon]:
    """A runner of the product, connected to the broker of the product."""
    url = f"http://127.0.0.1:{broker.port}"
    with hosted(partial(open_runner, url, MAX_CONCURRENCY="3", STDLIB_ALLOW="time")) as host:
        yield host.value


async def begin(requester: FakeRequester, code: str, **settings: Any) -> str:
    """Have a task begun and return its id."""
    task_id = await requester.ready(requester.request("python"))
    requester.send("tasksettings", task_id, settings=settings_of(code, **settings))
    return task_id


async def run(requester: FakeRequester, code: str, **settings: Any) -> Message:
    """Run a task to its end and return its last message."""
    return await requester.end(await begin(requester, code, **settings))


@pytest.mark.row("2", "whole path: request → … → calls → taskdone")
@pytest.mark.usefixtures("runner")
async def test_a_result_and_its_prints(broker: BrokerProcess) -> None:
    async with open_fake_requester(broker.port) as requester:
        items = [{"json": {"n": n}} for n in range(3)]
        code = "print('item', _item['json']['n'])\nreturn {'n': _item['json']['n'] + 1}"
        end = await run(requester, code, nodeMode="runOnceForEachItem", items=items)
        outputs = [{"json": {"n": n + 1}, "pairedItem": {"item": n}} for n in range(3)]
        assert end == {"type": "broker:taskdone", "taskId": end["taskId"], "data": {"result": outputs}}
        calls = requester.peer.seen("broker:rpc", taskId=end["taskId"])
        assert [call["params"] for call in calls] == [["'item'", str(n)] for n in range(3)]


@pytest.mark.row("2", "whole path: taskerror with message, description and the person's own line")
@pytest.mark.usefixtures("runner")
async def test_an_error_with_its_line(broker: BrokerProcess) -> None:
    async with open_fake_requester(broker.port) as requester:
        end = await run(requester, "x = 1\nraise ValueError('boom')")
        assert end["type"] == "broker:taskerror"
        assert end["error"]["message"] == "boom"
        assert end["error"]["lineNumber"] == 2


@pytest.mark.row("2", "whole path: requester:taskcancel reaches the task; the slot is used again at once")
@pytest.mark.usefixtures("runner")
async def test_a_cancel_reaches_the_task(broker: BrokerProcess) -> None:
    async with open_fake_requester(broker.port) as requester:
        for _ in range(4):  # more often than there are slots
            task_id = await begin(requester, "import time\nprint('up')\ntime.sleep(60)")
            await requester.peer.next("broker:rpc", taskId=task_id)
            requester.send("taskcancel", task_id, reason="no longer wanted")
        assert (await run(requester, "return 'free again'"))["data"] == {"result": "free again"}


@pytest.mark.row("2", "whole path: many tasks from several requesters, each ends once with its own result")
@pytest.mark.usefixtures("runner")
async def test_many_tasks_of_several_requesters(broker: BrokerProcess) -> None:
    async def one_requester(name: int) -> None:
        async with open_fake_requester(broker.port) as requester, trio.open_nursery() as nursery:
            for number in range(20):
                nursery.start_soon(one_task, requester, f"{name}-{number}")

    async def one_task(requester: FakeRequester, name: str) -> None:
        end = await run(requester, "return _items[0]['json']['name']", items=[{"json": {"name": name}}])
        assert end["data"] == {"result": name}

    async with trio.open_nursery() as nursery:
        for name in range(3):
            nursery.start_soon(one_requester, name)


@pytest.mark.row(
    "1", "whole path: a runner is killed with SIGKILL; the requester is told at once, another runner serves"
)
async def test_a_killed_runner_is_told(broker: BrokerProcess, runner: Daemon) -> None:
    async with open_fake_requester(broker.port) as requester:
        task_id = await begin(requester, "import time\nprint('up')\ntime.sleep(60)")
        await requester.peer.next("broker:rpc", taskId=task_id)
        runner.signal(signal.SIGKILL)
        assert (await requester.end(task_id))["type"] == "broker:taskerror"
        async with open_runner(f"http://127.0.0.1:{broker.port}"):
            assert (await run(requester, "return 'served'"))["data"] == {"result": "served"}
