"""One task, every way it can end, and every crossing of two ends."""

from __future__ import annotations

import pytest
import trio
import trio.testing

from trio_runner.executor.contract import Executor, ExecutorEvent
from trio_runner.executor.handlers import HandlerExecutor, HandlerTask
from trio_runner.protocol.raw_json import RawJson
from trio_runner.runner.task_scope import NO_SETTINGS, TaskScope
from trio_runner.scheduling.outcome import Cancelled, Completed, Outcome, TimedOut
from trio_runner.testing import ScriptedExecutor

SETTINGS = RawJson(b'{"code": "return 1"}')


def ignore(event: ExecutorEvent) -> None:
    """Events are not the subject here."""


class Bench:
    """A task scope that runs in a nursery, and its outcome."""

    def __init__(
        self, nursery: trio.Nursery, *, settings_deadline: float = 5.0, instead: Executor | None = None
    ) -> None:
        self.executor = ScriptedExecutor()
        self._used = instead or self.executor
        self.began = trio.current_time()
        self.scope = TaskScope("t", "python", self.began, self.began + settings_deadline)
        self.outcome: Outcome | None = None
        self.ended_at = 0.0
        nursery.start_soon(self._run)

    async def _run(self) -> None:
        self.outcome = await self.scope.run(self._used, ignore)
        self.ended_at = trio.current_time() - self.began

    def begin(self, timeout: float = 60.0) -> None:
        self.scope.begin(SETTINGS, now=trio.current_time(), timeout=timeout)


async def test_a_task_that_returns_is_completed(autojump_clock: trio.testing.MockClock) -> None:
    async with trio.open_nursery() as nursery:
        bench = Bench(nursery)
        bench.begin()
        run = await bench.executor.next_run()
        assert run.job.settings == SETTINGS
        run.complete([1])
    assert bench.outcome == Completed(RawJson(b"[1]"))


async def test_settings_may_come_before_the_task_is_scheduled(autojump_clock: trio.testing.MockClock) -> None:
    async with trio.open_nursery() as nursery:
        bench = Bench(nursery)
        bench.begin()  # without a checkpoint in between
        bench.scope.cancel()
    assert bench.outcome == Cancelled()
    assert bench.executor.runs == [] or bench.executor.runs[0].cancelled


