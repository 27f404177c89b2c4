"""Workers that have done their task, in virtual time, without processes."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
import trio
import trio.testing

from trio_runner.executor.retirement import Retirement
from trio_runner.executor.worker import Worker

from .tasks import Keeper


class Worked:
    """A worker that has done its task, and its process's end of the socket."""

    def __init__(self, number: int) -> None:
        self.worker = Worker(number, Keeper())
        self.channel, self._stderr = self.worker.hand_over()
        os.set_blocking(self.channel, False)

    @property
    def hung_up_on(self) -> bool:
        """Whether the process sees the end of the stream."""
        try:
            return os.read(self.channel, 1) == b""
        except BlockingIOError:
            return False

    def close(self) -> None:
        """Close all descriptors."""
        os.close(self.channel)
        os.close(self._stderr)
        self.worker.end(0)
        self.worker.release()


@pytest.fixture
def two() -> Iterator[tuple[Worked, Worked]]:
    """Two workers."""
    workers = Worked(1), Worked(2)
    yield workers
    for worked in workers:
        worked.close()


async def test_a_worker_is_hung_up_on_a_moment_later_and_ended_if_it_stays(
    two: tuple[Worked, Worked], nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    ended: list[Worker] = []

    def end(worker: Worker) -> None:
        ended.append(worker)
        retirement.remove(worker)

    retirement = Retirement(end)
    nursery.start_soon(retirement.hang_up)
    nursery.start_soon(retirement.end_who_stays)
    first, second = two
    retirement.add(first.worker)
    await trio.sleep(0.001)
    retirement.add(second.worker)
    assert not first.hung_up_on
    await trio.sleep(0.0025)
    assert (first.hung_up_on, second.hung_up_on) == (True, False)
    retirement.add(first.worker)  # which changes nothing
    await trio.sleep(0.1)
    assert second.hung_up_on
    retirement.remove(second.worker)
    assert ended == []
    await trio.sleep(10)
    assert ended == [first.worker]


async def test_a_worker_that_has_ended_is_left_alone(
    two: tuple[Worked, Worked], nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    ended: list[Worker] = []
    retirement = Retirement(ended.append)
    nursery.start_soon(retirement.hang_up)
    nursery.start_soon(retirement.end_who_stays)
    first, second = two
    for worked in two:
        retirement.add(worked.worker)
    retirement.remove(first.worker)
    await trio.sleep(0.1)
    retirement.remove(second.worker)
    await trio.sleep(10)
    assert not first.hung_up_on
    assert ended == []
