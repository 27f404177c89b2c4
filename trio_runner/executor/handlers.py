"""Tasks that are async functions of the embedding application, and executors combined by task type.

A handler runs in the application's own process and event loop: it is trusted code. Its task is cancelled
by cancelling it, so a handler follows trio's rules: it checkpoints, and it lets `Cancelled` pass.
"""

from __future__ import annotations

import traceback
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, cast

import trio

from ..errors import ConfigError
from ..protocol.raw_json import RawJson
from ..sandbox.console import format_argument
from ..scheduling.outcome import Completed, Failed, WorkerDied
from .contract import Executor, ExecutorStatistics, Job, OnEvent, Printed, Started

__all__ = ["CombinedExecutor", "Handler", "HandlerExecutor", "HandlerTask"]


class HandlerTask:
    """What a handler is given: one task.

    Attributes:
        task_id: the broker's id of the task.
        task_type: the type it was requested as.
        settings: the task's settings, decoded from JSON.
    """

    def __init__(self, task_id: str, task_type: str, settings: Any, on_event: OnEvent) -> None:
        self.task_id = task_id
        self.task_type = task_type
        self.settings = settings
        self._on_event: OnEvent | None = on_event

    def print(self, *arguments: object) -> None:
        """Show something to the person who waits for the task, at once, as ``print()`` does in their code.

        Args:
            *arguments: strings are quoted, numbers written plainly, anything else as JSON.

        Raises:
            RuntimeError: the handler of this task has returned already.
        """
        if self._on_event is None:
            raise RuntimeError(
                f"task {self.task_id} has ended: print() must be called before its handler returns"
            )
        params = [format_argument(argument) for argument in arguments]
        self._on_event(Printed(RawJson.of(params), " ".join(map(str, arguments))))

    def close(self) -> None:
        """Refuse further printing: the task has ended."""
        self._on_event = None


Handler = Callable[[HandlerTask], Awaitable[object]]
"""An async function that does one task and returns its result, which must be JSON."""


class HandlerExecutor:
    """Runs tasks by calling async functions in the event loop it is used in.

    Args:
        handlers: by task type, the function that does tasks of this type.

    Raises:
        ConfigError: a task type is empty.
    """

    def __init__(self, handlers: Mapping[str, Handler]) -> None:
        if not all(handlers):
            raise ConfigError("handlers: a task type must not be empty; give every handler a name")
        self._handlers = dict(handlers)
        self._running = 0
        self._started = 0

    @property
    def task_types(self) -> tuple[str, ...]:
        """The task types there are handlers for."""
        return tuple(self._handlers)

    async def run(self, job: Job, on_event: OnEvent) -> Completed | Failed | WorkerDied:
        """Run one task; see `Executor.run`.

        Cancellation:
            The handler is cancelled; `Cancelled` leaves when the handler has let it through.
        """
        await trio.lowlevel.checkpoint()
        self._running += 1
        self._started += 1
        try:
            return await self._run(job, on_event)
        finally:
            self._running -= 1

    async def _run(self, job: Job, on_event: OnEvent) -> Completed | Failed:
        handler = self._handlers.get(job.task_type)
        if handler is None:
            return _unknown_type(job, self.task_types)
        try:
            settings = job.settings.decode()
        except ValueError as exc:
            return Failed(f"Task settings are not JSON: {exc}", kind="settings")
        on_event(_started(settings))
        task = HandlerTask(job.task_id, job.task_type, settings, on_event)
        try:
            result = await handler(task)
        except Exception as exc:  # the boundary of a task: whatever it raised is how it ended
            return _failed(exc)
        finally:
            task.close()
        return _completed(result)

    async def reload(self) -> None:
        """Do nothing: handlers are part of this very process."""
        await trio.lowlevel.checkpoint()

    def available(self, task_type: str) -> bool:
        """Whether there is a handler for it."""
        return task_type in self._handlers

    async def wait_available(self) -> None:
        """Wait forever: what a handler needs is always there."""
        await trio.sleep_forever()

    def statistics(self) -> ExecutorStatistics:
        """Return a snapshot."""
        return ExecutorStatistics(running=self._running, started=self._started)


