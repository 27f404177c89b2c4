"""Cancellation at each place where a caller of a requester can wait."""

from __future__ import annotations

import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from trio_runner.protocol import messages as m
from trio_runner.requester.running import Phase

from .fake_broker import beside, fake_broker, nothing_more


async def test_cancelled_before_a_runner_took_it() -> None:
    async with fake_broker() as (requester, broker), trio.open_nursery() as nursery:
        beside(nursery, requester.run, "return 1")
        request = await broker.expect(m.TaskRequest)
        nursery.cancel_scope.cancel()
        with trio.CancelScope(shield=True):
            assert (await broker.expect(m.RequesterTaskCancel)).task_id == request.request_id
            await nothing_more(broker)
            assert requester.statistics().abandoned == 1
            assert requester.statistics().waiting == 0


async def test_cancelled_before_a_request_that_expires_leaves_nothing() -> None:
    async with fake_broker() as (requester, broker), trio.open_nursery() as nursery:
        beside(nursery, requester.run, "return 1")
        request = await broker.expect(m.TaskRequest)
        nursery.cancel_scope.cancel()
        with trio.CancelScope(shield=True):
            await broker.expect(m.RequesterTaskCancel)
            broker.link.send(m.RequestExpiry(request.request_id, "timeout"))
            await nothing_more(broker)


async def test_cancelled_in_the_moment_of_ready_is_not_lost() -> None:
    """Ready is on its way when the caller gives up: the settings never go out, the cancellation does."""
    async with fake_broker() as (requester, broker), trio.open_nursery() as nursery:
        beside(nursery, requester.run, "return 1")
        request = await broker.expect(m.TaskRequest)
        task_id = broker.ready(request)
        nursery.cancel_scope.cancel()
        with trio.CancelScope(shield=True):
            seen: list[object] = []
            stop = m.RequesterTaskCancel(task_id, "The requester no longer waits for this task")
            while stop not in seen:
                seen.append(await broker.link.receive())
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
    autojump_clock: MockClock,
) -> None:
    async with fake_broker() as (requester, broker), requester.start("return 1") as running:
        task = await broker.start()
        with trio.move_on_after(1) as scope:
            await running.result()
        assert scope.cancelled_caught
        broker.done(task.task_id, "still there")
        assert await running.result() == "still there"
