"""What the broker passes on between a requester and a runner: section 2 of the protocol's document."""

from __future__ import annotations

from typing import Any

import pytest

from .daemon import BrokerProcess
from .fake_broker import fresh_id
from .fake_peers import FakeRequester, FakeRunner, begin, open_fake_requester, open_fake_runner
from .test_broker_runners import ODD_RUNNER_TEXTS
from .wire import Message

ODD_REQUESTER_TEXTS = {
    name: text.replace(b'"runner:', b'"requester:') for name, text in ODD_RUNNER_TEXTS.items()
} | {
    "request-nothing": b'{"type": "requester:taskrequest"}',
    "request-numbers": b'{"type": "requester:taskrequest", "requestId": 1, "taskType": 2}',
    "settings-of-nothing": b'{"type": "requester:tasksettings", "taskId": "unknown", "settings": {}}',
    "cancel-of-nothing": b'{"type": "requester:taskcancel", "taskId": "unknown", "reason": "r"}',
    "response-of-nothing": b'{"type": "requester:rpcresponse", "taskId": "u", "callId": "c"}',
}


async def passed(runner: FakeRunner, requester: FakeRequester, message: Message) -> Message:
    """Send a message as the runner and return what the requester gets."""
    runner.peer.send(message)
    return await requester.peer.next()


@pytest.mark.row(
    "2", "runner:rpc → broker:rpc; requester:rpcresponse → broker:rpcresponse, success and error"
)
async def test_calls_are_passed_on_both_ways(broker: BrokerProcess, task_type: str) -> None:
    async with (
        open_fake_runner(broker.port, task_type) as runner,
        open_fake_requester(broker.port) as requester,
    ):
        task_id = await begin(requester, runner, task_type)
        call = {"callId": "c1", "taskId": task_id, "name": "logNodeOutput", "params": ["'ü'", [1], None]}
        assert await passed(runner, requester, {"type": "runner:rpc", **call}) == {
            "type": "broker:rpc",
            **call,
        }
        for status, data in (("success", {"a": [1]}), ("error", {"message": "no"}), ("success", None)):
            answer = {"callId": "c1", "taskId": task_id, "status": status, "data": data}
            requester.peer.send({"type": "requester:rpcresponse", **answer})
            assert await runner.peer.next() == {"type": "broker:rpcresponse", **answer}


@pytest.mark.row(
    "2",
    "runner:taskdatarequest → broker:taskdatarequest; requester:taskdataresponse → broker:taskdataresponse",
)
async def test_data_requests_are_passed_on_both_ways(broker: BrokerProcess, task_type: str) -> None:
    async with (
        open_fake_runner(broker.port, task_type) as runner,
        open_fake_requester(broker.port) as requester,
    ):
        task_id = await begin(requester, runner, task_type)
        request = {"taskId": task_id, "requestId": "d1", "requestParams": {"dataOfNodes": "all", "n": [1]}}
        got = await passed(runner, requester, {"type": "runner:taskdatarequest", **request})
        assert got == {"type": "broker:taskdatarequest", **request}
        answer = {"taskId": task_id, "requestId": "d1", "data": {"runExecutionData": [None]}}
        requester.peer.send({"type": "requester:taskdataresponse", **answer})
        assert await runner.peer.next() == {"type": "broker:taskdataresponse", **answer}


@pytest.mark.row(
    "2", "runner:nodetypesrequest → broker:nodetypesrequest; requester:nodetypesresponse → broker:nodetypes"
)
async def test_node_types_are_passed_on_both_ways(broker: BrokerProcess, task_type: str) -> None:
    async with (
        open_fake_runner(broker.port, task_type) as runner,
        open_fake_requester(broker.port) as requester,
    ):
        task_id = await begin(requester, runner, task_type)
        request = {"taskId": task_id, "requestId": "n1", "requestParams": [{"name": "x", "version": 1}]}
        got = await passed(runner, requester, {"type": "runner:nodetypesrequest", **request})
        assert got == {"type": "broker:nodetypesrequest", **request}
        answer = {"taskId": task_id, "requestId": "n1", "nodeTypes": [{"name": "x"}]}
        requester.peer.send({"type": "requester:nodetypesresponse", **answer})
        assert await runner.peer.next() == {"type": "broker:nodetypes", **answer}


