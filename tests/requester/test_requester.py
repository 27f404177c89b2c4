"""A requester against a scripted broker: every way in which a task can go and end."""

from __future__ import annotations

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from trio_runner.errors import (
    LinkLost,
    LocalProtocolError,
    RequestExpired,
    TaskError,
    UserCodeError,
)
from trio_runner.protocol import messages as m
from trio_runner.protocol.raw_json import RawJson
from trio_runner.transport.link import LinkSettings

from .fake_broker import FakeBroker, beside, fake_broker, nothing_more

# --- the path of a task -----------------------------------------------------------------------------


async def test_a_task_from_request_to_result() -> None:
    async with fake_broker() as (requester, broker), trio.open_nursery() as nursery:
        outcome = beside(nursery, requester.run, "return 1", [{"a": 1}], workflow_name="sums")
        task = await broker.start()
        assert task.settings.decode() == {
            "code": "return 1",
            "nodeMode": "runOnceForAllItems",
            "items": [{"json": {"a": 1}}],
            "continueOnFail": False,
            "workflowName": "sums",
        }
        broker.done(task.task_id, [{"json": {"b": 2}}])
        await wait_all_tasks_blocked()
        assert outcome.value == [{"json": {"b": 2}}]


async def test_the_request_names_the_task_type_and_settings_pass_untouched() -> None:
    settings = RawJson(b'{"article" : "bolt"}')
    async with fake_broker() as (requester, broker), trio.open_nursery() as nursery:
        outcome = beside(nursery, requester.run_task, "price", settings)
        request = await broker.expect(m.TaskRequest)
        assert request.task_type == "price"
        task_id = broker.ready(request)
        assert (await broker.expect(m.RequesterTaskSettings)).settings == settings
        broker.done(task_id, None)
        await wait_all_tasks_blocked()
        assert outcome.over
        assert outcome.value is None


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b'{"result": [1, 2.50]}', b"[1, 2.50]"),
        (b'{"customData": {}, "result" : {"x":null}}', b'{"x":null}'),
        (b"{}", b"null"),  # what JavaScript makes of undefined
        (b'{"result":"\\ud83d"}', b'"\\ud83d"'),  # half an emoji
    ],
)
async def test_a_raw_result_is_not_decoded(data: bytes, expected: bytes) -> None:
    async with fake_broker() as (requester, broker), trio.open_nursery() as nursery:
        outcome = beside(nursery, requester.run_task, "price", {}, raw=True)
        task = await broker.start()
        broker.link.send(m.TaskResult(task.task_id, RawJson(data)))
        await wait_all_tasks_blocked()
        assert outcome.value == RawJson(expected)


async def test_interleaved_tasks_each_get_their_own() -> None:
    async with fake_broker() as (requester, broker), trio.open_nursery() as nursery:
        outcomes = [beside(nursery, requester.run_task, "n", number) for number in range(3)]
        requests = [await broker.expect(m.TaskRequest) for _ in outcomes]
        tasks = {}
        for request in reversed(requests):
            task_id = broker.ready(request)
            tasks[task_id] = (await broker.expect(m.RequesterTaskSettings)).settings.decode()
        assert (requester.statistics().waiting, requester.statistics().running) == (0, 3)
        for task_id, number in tasks.items():
            broker.done(task_id, number * 10)
        await wait_all_tasks_blocked()
        assert [outcome.value for outcome in outcomes] == [0, 10, 20]
        statistics = requester.statistics()
        assert (statistics.waiting, statistics.running, statistics.submitted) == (0, 0, 3)


# --- how tasks end otherwise ------------------------------------------------------------------------


async def test_an_error_is_raised_as_it_was_reported() -> None:
    async with fake_broker() as (requester, broker), trio.open_nursery() as nursery:
        outcome = beside(nursery, requester.run, "1/0")
        task = await broker.start()
        broker.failed(task.task_id, "division by zero", kind="user-code", lineNumber=1, stack="Traceback …")
        await wait_all_tasks_blocked()
        error = outcome.error
        assert isinstance(error, UserCodeError)
        assert (str(error), error.line_number, error.stack) == ("division by zero", 1, "Traceback …")


async def test_an_expired_request_says_why() -> None:
    async with fake_broker() as (requester, broker), trio.open_nursery() as nursery:
        outcome = beside(nursery, requester.run, "return 1")
        request = await broker.expect(m.TaskRequest)
        broker.link.send(m.RequestExpiry(request.request_id, "timeout"))
        await wait_all_tasks_blocked()
        assert isinstance(outcome.error, RequestExpired)
        assert outcome.error.reason == "timeout"
        assert requester.statistics().waiting == 0


