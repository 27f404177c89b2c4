"""What tasks print, and messages that are late, unknown or malformed."""

from __future__ import annotations

import json

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from trio_runner.errors import (
    LinkLost,
)
from trio_runner.protocol import messages as m
from trio_runner.protocol.raw_json import RawJson
from trio_runner.requester import PrintedOutput
from trio_runner.requester.running import Phase
from trio_runner.scheduling.observer import MessageIgnored
from trio_runner.testing import RecordingObserver

from .fake_broker import beside, fake_broker, nothing_more

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


async def test_a_broker_full_of_unknown_messages_is_told_of_in_bounds() -> None:
    observer = RecordingObserver()
    async with fake_broker(observer=observer) as (requester, _):
        for number in range(1000):
            requester._link.deliver(f'{{"type": "{number}{"x" * 1000}"}}')  # type: ignore[attr-defined]
        await wait_all_tasks_blocked()
    whys = [event.why for event in observer.of(MessageIgnored)]
    assert len(whys) == 20
    assert max(map(len, whys)) < 200


async def test_malformed_messages_end_the_connection_rather_than_leave_a_task_waiting() -> None:
    async with fake_broker() as (requester, broker), trio.open_nursery() as nursery:
        outcome = beside(nursery, requester.run, "return 1")
        task = await broker.start()
        requester._link.deliver(f'{{"type": "broker:taskdone", "taskId": "{task.task_id}"}}')  # type: ignore[attr-defined]
        await wait_all_tasks_blocked()
        assert isinstance(outcome.error, LinkLost)
        assert "broker:taskdone: field 'data' is missing" in str(outcome.error)
