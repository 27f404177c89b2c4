"""Workers that have done a task and wait for another one of the same workflow.

Theory of operation. A task that may share its worker has a `Term`: whose it is, and a nonce. The worker
answers with the nonce before anything else, which nothing left over from the task before can do, and sends it
again when it has cleared up after the task. In between it counts as leaving, like a worker that is used once,
and for no longer: one that is not ready by then is killed. From then on it waits here. Whatever it sends
unasked, and its death, show on its socket, and end it without a word: there are others.

A worker that has run a task is in the hands of its workflow. So it is taken for tasks of that workflow only,
and its word counts for nothing beyond them: see `approvals`.
"""

from __future__ import annotations

import os
import socket
from collections import deque
from collections.abc import Callable

import attrs
import msgspec
import trio

from ..sandbox.framing import NONCE_SIZE, FrameKind, pack_header
from ..scheduling.outcome import Completed, Failed
from .config import ProcessExecutorConfig
from .contract import Job
from .worker import Worker

__all__ = ["KeptWorkers", "Term", "Workflow"]

Workflow = tuple[str, str]
"""Whose tasks may share a worker: their type, and the id of the workflow."""

# Seconds for a worker to clear up after a task: as long as one that is used once has for its end.
_CLEARING_UP = 0.25
# Seconds that a worker waits for the next task of its workflow: longer than one run of most workflows.
_IDLE_LIMIT = 30.0
# Bytes of settings beyond which a fork is not what a task's time goes into, and looking into them would cost.
_LOOK_LIMIT = 1024**2


class _Head(msgspec.Struct):
    """What the pool itself wants to know of a task's settings."""

    workflowId: str = ""  # noqa: N815 - its name on the wire


_decoder = msgspec.json.Decoder(_Head)


@attrs.frozen(eq=False)
class Term:
    """One task of a worker that may be given another one.

    Attributes:
        workflow: whose task it is.
        generation: changes when all workers are to be replaced.
        nonce: what the worker answers with.
    """

    workflow: Workflow
    generation: int
    nonce: bytes = attrs.field(factory=lambda: os.urandom(NONCE_SIZE), repr=False)

    @property
    def keep(self) -> bytes:
        """The frame that tells the worker to stay."""
        return pack_header(FrameKind.KEEP, NONCE_SIZE) + self.nonce

    @property
    def ready(self) -> bytes:
        """The frame by which the worker tells that it is ready for the next task."""
        return pack_header(FrameKind.READY, NONCE_SIZE) + self.nonce


@attrs.define(eq=False)
class _Idle:
    """A worker that waits, and the scope in which it is watched until it is taken."""

    worker: Worker
    workflow: Workflow
    watch: trio.CancelScope = attrs.field(factory=trio.CancelScope)
    taken: bool = False


class KeptWorkers:
    """The workers of a pool that have run tasks and wait for more.

    Args:
        config: how many tasks a worker may run, and how many workers there are to be at most.
        on_ready: called with each worker of which nothing of its last task is left.
    """

    def __init__(self, config: ProcessExecutorConfig, on_ready: Callable[[Worker], None]) -> None:
        self._most_idle, self._most_tasks = config.workers, config.tasks_per_worker
        self._on_ready = on_ready
        self._idle: deque[_Idle] = deque()  # oldest first
        self._generation = 0
        self._nursery: trio.Nursery | None = None

    def __len__(self) -> int:
        """Return how many workers wait."""
        return len(self._idle)

    def workflow(self, job: Job) -> Workflow | None:
        """Return whose a task is; None: its worker may be given no other task."""
        if self._most_tasks == 1 or len(job.settings.data) > _LOOK_LIMIT:
            return None
        try:
            workflow = _decoder.decode(job.settings.data).workflowId
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return None  # the worker tells what is wrong with them
        return (job.task_type, workflow) if workflow else None

    def term(self, workflow: Workflow | None) -> Term | None:
        """Return the term of a task, now that it has a worker; None: it may be given no other task."""
        return None if workflow is None else Term(workflow, self._generation)

    def take(self, workflow: Workflow) -> Worker | None:
        """Return the worker that has waited longest for a task of this workflow, if there is one."""
        for idle in [idle for idle in self._idle if idle.workflow == workflow]:
            self._idle.remove(idle)
            idle.taken = _is_silent(idle.worker.channel)
            idle.watch.cancel()  # who watches it lets go of it at once, and ends it unless it is taken
            if idle.taken:
                return idle.worker
        return None

    def may_stay(self, worker: Worker, term: Term, outcome: Completed | Failed) -> bool:
        """Whether a worker whose task has ended may be given another one, if it becomes ready."""
        return (
            self._nursery is not None
            and term.generation == self._generation
            and worker.served + 1 < self._most_tasks
            and (isinstance(outcome, Completed) or outcome.kind == "user-code")
        )

    def stay(self, worker: Worker, term: Term, received: bytes) -> None:
        """Let a worker clear up after its task and wait for the next one, or end.

        Args:
            worker: may stay; it is not the caller's any more.
            term: that of its task.
            received: what has come from it since the end of the task.
        """
        assert self._nursery is not None
        self._nursery.start_soon(self._hold, worker, term, received)

    def end_all(self, config: ProcessExecutorConfig | None = None) -> None:
        """End all workers, now or after their tasks: better ones can be had, perhaps of another kind."""
        if config is not None:
            self._most_idle, self._most_tasks = config.workers, config.tasks_per_worker
        self._generation += 1
        while self._idle:
            self._idle.popleft().watch.cancel()

    async def serve(self) -> None:
        """Watch the workers. Ends by cancellation; whoever ends the zygote ends those that are left."""
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            try:
                await trio.sleep_forever()
            finally:
                self._nursery = None

    async def _hold(self, worker: Worker, term: Term, received: bytes) -> None:
        idle = _Idle(worker, term.workflow)
        try:
            is_ready = False
            with trio.move_on_after(_CLEARING_UP):
                is_ready = await _is_ready(worker.channel, term.ready, received)
            if is_ready and term.generation == self._generation:
                worker.served += 1
                await self._wait_for_task(idle)
        finally:
            if not idle.taken:
                worker.kill()
                worker.release()

    async def _wait_for_task(self, idle: _Idle) -> None:
        """Wait until a worker is taken; no longer than it is quiet, and may be idle."""
        self._idle.append(idle)
        self._on_ready(idle.worker)
        if len(self._idle) > self._most_idle:
            self._idle.popleft().watch.cancel()
        with idle.watch:
            idle.watch.deadline = trio.current_time() + _IDLE_LIMIT
            await trio.lowlevel.wait_readable(idle.worker.channel)
        if idle in self._idle:
            self._idle.remove(idle)


def _is_silent(channel: socket.socket) -> bool:
    """Whether a worker neither has sent anything nor has ended."""
    try:
        channel.recv(1, socket.MSG_PEEK)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


async def _is_ready(channel: socket.socket, wanted: bytes, received: bytes) -> bool:
    """Wait until a worker has sent what it should, with nothing before and nothing behind it."""
    await trio.lowlevel.checkpoint()
    while len(received) < len(wanted):
        await trio.lowlevel.wait_readable(channel)
        try:
            data = channel.recv(len(wanted) - len(received) + 1)
        except BlockingIOError:
            continue
        except OSError:
            return False
        if not data:
            return False
        received += data
    return received == wanted
