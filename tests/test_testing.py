"""The public test tools. What a memory link has in common with a real one is in the contract suite."""

from __future__ import annotations

from typing import Any

import pytest
import trio
import trio.testing
from trio.testing import MockClock

from trio_runner.errors import LinkLost
from trio_runner.executor.contract import ExecutorEvent, ExecutorStatistics, Job, Printed, Started
from trio_runner.protocol import messages as m
from trio_runner.protocol.codec import BROKER_TO_RUNNER, RUNNER_TO_BROKER
from trio_runner.protocol.raw_json import RawJson
from trio_runner.scheduling.observer import LinkUp, Registered
from trio_runner.scheduling.outcome import Completed, Failed, WorkerDied
from trio_runner.testing import (
    MemoryLink,
    RecordingObserver,
    ScriptedExecutor,
    ScriptedRun,
    memory_link_pair,
)
from trio_runner.transport.link import LinkSettings, Malformed

JOB = Job("t1", "python", RawJson(b"{}"))


def pair(**settings: Any) -> tuple[MemoryLink[Any], MemoryLink[Any]]:
    return memory_link_pair(BROKER_TO_RUNNER, RUNNER_TO_BROKER, settings=LinkSettings(**settings))


# --- links ------------------------------------------------------------------------------------------


async def test_each_end_decodes_its_own_direction() -> None:
    runner, broker = pair()
    broker.send(m.InfoRequest())
    runner.send(m.RunnerInfo("name", ("python",)))
    assert await runner.receive() == m.InfoRequest()
    assert await broker.receive() == m.RunnerInfo("name", ("python",))


async def test_nothing_takes_virtual_time(autojump_clock: MockClock) -> None:
    runner, broker = pair()
    for _ in range(100):
        broker.send(m.InfoRequest())
        await runner.receive()
        runner.send(m.TaskAccepted("t"))
        await broker.receive()
    assert trio.current_time() == 0


async def test_a_stalled_end_keeps_what_it_sends_until_it_resumes() -> None:
    runner, broker = pair()
    large = RawJson.of("x" * 5000)
    runner.stall()
    runner.send(m.TaskDone("t", large))
    runner.send(m.TaskAccepted("t"))
    await trio.testing.wait_all_tasks_blocked()
    assert runner.statistics().queued_messages == 2
    assert broker.statistics().messages_received == 0
    runner.resume()
    assert await broker.receive() == m.TaskAccepted("t")
    assert await broker.receive() == m.TaskDone("t", large)


async def test_a_stalled_end_closes_only_when_it_resumes() -> None:
    runner, broker = pair()
    runner.stall()
    runner.close(4000, "bye")
    await trio.testing.wait_all_tasks_blocked()
    assert runner.ended is None
    runner.resume()
    with pytest.raises(LinkLost, match=r"memory:a closed the connection: code 4000 \(bye\)"):
        await broker.receive()


async def test_a_dropped_connection_is_lost_for_both_with_what_was_on_its_way() -> None:
    runner, broker = pair()
    broker.send(m.InfoRequest())
    await trio.testing.wait_all_tasks_blocked()
    broker.send(m.Drain())
    runner.drop("the cable was cut")
    assert await runner.receive() == m.InfoRequest()
    for link in (runner, broker):
        with pytest.raises(LinkLost, match="the cable was cut"):
            await link.receive()


async def test_one_end_may_lose_the_connection_alone() -> None:
    runner, broker = pair()
    runner.lose()
    assert runner.ended == "connection to memory:b lost"
    assert broker.ended is None
    broker.send(m.InfoRequest())
    await broker.flush()
    with pytest.raises(LinkLost):
        await runner.receive()


async def test_raw_frames_can_be_delivered() -> None:
    runner, _ = pair()
    runner.deliver('{"type":"broker:drain"}')
    runner.deliver(b"\xff\xfe")
    runner.deliver('"\ud83d"')
    runner.deliver_binary()
    assert await runner.receive() == m.Drain()
    for _ in range(3):
        assert isinstance(await runner.receive(), Malformed)


async def test_a_waiting_receiver_is_woken_by_a_drop() -> None:
    runner, _ = pair()
    async with trio.open_nursery() as nursery:

        async def wait() -> None:
            with pytest.raises(LinkLost):
                await runner.receive()

        nursery.start_soon(wait)
        await trio.testing.wait_all_tasks_blocked()
        runner.drop()


# --- executor ---------------------------------------------------------------------------------------


async def begin(
    nursery: trio.Nursery, executor: ScriptedExecutor
) -> tuple[ScriptedRun, list[Any], list[Any]]:
    """Start a run; return it with what it reports and how it ends."""
    events: list[ExecutorEvent] = []
    ends: list[Any] = []

    async def run() -> None:
        ends.append(await executor.run(JOB, events.append))

    nursery.start_soon(run)
    return await executor.next_run(), events, ends