@pytest.mark.row("2", "runner:taskerror → broker:taskerror, extra keys of the error intact")
@pytest.mark.parametrize(
    "error",
    [
        {"message": "boom", "description": "more", "stack": "line 1", "lineNumber": 3, "x": {"y": [1, None]}},
        {"message": "boom", "description": None},
        {"message": "Grüße 👋"},
    ],
)
async def test_errors_are_passed_on_whole(broker: BrokerProcess, task_type: str, error: Message) -> None:
    async with (
        open_fake_runner(broker.port, task_type) as runner,
        open_fake_requester(broker.port) as requester,
    ):
        task_id = await begin(requester, runner, task_type)
        got = await passed(runner, requester, {"type": "runner:taskerror", "taskId": task_id, "error": error})
        assert got == {"type": "broker:taskerror", "taskId": task_id, "error": error}


@pytest.mark.row("2", "runner:taskdone → broker:taskdone, data intact: whatever JSON it is")
@pytest.mark.parametrize(
    "data",
    [
        {"result": None},
        {"result": [1.5, 2**70]},
        {"result": "a\ud83d"},
        {"result": [], "staticData": {"k": 1}},
        {},
    ],
)
async def test_results_are_passed_on_whole(broker: BrokerProcess, task_type: str, data: Any) -> None:
    async with (
        open_fake_runner(broker.port, task_type) as runner,
        open_fake_requester(broker.port) as requester,
    ):
        task_id = await begin(requester, runner, task_type)
        got = await passed(runner, requester, {"type": "runner:taskdone", "taskId": task_id, "data": data})
        assert got == {"type": "broker:taskdone", "taskId": task_id, "data": data}


@pytest.mark.row("2", "settings of any JSON reach the runner as they were sent")
@pytest.mark.parametrize(
    "settings", [None, [], "text", 7, {"cut": "\ud83d"}, {"n": 2**70}, {"deep": [[[[[]]]]]}]
)
async def test_settings_are_passed_on_whole(broker: BrokerProcess, task_type: str, settings: Any) -> None:
    async with (
        open_fake_runner(broker.port, task_type) as runner,
        open_fake_requester(broker.port) as requester,
    ):
        request_id = requester.request(task_type)
        task_id = await runner.take(task_type)
        await requester.ready(request_id)
        requester.send("tasksettings", task_id, settings=settings)
        assert await runner.settings(task_id) == settings


@pytest.mark.row("1", "8 MiB of settings and of result pass; others are served meanwhile")
async def test_large_payloads_pass(broker: BrokerProcess, task_type: str) -> None:
    large = {"items": [{"json": {"n": n, "text": "ü" * 1000}} for n in range(4096)]}
    async with (
        open_fake_runner(broker.port, task_type) as runner,
        open_fake_requester(broker.port) as requester,
    ):
        task_id = await begin(requester, runner, task_type, large)
        assert runner.peer.seen("broker:tasksettings")[0]["settings"] == large
        runner.done(task_id, large)
        async with open_fake_requester(broker.port) as other:
            await other.peer.ping()
        end = await requester.end(task_id)
        assert end["data"] == {"result": large}


@pytest.mark.row("2", "order is kept: calls before the end, in their order")
async def test_the_order_is_kept(broker: BrokerProcess, task_type: str) -> None:
    async with (
        open_fake_runner(broker.port, task_type) as runner,
        open_fake_requester(broker.port) as requester,
    ):
        task_id = await begin(requester, runner, task_type)
        for number in range(300):
            runner.answer("rpc", task_id, callId=str(number), name="logNodeOutput", params=[str(number)])
        runner.done(task_id)
        await requester.end(task_id)
        messages = requester.peer.seen(taskId=task_id)
        assert [message.get("callId") for message in messages[1:-1]] == [str(number) for number in range(300)]
        assert messages[-1]["type"] == "broker:taskdone"


@pytest.mark.row("2", "a task ends once: a second end, and calls after it, are not passed on")
async def test_a_task_ends_once(broker: BrokerProcess, task_type: str) -> None:
    async with (
        open_fake_runner(broker.port, task_type) as runner,
        open_fake_requester(broker.port) as requester,
    ):
        task_id = await begin(requester, runner, task_type)
        runner.done(task_id, "first")
        runner.done(task_id, "second")
        runner.answer("taskerror", task_id, error={"message": "third"})
        runner.answer("rpc", task_id, callId="c", name="logNodeOutput", params=[])
        assert (await requester.end(task_id))["data"] == {"result": "first"}
        await requester.peer.nothing(within=0.3)