async def test_what_leaves_the_block_is_what_was_raised_in_it() -> None:
    async def fail_the_next_task(broker: FakeBroker) -> None:
        task = await broker.start()
        broker.failed(task.task_id, "it is broken")

    async with trio.open_nursery() as nursery:
        with pytest.raises(UserCodeError, match="it is broken"):
            async with fake_broker() as (requester, broker):
                nursery.start_soon(fail_the_next_task, broker)
                await requester.run("boom")


async def test_settings_too_large_to_send_end_that_task_only() -> None:
    async with (
        fake_broker(settings=LinkSettings(max_message=400)) as (requester, broker),
        trio.open_nursery() as nursery,
    ):
        large = beside(nursery, requester.run, "return 1", ["x" * 500])
        task_id = broker.ready(await broker.expect(m.TaskRequest))
        assert (await broker.expect(m.RequesterTaskCancel)).task_id == task_id
        await wait_all_tasks_blocked()
        assert isinstance(large.error, LocalProtocolError)
        small = beside(nursery, requester.run, "return 1")
        task = await broker.start()
        broker.done(task.task_id, 1)
        await wait_all_tasks_blocked()
        assert small.value == 1


@pytest.mark.parametrize("query", [m.TaskDataQuery, m.NodeTypesQuery])
async def test_a_runner_that_asks_for_workflow_data_does_not_hang(query: type[m.TaskDataQuery]) -> None:
    async with fake_broker() as (requester, broker), trio.open_nursery() as nursery:
        outcome = beside(nursery, requester.run_task, "javascript", {})
        task = await broker.start()
        broker.link.send(query(task.task_id, "request"))
        assert (await broker.expect(m.RequesterTaskCancel)).task_id == task.task_id
        await wait_all_tasks_blocked()
        assert isinstance(outcome.error, TaskError)
        assert "workflow data" in str(outcome.error)
        broker.link.send(query(task.task_id, "another"))
        await nothing_more(broker)


# --- the end of the connection ----------------------------------------------------------------------


async def test_a_lost_link_ends_every_task_and_every_later_one() -> None:
    async with fake_broker(max_in_flight=2) as (requester, broker), trio.open_nursery() as nursery:
        running = beside(nursery, requester.run, "running")
        await broker.start()
        requested = beside(nursery, requester.run, "requested")
        await broker.expect(m.TaskRequest)
        waiting = beside(nursery, requester.run, "waiting for its turn")
        await wait_all_tasks_blocked()
        broker.link.drop("the cable was cut")
        await wait_all_tasks_blocked()
        later = beside(nursery, requester.run, "later")
        await wait_all_tasks_blocked()
        errors = [outcome.error for outcome in (running, requested, waiting, later)]
        assert [(type(error), str(error)) for error in errors] == [(LinkLost, "the cable was cut")] * 4
        assert len({id(error) for error in errors}) == 4
        assert requester.statistics().waiting == requester.statistics().running == 0


async def test_what_arrived_before_the_loss_still_counts() -> None:
    async with fake_broker() as (requester, broker), trio.open_nursery() as nursery:
        outcome = beside(nursery, requester.run, "return 1")
        task = await broker.start()
        broker.done(task.task_id, 1)
        await broker.link.flush()
        broker.link.drop()
        await wait_all_tasks_blocked()
        assert outcome.value == 1


async def test_a_closed_requester_runs_nothing() -> None:
    async with fake_broker() as (requester, _):
        pass
    with pytest.raises(LinkLost, match="closed"):
        await requester.run("return 1")


async def test_closing_ends_tasks_of_other_nurseries() -> None:
    async with trio.open_nursery() as nursery, fake_broker() as (requester, broker):
        outcome = beside(nursery, requester.run, "while True: pass")
        await broker.start()
    assert isinstance(outcome.error, LinkLost)


async def test_max_in_flight_bounds_what_the_broker_hears_of() -> None:
    async with fake_broker(max_in_flight=2) as (requester, broker), trio.open_nursery() as nursery:
        outcomes = [beside(nursery, requester.run, f"return {number}") for number in range(3)]
        for _ in range(2):
            broker.ready(await broker.expect(m.TaskRequest))
        for _ in range(2):
            await broker.expect(m.RequesterTaskSettings)
        await nothing_more(broker)
        broker.done("task-1", "first")
        third = await broker.start()
        broker.done("task-2", "second")
        broker.done(third.task_id, "third")
        await wait_all_tasks_blocked()
        assert sorted(outcome.value for outcome in outcomes) == ["first", "second", "third"]