class CombinedExecutor:
    """Several executors as one: each task goes to the one that runs its type.

    Args:
        executors: the parts; no task type may be claimed twice.

    Raises:
        ConfigError: two executors claim one task type.
    """

    def __init__(self, executors: Iterable[Executor]) -> None:
        self._parts = tuple(executors)
        self._by_type: dict[str, Executor] = {}
        for part in self._parts:
            for task_type in part.task_types:
                if task_type in self._by_type:
                    raise ConfigError(
                        f"task type {task_type!r} is claimed by two executors; register each task type once"
                    )
                self._by_type[task_type] = part

    @property
    def task_types(self) -> tuple[str, ...]:
        """The task types of all parts."""
        return tuple(self._by_type)

    async def run(self, job: Job, on_event: OnEvent) -> Completed | Failed | WorkerDied:
        """Run one task on the executor for its type; see `Executor.run`."""
        executor = self._by_type.get(job.task_type)
        if executor is None:
            await trio.lowlevel.checkpoint()
            return _unknown_type(job, self.task_types)
        return await executor.run(job, on_event)

    async def reload(self) -> None:
        """Have every part reload; see `Executor.reload`."""
        for part in self._parts:
            await part.reload()

    def available(self, task_type: str) -> bool:
        """Whether the part that runs this type would begin a task now."""
        part = self._by_type.get(task_type)
        return part is not None and part.available(task_type)

    async def wait_available(self) -> None:
        """Wait until that may be so again for one of the parts."""

        async def wait_for(part: Executor) -> None:
            await part.wait_available()
            nursery.cancel_scope.cancel()

        async with trio.open_nursery() as nursery:
            for part in self._parts:
                nursery.start_soon(wait_for, part)

    def statistics(self) -> ExecutorStatistics:
        """Return the sums over all parts."""
        parts = [part.statistics() for part in self._parts]
        return ExecutorStatistics(
            running=sum(part.running for part in parts),
            idle_workers=sum(part.idle_workers for part in parts),
            started=sum(part.started for part in parts),
            worker_deaths=sum(part.worker_deaths for part in parts),
            waiting=sum(part.waiting for part in parts),
            trouble="; ".join(part.trouble for part in parts if part.trouble),
            zygote=next((part.zygote for part in parts if part.zygote), None),
        )


# --- how a handler's task begins and ends -----------------------------------------------------------


def _unknown_type(job: Job, known: tuple[str, ...]) -> Failed:
    return Failed(
        f"Task type {job.task_type!r} is not supported by this runner",
        f"It runs {', '.join(map(repr, known)) or 'no task types'}.",
        kind="settings",
    )


def _started(settings: object) -> Started:
    fields = cast("dict[str, object]", settings) if isinstance(settings, dict) else {}
    return Started(
        continue_on_fail=fields.get("continueOnFail") is True,
        workflow_id=_text(fields.get("workflowId")),
        workflow_name=_text(fields.get("workflowName")),
        node_id=_text(fields.get("nodeId")),
        node_name=_text(fields.get("nodeName")),
        traceparent=fields.get("traceparent"),
    )


def _text(value: object) -> str:
    return value if isinstance(value, str) and value else "Unknown"


def _completed(result: object) -> Completed | Failed:
    try:
        return Completed(RawJson.of(result))
    except (TypeError, ValueError, RecursionError) as exc:
        return Failed(
            f"Result is not JSON: {exc}",
            "A handler must return what JSON can hold: None, bool, int, float, str, lists and dicts of them.",
            kind="result",
        )


def _failed(error: Exception) -> Failed:
    """Describe what a handler raised; the stack begins at the handler's own frame."""
    while isinstance(error, ExceptionGroup) and len(error.exceptions) == 1:
        # What a nursery of the handler's wraps around the one thing that went wrong.
        error = error.exceptions[0]
    frames = error.__traceback__
    while frames is not None and frames.tb_frame.f_code.co_filename == __file__:
        frames = frames.tb_next
    stack = "".join(traceback.format_exception(type(error), error, frames))
    return Failed(str(error) or type(error).__name__, stack=stack)
