"""Waiting for a change or a deadline, without missing either."""

from __future__ import annotations

import math

import trio
import trio.testing

from trio_runner.runner.wakeup import Wakeup


async def test_a_ring_wakes_every_waiter_once(autojump_clock: trio.testing.MockClock) -> None:
    wakeup = Wakeup()
    woken: list[int] = []

    async def wait(number: int) -> None:
        await wakeup.wait_until(math.inf)
        woken.append(number)

    async with trio.open_nursery() as nursery:
        for number in range(3):
            nursery.start_soon(wait, number)
        await trio.testing.wait_all_tasks_blocked()
        assert woken == []
        wakeup.ring()
    assert sorted(woken) == [0, 1, 2]


async def test_a_deadline_ends_the_wait(autojump_clock: trio.testing.MockClock) -> None:
    began = trio.current_time()
    await Wakeup().wait_until(began + 7)
    assert trio.current_time() == began + 7


async def test_an_earlier_ring_does_not_count(autojump_clock: trio.testing.MockClock) -> None:
    wakeup = Wakeup()
    wakeup.ring()
    began = trio.current_time()
    await wakeup.wait_until(began + 1)
    assert trio.current_time() == began + 1


async def test_waiting_can_be_cancelled(autojump_clock: trio.testing.MockClock) -> None:
    with trio.move_on_after(1) as scope:
        await Wakeup().wait_until(math.inf)
    assert scope.cancelled_caught
