"""Workers that wait for a task, forked ahead of need: as many as there are slots, few when nothing comes.

Theory of operation. What is taken is forked anew a moment later and several at a time, because each fork
makes the zygote copy what it then writes to, and because the task that took the worker wants the processor
first. If half of them are gone there is no such moment. In a calm moment, or if only one task came in that
moment and is over, the next two are told to rehearse, which makes their tasks faster by half a millisecond;
all of them would take memory, and under load it would take time that the tasks need. After a minute without a
task all but a few end; the next task brings them back.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Awaitable, Callable
from itertools import islice

import trio

from .worker import Worker

__all__ = ["WarmWorkers"]

# Seconds to wait for more to be taken, so that what is missing is forked together.
_GATHER = 0.01
# Seconds without a task after the last fork in which there is time to rehearse.
_CALM = 0.02
# Seconds without a task after which most of the workers end, and how many stay.
_QUIET = 60.0
_RESTING = 1
# Workers that rehearse: the next one, and the one after it while that is being replaced.
_PREPARED = 2


class WarmWorkers:
    """The idle workers of a pool.

    Args:
        target: how many to keep while tasks come.
        fork: asks for so many workers; returns those that were asked for, none if that is impossible now.
        wait_until_forking: waits until it may be possible.
        nothing_runs: tells whether no task is running.
    """

    def __init__(
        self,
        target: int,
        fork: Callable[[int], list[Worker]],
        wait_until_forking: Callable[[], Awaitable[None]],
        nothing_runs: Callable[[], bool],
    ) -> None:
        self._most = target
        self._target = target
        self._fork = fork
        self._wait_until_forking = wait_until_forking
        self._nothing_runs = nothing_runs
        self._idle: deque[Worker] = deque()
        self._below_target = trio.Event()
        self._scarce = trio.Event()
        self._rest_at = math.inf
        self._calm_at = math.inf

    def __len__(self) -> int:
        """Return how many workers are ready: those that have not been forked yet do not count."""
        return sum(1 for worker in self._idle if worker.pid is not None)

    @property
    def any(self) -> bool:
        """Whether there are some, ready or being forked."""
        return bool(self._idle)

    def __contains__(self, worker: Worker) -> bool:
        """Whether a worker is one of these."""
        return worker in self._idle

    def take(self) -> Worker | None:
        """Return a worker for a task, a new one if none is idle; None if there is none to be had now."""
        self._target = self._most
        self._rest_at = trio.current_time() + _QUIET
        if not self._idle:
            self._idle += self._fork(1)
        worker = self._idle.popleft() if self._idle else None
        self.refill()
        return worker

    def remove(self, worker: Worker) -> bool:
        """Forget a worker that has ended, and tell whether it was one of these."""
        if worker not in self._idle:
            return False
        self._idle.remove(worker)
        return True

    def replace_all(self) -> None:
        """End the workers there are: better ones can be had."""
        while self._idle:
            _end(self._idle.popleft())
        self.refill()

    def resize(self, target: int) -> None:
        """Keep another number of workers while tasks come; those that are too many end."""
        resting = self._target < self._most
        self._most = target
        self._target = min(self._target, target) if resting else target
        while len(self._idle) > self._target:
            _end(self._idle.pop())
        self.refill()

    def refill(self) -> None:
        """Look again whether there are enough."""
        if len(self._idle) < self._target:
            self._below_target.set()
        if 2 * len(self._idle) < self._target:
            self._scarce.set()

    async def keep(self) -> None:
        """Keep as many as should be. Ends by cancellation."""
        while True:
            with trio.move_on_at(min(self._rest_at, self._calm_at)) as quiet:
                await self._below_target.wait()
            if quiet.cancelled_caught:
                self._use_the_calm()
                continue
            with trio.move_on_after(_GATHER):
                await self._scarce.wait()
            if self._target - len(self._idle) > 1:  # they come fast: the more are forked together, the better
                with trio.move_on_after(_GATHER):
                    await self._scarce.wait()
            self._below_target, self._scarce = trio.Event(), trio.Event()
            await self._wait_until_forking()
            if self._target - len(self._idle) == 1 and self._nothing_runs():
                self._prepare()
            while (missing := self._target - len(self._idle)) > 0 and (workers := self._fork(missing)):
                self._idle += workers
            self._calm_at = trio.current_time() + _CALM

    def _use_the_calm(self) -> None:
        if trio.current_time() >= self._calm_at:
            self._calm_at = math.inf
            self._prepare()
        self._rest()

    def _prepare(self) -> None:
        """Have the next workers rehearse."""
        for worker in islice(self._idle, _PREPARED):
            worker.prepare()

    def _rest(self) -> None:
        """End most of the workers, unless a task has come meanwhile."""
        if trio.current_time() < self._rest_at:
            return
        self._rest_at = math.inf
        self._target = min(_RESTING, self._most)
        while len(self._idle) > self._target:
            _end(self._idle.pop())


def _end(worker: Worker) -> None:
    worker.kill()
    worker.release()