async def test_without_settings_it_ends_at_the_settings_deadline(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with trio.open_nursery() as nursery:
        bench = Bench(nursery, settings_deadline=5)
    assert bench.outcome is NO_SETTINGS
    assert bench.ended_at == 5
    assert bench.executor.runs == []


async def test_overdue_settings_are_waited_for_while_something_large_is_arriving(
    autojump_clock: trio.testing.MockClock,
) -> None:
    scope = TaskScope("t", "python", 0, trio.current_time() + 5)
    executor = ScriptedExecutor()
    began = trio.current_time()
    asked: list[float] = []

    def receiving() -> bool:
        asked.append(trio.current_time() - began)
        return len(asked) <= 3

    assert await scope.run(executor, ignore, receiving=receiving) is NO_SETTINGS
    assert asked == [5, 6, 7, 8]
    assert executor.runs == []


async def test_settings_that_were_on_their_way_start_the_task(autojump_clock: trio.testing.MockClock) -> None:
    scope = TaskScope("t", "python", 0, trio.current_time() + 5)
    executor = ScriptedExecutor(answer=lambda job: Completed(RawJson(b"1")))
    outcomes: list[Outcome] = []

    async def run() -> None:
        outcomes.append(await scope.run(executor, ignore, receiving=lambda: True))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(run)
        await trio.sleep(20)
        scope.begin(SETTINGS, now=trio.current_time(), timeout=60)
    assert outcomes == [Completed(RawJson(b"1"))]


async def test_settings_move_the_deadline_to_that_of_the_run(autojump_clock: trio.testing.MockClock) -> None:
    async with trio.open_nursery() as nursery:
        bench = Bench(nursery, settings_deadline=5)
        await trio.sleep(4)
        bench.begin(timeout=60)
    assert bench.outcome == TimedOut(60)
    assert bench.ended_at == 64


async def test_settings_that_cross_the_settings_deadline_come_too_late(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with trio.open_nursery() as nursery:
        bench = Bench(nursery, settings_deadline=5)
        await trio.testing.wait_all_tasks_blocked()
        bench.scope._scope.cancel()  # what trio does at the deadline, before anybody has noticed
        bench.begin(timeout=60)
    assert bench.outcome is NO_SETTINGS


@pytest.mark.parametrize("with_settings", [False, True])
async def test_a_cancel_ends_it_in_either_phase(
    with_settings: bool, autojump_clock: trio.testing.MockClock
) -> None:
    async with trio.open_nursery() as nursery:
        bench = Bench(nursery)
        if with_settings:
            bench.begin()
            await bench.executor.next_run()
        await trio.testing.wait_all_tasks_blocked()
        bench.scope.cancel()
    assert bench.outcome == Cancelled()
    assert bench.ended_at == 0


async def test_a_cancel_that_crosses_the_result_wins(autojump_clock: trio.testing.MockClock) -> None:
    async with trio.open_nursery() as nursery:
        bench = Bench(nursery)
        bench.begin()
        run = await bench.executor.next_run()
        await trio.testing.wait_all_tasks_blocked()
        run.complete("done")
        bench.scope.cancel()
    assert bench.outcome == Cancelled()


async def test_the_outcome_waits_until_nothing_of_the_task_is_left(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with trio.open_nursery() as nursery:
        bench = Bench(nursery)
        bench.begin()
        run = await bench.executor.next_run()
        release = run.hold_cleanup()
        bench.scope.cancel()
        await run.wait_cancelled()
        await trio.testing.wait_all_tasks_blocked()
        assert bench.outcome is None
        release()
    assert bench.outcome is not None


async def test_the_grace_of_a_shutdown_ends_it_as_cancelled(autojump_clock: trio.testing.MockClock) -> None:
    async with trio.open_nursery() as nursery:
        bench = Bench(nursery)
        bench.begin(timeout=60)
        await bench.executor.next_run()
        bench.scope.end_by(bench.began + 10)
    assert bench.outcome == Cancelled(at_shutdown=True)
    assert bench.ended_at == 10


async def test_a_timeout_before_the_end_of_the_grace_is_a_timeout(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with trio.open_nursery() as nursery:
        bench = Bench(nursery)
        bench.scope.end_by(bench.began + 10)
        bench.begin(timeout=3)
    assert bench.outcome == TimedOut(3)
    assert bench.ended_at == 3


async def test_settings_during_the_grace_do_not_extend_it(autojump_clock: trio.testing.MockClock) -> None:
    async with trio.open_nursery() as nursery:
        bench = Bench(nursery)
        bench.scope.end_by(bench.began + 2)
        bench.begin(timeout=60)
    assert bench.outcome == Cancelled(at_shutdown=True)
    assert bench.ended_at == 2


async def test_a_cancellation_from_outside_passes_through(autojump_clock: trio.testing.MockClock) -> None:
    async with trio.open_nursery() as nursery:
        bench = Bench(nursery)
        bench.begin()
        run = await bench.executor.next_run()
        nursery.cancel_scope.cancel()
    assert bench.outcome is None
    assert run.cancelled


@pytest.mark.parametrize("told_to_cancel", [False, True])
async def test_trouble_while_it_is_stopped_does_not_change_how_it_ended(
    told_to_cancel: bool, autojump_clock: trio.testing.MockClock
) -> None:
    async def clumsy(task: HandlerTask) -> object:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.sleep_forever)
            try:
                await trio.sleep_forever()
            finally:
                raise ValueError("cleaning up failed")

    async with trio.open_nursery() as nursery:
        bench = Bench(nursery, instead=HandlerExecutor({"python": clumsy}))
        bench.begin(timeout=3)
        if told_to_cancel:
            await trio.testing.wait_all_tasks_blocked()
            bench.scope.cancel()
    assert bench.outcome == (Cancelled() if told_to_cancel else TimedOut(3))
    assert bench.scope.trouble == "task t: ValueError('cleaning up failed')"
