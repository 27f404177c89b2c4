"""A requester against a scripted broker: every message, every end of a task, every place where it waits."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

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
from trio_runner.requester import PrintedOutput
from trio_runner.requester.running import Phase
from trio_runner.scheduling.observer import MessageIgnored
from trio_runner.testing import RecordingObserver
from trio_runner.transport.link import LinkSettings

from .fake_broker import FakeBroker, fake_broker


class Outcome:
    """What came of a call that ran beside the test."""

    def __init__(self) -> None:
        self.value: Any = None
        self.error: BaseException | None = None
        self.over = False


async def _note(outcome: Outcome, call: Callable[..., Any], *args: Any, **options: Any) -> None:
    try:
        outcome.value = await call(*args, **options)
    except (TaskError, LinkLost, LocalProtocolError, ValueError) as exc:
        outcome.error = exc
    finally:
        outcome.over = True


def beside(nursery: trio.Nursery, call: Callable[..., Any], *args: Any, **options: Any) -> Outcome:
    """Call beside the test and note what comes of it."""
    outcome = Outcome()

    async def run() -> None:
        await _note(outcome, call, *args, **options)

    nursery.start_soon(run)
    return outcome


async def nothing_more(broker: FakeBroker) -> None:
    """Check that the requester says nothing more."""
    await wait_all_tasks_blocked()
    with trio.move_on_after(0):
        raise AssertionError(f"unexpected {await broker.link.receive()!r}")


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


# --- prints -----------------------------------------------------------------------------------------


async def test_prints_reach_the_callback_in_order_before_the_result() -> None:
    lines: list[PrintedOutput] = []
    async with fake_broker() as (requester, broker), trio.open_nursery() as nursery:
        outcome = beside(nursery, requester.run, "print('rows', 3)", on_print=lines.append)
        task = await broker.start()
        broker.prints(task.task_id, "'rows'", "3", call_id="1")
        broker.prints(task.task_id, '{"a": 1}', call_id="2")
        broker.done(task.task_id, None)
        for call_id in ("1", "2"):
            answer = await broker.expect(m.RequesterRpcResponse)
            assert (answer.call_id, answer.task_id, answer.status) == (call_id, task.task_id, "success")
        await wait_all_tasks_blocked()
        assert outcome.over
        assert lines == [PrintedOutput(["'rows'", "3"], "rows 3"), PrintedOutput(['{"a": 1}'], '{"a": 1}')]


async def test_a_callback_that_raises_cancels_the_task_and_harms_nobody_else() -> None:
    def refuse(line: PrintedOutput) -> None:
        raise ValueError(line.text)

    async with fake_broker() as (requester, broker), trio.open_nursery() as nursery:
        outcome = beside(nursery, requester.run, "print('x')", on_print=refuse)
        task = await broker.start()
        broker.prints(task.task_id, "'x'")
        answers = [await broker.link.receive() for _ in range(2)]  # the cancellation may go ahead
        assert {type(answer) for answer in answers} == {m.RequesterRpcResponse, m.RequesterTaskCancel}
        assert isinstance(outcome.error, ValueError)
        other = beside(nursery, requester.run, "return 2")
        task = await broker.start()
        broker.done(task.task_id, 2)
        await wait_all_tasks_blocked()
        assert other.value == 2


async def test_prints_as_a_stream() -> None:
    async with fake_broker() as (requester, broker), requester.start("code", mode="all") as running:
        phases = [running.phase]
        task = await broker.start()
        phases.append(running.phase)
        assert running.task_id == task.task_id
        broker.prints(task.task_id, "'one'")
        broker.prints(task.task_id, "'two'")
        broker.done(task.task_id, "result")
        assert [line.text async for line in running.output] == ["one", "two"]
        assert await running.result() == "result"
        assert await running.result() == "result"
        assert [*phases, running.phase] == [Phase.REQUESTED, Phase.RUNNING, Phase.ENDED]


async def test_output_printed_before_a_failure_arrives() -> None:
    lines: list[str] = []
    async with fake_broker() as (requester, broker), trio.open_nursery() as nursery:
        outcome = beside(nursery, requester.run, "c", on_print=lambda line: lines.append(line.text))
        task = await broker.start()
        broker.prints(task.task_id, "'last words'")
        broker.failed(task.task_id, "died", kind="worker-died")
        await wait_all_tasks_blocked()
        assert outcome.over
        assert lines == ["last words"]


async def test_a_slow_reader_never_holds_up_the_connection() -> None:
    async with fake_broker() as (requester, broker), requester.start("chatty") as running:
        task = await broker.start()
        for number in range(1_500):
            broker.prints(task.task_id, str(number))
        for _ in range(1_500):
            await broker.expect(m.RequesterRpcResponse)
        assert await running.output.__anext__() == PrintedOutput(["0"], "0")
        broker.prints(task.task_id, "'late'")
        broker.done(task.task_id, "fine")
        assert await running.result() == "fine"
        lines = [line async for line in running.output]
        assert (len(lines), lines[-2].text) == (1_000, "999")
        assert lines[-1] == PrintedOutput(["'late'"], "late", missed=500)
        assert running.output.missed == 500


@pytest.mark.parametrize("name", ["helpers.httpRequest", "", "LogNodeOutput"])
async def test_unknown_calls_are_refused(name: str) -> None:
    async with fake_broker() as (requester, broker), requester.start("code"):
        task = await broker.start()
        broker.link.send(m.BrokerRpcRequest("7", task.task_id, name, RawJson.of([])))
        answer = await broker.expect(m.RequesterRpcResponse)
        assert (answer.call_id, answer.status) == ("7", "error")
        assert repr(name) in json.loads(answer.data.data)["message"]


async def test_calls_of_tasks_nobody_knows_are_answered_too() -> None:
    async with fake_broker() as (_, broker):
        broker.prints("task-of-yore", "'x'", call_id="9")
        answer = await broker.expect(m.RequesterRpcResponse)
        assert (answer.call_id, answer.task_id, answer.status) == ("9", "task-of-yore", "error")


# --- cancellation, at each place where a caller can wait --------------------------------------------


async def test_cancelled_before_a_runner_took_it() -> None:
    async with fake_broker() as (requester, broker), trio.open_nursery() as nursery:
        beside(nursery, requester.run, "return 1")
        request = await broker.expect(m.TaskRequest)
        nursery.cancel_scope.cancel()
        with trio.CancelScope(shield=True):
            await nothing_more(broker)
            assert requester.statistics().abandoned == 1
            task_id = broker.ready(request)
            assert (await broker.expect(m.RequesterTaskCancel)).task_id == task_id
            assert requester.statistics().abandoned == 0
            await nothing_more(broker)


async def test_cancelled_before_a_request_that_expires_leaves_nothing() -> None:
    async with fake_broker() as (requester, broker), trio.open_nursery() as nursery:
        beside(nursery, requester.run, "return 1")
        request = await broker.expect(m.TaskRequest)
        nursery.cancel_scope.cancel()
        with trio.CancelScope(shield=True):
            await wait_all_tasks_blocked()
            broker.link.send(m.RequestExpiry(request.request_id, "timeout"))
            await nothing_more(broker)
            assert requester.statistics().abandoned == 0


async def test_cancelled_in_the_moment_of_ready_is_not_lost() -> None:
    """Ready is on its way when the caller gives up: the settings never go out, the cancellation does."""
    async with fake_broker() as (requester, broker), trio.open_nursery() as nursery:
        beside(nursery, requester.run, "return 1")
        request = await broker.expect(m.TaskRequest)
        task_id = broker.ready(request)
        nursery.cancel_scope.cancel()
        with trio.CancelScope(shield=True):
            seen: list[object] = []
            while not isinstance(seen[-1] if seen else None, m.RequesterTaskCancel):
                seen.append(await broker.link.receive())
            assert seen[-1] == m.RequesterTaskCancel(task_id, "The requester no longer waits for this task")
            await nothing_more(broker)


async def test_cancelled_while_running() -> None:
    async with fake_broker() as (requester, broker), trio.open_nursery() as nursery:
        beside(nursery, requester.run, "while True: pass")
        task = await broker.start()
        nursery.cancel_scope.cancel()
        with trio.CancelScope(shield=True):
            assert (await broker.expect(m.RequesterTaskCancel)).task_id == task.task_id
            assert requester.statistics().running == 0


async def test_cancelled_while_waiting_for_prints() -> None:
    async with fake_broker() as (requester, broker), trio.open_nursery() as nursery:
        beside(nursery, requester.run, "while True: pass", on_print=lambda line: None)
        task = await broker.start()
        await wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
        with trio.CancelScope(shield=True):
            assert (await broker.expect(m.RequesterTaskCancel)).task_id == task.task_id


async def test_cancelled_in_the_moment_of_the_result_sends_no_cancellation() -> None:
    async with fake_broker() as (requester, broker):
        async with requester.start("return 1"):
            task = await broker.start()
            broker.done(task.task_id, 1)
            await wait_all_tasks_blocked()
        await nothing_more(broker)


async def test_cancelled_while_waiting_for_its_turn_sends_nothing() -> None:
    async with fake_broker(max_in_flight=1) as (requester, broker), requester.start("first"):
        await broker.start()
        with trio.CancelScope() as scope:
            async with trio.open_nursery() as nursery:
                beside(nursery, requester.run, "second")
                await wait_all_tasks_blocked()
                scope.cancel()
        await nothing_more(broker)
        assert requester.statistics().submitted == 1


async def test_cancelling_does_not_wait_for_a_broker_that_does_not_read() -> None:
    async with fake_broker() as (requester, broker):
        with trio.CancelScope() as scope:
            async with trio.open_nursery() as nursery:
                beside(nursery, requester.run, "return 1")
                await broker.start()
                requester._link.stall()  # type: ignore[attr-defined]
                scope.cancel()
        assert scope.cancelled_caught
        assert requester.statistics().running == 0


async def test_leaving_the_block_cancels_the_task() -> None:
    async with fake_broker() as (requester, broker):
        async with requester.start("while True: pass") as running:
            task = await broker.start()
        assert (await broker.expect(m.RequesterTaskCancel)).task_id == task.task_id
        assert running.phase is Phase.ABANDONED
        assert [line async for line in running.output] == []


async def test_cancelling_the_wait_for_a_result_leaves_the_task_alone(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with fake_broker() as (requester, broker), requester.start("return 1") as running:
        task = await broker.start()
        with trio.move_on_after(1) as scope:
            await running.result()
        assert scope.cancelled_caught
        broker.done(task.task_id, "still there")
        assert await running.result() == "still there"


# --- late and strange messages ----------------------------------------------------------------------


async def test_late_messages_for_finished_tasks_mean_nothing() -> None:
    async with fake_broker() as (requester, broker), trio.open_nursery() as nursery:
        outcome = beside(nursery, requester.run, "return 1")
        task = await broker.start()
        broker.done(task.task_id, 1)
        broker.done(task.task_id, 2)
        broker.failed(task.task_id, "too late")
        broker.link.send(m.RequestExpiry("never heard of", "timeout"))
        await nothing_more(broker)
        assert outcome.value == 1


async def test_a_task_nobody_asked_for_is_cancelled() -> None:
    async with fake_broker() as (_, broker):
        broker.link.send(m.TaskReady("never heard of", "stray"))
        assert (await broker.expect(m.RequesterTaskCancel)).task_id == "stray"


async def test_unknown_messages_are_told_once_and_ignored() -> None:
    observer = RecordingObserver()
    async with fake_broker(observer=observer) as (requester, broker), trio.open_nursery() as nursery:
        outcome = beside(nursery, requester.run, "return 1")
        task = await broker.start()
        for _ in range(2):
            requester._link.deliver('{"type": "broker:weather", "sky": "blue"}')  # type: ignore[attr-defined]
        broker.done(task.task_id, 1)
        await wait_all_tasks_blocked()
        assert outcome.value == 1
        assert [event.why for event in observer.of(MessageIgnored)] == [
            "unknown message type 'broker:weather'"
        ]


async def test_malformed_messages_end_the_connection_rather_than_leave_a_task_waiting() -> None:
    async with fake_broker() as (requester, broker), trio.open_nursery() as nursery:
        outcome = beside(nursery, requester.run, "return 1")
        task = await broker.start()
        requester._link.deliver(f'{{"type": "broker:taskdone", "taskId": "{task.task_id}"}}')  # type: ignore[attr-defined]
        await wait_all_tasks_blocked()
        assert isinstance(outcome.error, LinkLost)
        assert "broker:taskdone: field 'data' is missing" in str(outcome.error)


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