async def test_a_run_reports_and_ends_as_the_test_says() -> None:
    executor = ScriptedExecutor(("python", "other"))
    assert executor.task_types == ("python", "other")
    async with trio.open_nursery() as nursery:
        run, events, ends = await begin(nursery, executor)
        assert run.job is JOB
        run.start(continue_on_fail=True, node_name="Code")
        run.print("a", "b")
        assert executor.statistics() == ExecutorStatistics(running=1, started=1)
        run.complete({"x": 1})
    assert events == [
        Started(continue_on_fail=True, node_name="Code"),
        Printed(RawJson(b"[\"'a'\",\"'b'\"]"), "a b"),
    ]
    assert ends == [Completed(RawJson(b'{"x":1}'))]
    assert executor.statistics() == ExecutorStatistics(running=0, started=1)


async def test_a_run_may_fail_or_die() -> None:
    executor = ScriptedExecutor()
    async with trio.open_nursery() as nursery:
        first, _, ends = await begin(nursery, executor)
        first.fail("no", description="because", kind="policy")
        second, _, other_ends = await begin(nursery, executor)
        second.die(3, "why")
    assert ends == [Failed("no", "because", "policy")]
    assert other_ends == [WorkerDied(3, "why")]
    assert executor.statistics().worker_deaths == 1


async def test_an_executor_that_is_broken_raises() -> None:
    executor = ScriptedExecutor()
    async with trio.open_nursery() as nursery:

        async def run() -> None:
            with pytest.raises(OSError, match="no processes"):
                await executor.run(JOB, lambda _: None)

        nursery.start_soon(run)
        (await executor.next_run()).end(OSError("no processes"))
    assert executor.running == ()


async def test_a_run_ends_once() -> None:
    executor = ScriptedExecutor()
    async with trio.open_nursery() as nursery:
        run, _, _ = await begin(nursery, executor)
        run.complete()
        with pytest.raises(RuntimeError, match="run of t1 was already ended with Completed"):
            run.fail("too late")


async def test_an_answer_ends_runs_without_the_tests_help() -> None:
    executor = ScriptedExecutor(answer=lambda job: Completed(job.settings))
    events: list[ExecutorEvent] = []
    assert await executor.run(JOB, events.append) == Completed(JOB.settings)
    assert events == [Started()]


async def test_a_cancelled_run_says_so_and_may_linger() -> None:
    executor = ScriptedExecutor()
    async with trio.open_nursery() as nursery:
        scope = trio.CancelScope()

        async def run_until_cancelled() -> None:
            with scope:
                await executor.run(JOB, lambda _: None)

        nursery.start_soon(run_until_cancelled)
        run = await executor.next_run()
        release = run.hold_cleanup()
        scope.cancel()
        await run.wait_cancelled()
        assert run.cancelled
        await trio.testing.wait_all_tasks_blocked()
        assert not run.ended.is_set()
        assert executor.running == (run,)
        release()
    assert run.ended.is_set()


async def test_runs_are_handed_out_once_and_in_order() -> None:
    executor = ScriptedExecutor()
    async with trio.open_nursery() as nursery:
        for number in range(3):
            nursery.start_soon(executor.run, Job(str(number), "python", RawJson.NULL), lambda _: None)
            await trio.testing.wait_all_tasks_blocked()
        assert [(await executor.next_run()).job.task_id for _ in range(3)] == ["0", "1", "2"]
        with trio.move_on_after(0) as nothing_more:
            await executor.next_run()
        assert nothing_more.cancelled_caught
        nursery.cancel_scope.cancel()


# --- observer ---------------------------------------------------------------------------------------


async def test_an_observer_keeps_events_and_can_wait_for_one() -> None:
    observer = RecordingObserver()
    observer.observe(LinkUp("a"))
    assert await observer.wait_for(LinkUp) == LinkUp("a")
    async with trio.open_nursery() as nursery:
        found: list[object] = []

        async def wait() -> None:
            found.append(await observer.wait_for(Registered, count=2))
            found.append(await observer.wait_for(LinkUp, where=lambda event: event.broker == "b"))

        nursery.start_soon(wait)
        for event in (Registered("a"), LinkUp("c"), Registered("b")):
            await trio.testing.wait_all_tasks_blocked()
            assert found == []
            observer.observe(event)
        await trio.testing.wait_all_tasks_blocked()
        assert found == [Registered("b")]
        observer.observe(LinkUp("b"))
    assert found == [Registered("b"), LinkUp("b")]
    assert observer.of(LinkUp) == [LinkUp("a"), LinkUp("c"), LinkUp("b")]
    assert len(observer.events) == 5