@pytest.mark.row("2", "a runner speaks for its own tasks only")
async def test_another_runner_cannot_speak_for_a_task(broker: BrokerProcess, task_type: str) -> None:
    async with (
        open_fake_runner(broker.port, task_type) as owner,
        open_fake_runner(broker.port, fresh_id("type")) as thief,
        open_fake_requester(broker.port) as requester,
    ):
        task_id = await begin(requester, owner, task_type)
        thief.done(task_id, "stolen")
        thief.answer("taskerror", task_id, error={"message": "stolen"})
        thief.answer("taskrejected", task_id, reason="stolen")
        thief.answer("rpc", task_id, callId="c", name="logNodeOutput", params=["stolen"])
        await requester.peer.nothing(within=0.3)
        owner.done(task_id, "own")
        assert (await requester.end(task_id))["data"] == {"result": "own"}


@pytest.mark.row("2", "a requester speaks for its own tasks only")
async def test_another_requester_cannot_speak_for_a_task(broker: BrokerProcess, task_type: str) -> None:
    async with (
        open_fake_runner(broker.port, task_type) as runner,
        open_fake_requester(broker.port) as owner,
        open_fake_requester(broker.port) as thief,
    ):
        request_id = owner.request(task_type)
        task_id = await runner.take(task_type)
        await owner.ready(request_id)
        thief.send("tasksettings", task_id, settings={"stolen": True})
        thief.send("taskcancel", task_id, reason="stolen")
        thief.send("rpcresponse", task_id, callId="c", status="success", data=None)
        await runner.peer.nothing(within=0.3)
        owner.send("tasksettings", task_id, settings={"own": True})
        assert await runner.settings(task_id) == {"own": True}
        runner.done(task_id)
        assert (await owner.end(task_id))["type"] == "broker:taskdone"


@pytest.mark.row("2", "settings twice: the runner gets them once")
async def test_settings_twice(broker: BrokerProcess, task_type: str) -> None:
    async with (
        open_fake_runner(broker.port, task_type) as runner,
        open_fake_requester(broker.port) as requester,
    ):
        task_id = await begin(requester, runner, task_type)
        requester.send("tasksettings", task_id, settings={"again": 1})
        await runner.peer.nothing("broker:tasksettings", within=0.2)
        runner.done(task_id)
        assert (await requester.end(task_id))["type"] == "broker:taskdone"


@pytest.mark.row("1", "from a requester: unknown types and fields, truncated JSON, wrong types are tolerated")
@pytest.mark.parametrize("name", ODD_REQUESTER_TEXTS)
async def test_an_odd_text_of_a_requester_does_no_harm(
    broker: BrokerProcess, task_type: str, name: str
) -> None:
    async with (
        open_fake_runner(broker.port, task_type) as runner,
        open_fake_requester(broker.port) as requester,
    ):
        requester.peer.send_text(ODD_REQUESTER_TEXTS[name])
        task_id = await begin(requester, runner, task_type)
        requester.peer.send_text(ODD_REQUESTER_TEXTS[name])
        runner.done(task_id)
        assert (await requester.end(task_id))["type"] == "broker:taskdone"
    assert broker.daemon.code is None
    assert "Traceback" not in broker.daemon.output


@pytest.mark.row("1", "unknown fields of known messages are tolerated on both sides of the broker")
async def test_unknown_fields_on_both_sides(broker: BrokerProcess, task_type: str) -> None:
    extra = {"someday": [1], "version": 2}
    async with (
        open_fake_runner(broker.port, task_type) as runner,
        open_fake_requester(broker.port) as requester,
    ):
        requester.peer.send(
            {"type": "requester:taskrequest", "requestId": "r", "taskType": task_type, **extra}
        )
        offer = {"offerId": fresh_id("offer"), "taskType": task_type, "validFor": 5000}
        runner.peer.send({"type": "runner:taskoffer", **offer, **extra})
        task_id = await runner.asked()
        runner.answer("taskaccepted", task_id, **extra)
        await requester.ready("r")
        requester.send("tasksettings", task_id, settings={"a": 1}, **extra)
        assert await runner.settings(task_id) == {"a": 1}
        runner.answer("taskdone", task_id, data={"result": 1}, **extra)
        assert (await requester.end(task_id))["data"] == {"result": 1}
