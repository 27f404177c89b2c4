"""Workers that have done their task, on their way out.

Theory of operation. The end of a process takes the processor for a millisecond or more, in a piece, and the
kernel tends to wake whoever a worker has written to on the processor that the worker runs on. So a worker
that has sent its result waits for us to hang up. That happens when the result has had the time to reach
whoever asked for it, or at once if somebody wants the slot; under load it has happened before. One that stays
all the same is ended: its code sent the result by itself.
"""

from __future__ import annotations

from collections.abc import Callable

import trio

from .worker import Worker

__all__ = ["Retirement"]

# Seconds for a result to reach whoever asked for it, on the same machine, before its worker is hung up on.
_COURTESY = 0.003
# Seconds after that for a worker to end by itself, as it does but for foul play.
_PATIENCE = 0.25


class Retirement:
    """The workers of one zygote that have done their task and have not ended.

    Args:
        end: has a worker and all it left behind killed.
    """

    def __init__(self, end: Callable[[Worker], None]) -> None:
        self._end = end
        self._resting: dict[Worker, float] = {}  # when a worker is hung up on; oldest first
        self._leaving: dict[Worker, float] = {}  # when a worker is to be ended; oldest first
        self._rests = trio.Event()
        self._leaves = trio.Event()

    def add(self, worker: Worker) -> None:
        """Take note that a worker has done its task."""
        if worker not in self._leaving:
            self._resting.setdefault(worker, trio.current_time() + _COURTESY)
            self._rests.set()

    def remove(self, worker: Worker) -> None:
        """Take note that a worker has ended, or that its end is seen to otherwise."""
        self._resting.pop(worker, None)
        self._leaving.pop(worker, None)

    async def hang_up(self) -> None:
        """Hang up on workers when it is time. Ends by cancellation."""
        while True:
            while not self._resting:
                self._rests = trio.Event()
                await self._rests.wait()
            worker, due = next(iter(self._resting.items()))
            await trio.sleep_until(due)
            if self._resting.pop(worker, None) is not None:
                worker.hang_up()
                self._leaving[worker] = trio.current_time() + _PATIENCE
                self._leaves.set()

    async def end_who_stays(self) -> None:
        """Have those ended that stay although they were hung up on. Ends by cancellation."""
        while True:
            while not self._leaving:
                self._leaves = trio.Event()
                await self._leaves.wait()
            worker, due = next(iter(self._leaving.items()))
            await trio.sleep_until(due)
            if worker in self._leaving:
                self._end(worker)
