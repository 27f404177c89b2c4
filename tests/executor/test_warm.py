"""How many workers wait for a task, in virtual time, without processes."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest
import trio
import trio.testing

from trio_runner.executor.warm import WarmWorkers
from trio_runner.executor.worker import Worker

from .tasks import Keeper


class Zygote(Keeper):
    """Forks on the spot, and remembers how many at a time."""

    def __init__(self) -> None:
        super().__init__()
        self.forked: list[int] = []
        self.workers: list[Worker] = []
        self.possible = True
        self.busy = False  # a task is running

    def fork(self, count: int) -> list[Worker]:
        """Fork, at most three at a time."""
        if not self.possible:
            return []
        made = [Worker(len(self.workers) + place, self) for place in range(min(count, 3))]
        for worker in made:
            worker.be_born(1, None)
        self.forked.append(len(made))
        self.workers += made
        return made

    async def wait(self) -> None:
        """Wait until forks are possible."""
        await trio.lowlevel.checkpoint()

    def close(self) -> None:
        """Close the descriptors of all workers."""
        for worker in self.workers:
            for descriptor in worker.hand_over():
                os.close(descriptor)
            if not worker.ended.is_set():
                worker.end(0)
            worker.release()


@pytest.fixture
def zygote() -> Iterator[Zygote]:
    """A zygote that is played."""
    playing = Zygote()
    yield playing
    playing.close()


@asynccontextmanager
async def kept(zygote: Zygote, target: int) -> AsyncIterator[WarmWorkers]:
    """Workers that are being kept, as many as there are to be."""
    warm = WarmWorkers(target, zygote.fork, zygote.wait, lambda: not zygote.busy)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(warm.keep)
        warm.refill()
        await trio.testing.wait_all_tasks_blocked()
        yield warm
        nursery.cancel_scope.cancel()


async def test_they_are_there_before_the_first_task(
    zygote: Zygote, autojump_clock: trio.testing.MockClock
) -> None:
    async with kept(zygote, 5) as warm:
        assert len(warm) == 5
        assert zygote.forked == [3, 2]


async def test_what_is_taken_comes_back_together_and_soon(
    zygote: Zygote, autojump_clock: trio.testing.MockClock
) -> None:
    async with kept(zygote, 5) as warm:
        taken = {warm.take(), warm.take()}
        await trio.testing.wait_all_tasks_blocked()
        assert (len(taken), len(warm)) == (2, 3)
        await trio.sleep(0.03)
        assert len(warm) == 5
        assert zygote.forked == [3, 2, 2]


async def test_a_burst_waits_for_no_moment_and_no_single_forks(
    zygote: Zygote, autojump_clock: trio.testing.MockClock
) -> None:
    async with kept(zygote, 5) as warm:
        begin = trio.current_time()
        assert None not in [warm.take() for _ in range(6)]  # one more than there are
        await trio.testing.wait_all_tasks_blocked()
        assert trio.current_time() == begin
        assert len(warm) == 5
        assert zygote.forked == [3, 2, 1, 3, 2]


async def test_none_where_forks_are_impossible(
    zygote: Zygote, autojump_clock: trio.testing.MockClock
) -> None:
    zygote.possible = False
    async with kept(zygote, 2) as warm:
        assert warm.take() is None
        zygote.possible = True
        warm.refill()
        await trio.sleep(0.03)
        assert len(warm) == 2


async def test_a_quiet_minute_ends_all_but_one_and_a_task_brings_them_back(
    zygote: Zygote, autojump_clock: trio.testing.MockClock
) -> None:
    async with kept(zygote, 5) as warm:
        assert warm.take() is not None
        await trio.sleep(40)
        assert warm.take() is not None
        await trio.sleep(59)
        assert len(warm) == 5
        await trio.sleep(2)
        assert len(warm) == 1
        assert [what for what, _ in zygote.asked] == ["end"] * 4
        await trio.sleep(1000)
        assert len(warm) == 1
        assert warm.take() is not None
        await trio.testing.wait_all_tasks_blocked()
        assert len(warm) == 5


async def test_they_are_replaced_by_better_ones(
    zygote: Zygote, autojump_clock: trio.testing.MockClock
) -> None:
    async with kept(zygote, 3) as warm:
        before = list(zygote.workers)
        warm.replace_all()
        assert [worker for _, worker in zygote.asked] == before
        await trio.testing.wait_all_tasks_blocked()
        assert len(warm) == 3
        assert not any(worker in warm for worker in before)


async def test_one_that_has_ended_is_forgotten(
    zygote: Zygote, autojump_clock: trio.testing.MockClock
) -> None:
    async with kept(zygote, 1) as warm:
        (worker,) = zygote.workers
        assert worker in warm
        assert warm.remove(worker)
        assert not warm.remove(worker)
        assert worker not in warm


@pytest.mark.parametrize(("target", "ended"), [(5, 0), (1, 2)])
async def test_another_number_of_them(
    target: int, ended: int, zygote: Zygote, autojump_clock: trio.testing.MockClock
) -> None:
    async with kept(zygote, 3) as warm:
        warm.resize(target)
        assert len(zygote.asked) == ended
        await trio.sleep(0.03)
        assert len(warm) == target


async def test_another_number_does_not_wake_those_that_rest(
    zygote: Zygote, autojump_clock: trio.testing.MockClock
) -> None:
    async with kept(zygote, 3) as warm:
        assert warm.take() is not None
        await trio.sleep(61)
        warm.resize(5)
        await trio.sleep(1)
        assert len(warm) == 1
        assert warm.take() is not None
        await trio.testing.wait_all_tasks_blocked()
        assert len(warm) == 5


async def test_in_a_calm_moment_the_next_two_are_told_to_rehearse_once(
    zygote: Zygote, autojump_clock: trio.testing.MockClock
) -> None:
    async with kept(zygote, 4) as warm:
        await trio.sleep(1)
        first, second, third, fourth = zygote.workers
        assert [worker.prepared for worker in zygote.workers] == [True, True, False, False]
        assert warm.take() is first
        await trio.sleep(1)
        assert [worker.prepared for worker in (second, third, fourth)] == [True, True, False]


async def test_under_load_nobody_rehearses(zygote: Zygote, autojump_clock: trio.testing.MockClock) -> None:
    async with kept(zygote, 4) as warm:
        await trio.sleep(1)
        for _ in range(3):
            warm.take()
        await trio.testing.wait_all_tasks_blocked()
        assert len(zygote.workers) > 4
        assert not any(worker.prepared for worker in zygote.workers[2:])


async def test_tasks_that_come_one_by_one_find_workers_that_have_rehearsed(
    zygote: Zygote, autojump_clock: trio.testing.MockClock
) -> None:
    async with kept(zygote, 4) as warm:
        await trio.sleep(1)
        for _ in range(6):
            worker = warm.take()
            assert worker is not None
            assert worker.prepared
            await trio.sleep(0.015)


async def test_nobody_rehearses_while_tasks_run_one_after_another(
    zygote: Zygote, autojump_clock: trio.testing.MockClock
) -> None:
    async with kept(zygote, 4) as warm:
        await trio.sleep(1)
        zygote.busy = True
        for _ in range(6):
            assert warm.take() is not None
            await trio.sleep(0.015)
        assert not any(worker.prepared for worker in zygote.workers[2:])
