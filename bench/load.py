"""Load: tasks submitted one after another, so many at a time, or all at once."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable

import attrs
import trio

__all__ = ["Submit", "Sustained", "burst", "one_by_one", "sustained"]

Submit = Callable[[], Awaitable[object]]
"""Submits one task and waits for its result."""


async def one_by_one(submit: Submit, count: int, *, gap: float = 0.0) -> list[float]:
    """Submit tasks one after another; return the seconds each took from request to result.

    Args:
        submit: submits one.
        count: how many.
        gap: seconds of rest between two of them, for the runner to be idle again.
    """
    seconds = []
    for _ in range(count):
        begin = time.perf_counter()
        await submit()
        seconds.append(time.perf_counter() - begin)
        await trio.sleep(gap)
    return seconds


@attrs.frozen
class Sustained:
    """What a sustained load achieved.

    Attributes:
        tasks: that ended in time.
        seconds: the time.
        all_tasks: with those of the warm-up, and those that were under way when the time was over.
    """

    tasks: int
    seconds: float
    all_tasks: int

    @property
    def rate(self) -> float:
        """Tasks per second."""
        return self.tasks / self.seconds


async def sustained(submit: Submit, in_flight: int, seconds: float, *, warm_up: float = 0.0) -> Sustained:
    """Keep so many tasks in flight for so long.

    Args:
        submit: submits one.
        in_flight: more than there are slots, so that a slot that becomes free always finds one waiting.
        seconds: how long; tasks that end later are not counted.
        warm_up: seconds before that, in which tasks are not counted either.
    """
    begin = time.perf_counter() + warm_up
    end = begin + seconds
    count = others = 0

    async def keep_submitting() -> None:
        nonlocal count, others
        while time.perf_counter() < end:
            await submit()
            if begin <= time.perf_counter() < end:
                count += 1
            else:
                others += 1

    async with trio.open_nursery() as nursery:
        for _ in range(in_flight):
            nursery.start_soon(keep_submitting)
    return Sustained(count, seconds, count + others)


async def burst(submit: Submit, count: int) -> float:
    """Submit tasks all at once; return the seconds until the last has its result."""
    begin = time.perf_counter()
    async with trio.open_nursery() as nursery:
        for _ in range(count):
            nursery.start_soon(_discard, submit)
    return time.perf_counter() - begin


async def _discard(submit: Submit) -> None:
    await submit()
