"""The task scope: one cancel scope, one deadline and one outcome per accepted task."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable

import attrs
import trio

from ..executor.contract import Executor, Job, OnEvent, Started
from ..protocol.raw_json import RawJson
from ..scheduling.outcome import Cancelled, Failed, Outcome, TimedOut
from .statistics import HeldTask

__all__ = ["NO_SETTINGS", "TaskScope"]

NO_SETTINGS = Failed(
    "The task's settings did not arrive in time",
    "The broker announced a task but sent no settings for it; its slot has been freed.",
    kind="settings",
)
"""How an accepted task ends whose settings never come."""

# Seconds after which overdue settings are asked for again while a large message is arriving.
_LOOK_AGAIN = 1.0
# Characters of the name of a workflow or node in a snapshot.
_LONGEST_NAME = 200


@attrs.define(eq=False)
class TaskScope:
    """What the runner keeps of one accepted task.

    The object exists from the moment of the accept, so that settings and cancellations find it even before
    its task has been scheduled. Its cancel scope has one deadline: the earlier of that of the task's phase
    (first the settings', then the run's) and the end of the grace at shutdown.

    Attributes:
        task_id: the broker's id of the task.
        task_type: the type of the offer that was accepted.
        accepted_at: when the slot was taken, `trio.current_time()`.
        settings_at: when its settings came, or None.
        started_at: when a worker had read them, or None.
        owner: what the worker found there: whose task it is.
        trouble: what the executor raised, which it should not: one line; empty if it did not.
    """

    task_id: str
    task_type: str
    accepted_at: float
    _settings_deadline: float
    settings_at: float | None = None
    started_at: float | None = None
    owner: Started = attrs.field(factory=Started)
    trouble: str = ""
    _deadline: float = math.inf
    _overdue: Outcome = NO_SETTINGS
    _grace_end: float = math.inf
    _cancelled: bool = False
    _settings: RawJson | None = None
    _settings_arrived: trio.Event = attrs.field(factory=trio.Event)
    _scope: trio.CancelScope = attrs.field(init=False, factory=trio.CancelScope)

    @property
    def continue_on_fail(self) -> bool:
        """The task's own setting, known once its worker has read the settings."""
        return self.owner.continue_on_fail

    @property
    def phase(self) -> str:
        """Where the task is, by the names of `HeldTask.phase`."""
        if self._scope.cancel_called:
            return "ending"
        if self.started_at is not None:
            return "running"
        return "awaiting-settings" if self.settings_at is None else "starting"

    def snapshot(self, broker: str, now: float) -> HeldTask:
        """Return a snapshot.

        Args:
            broker: base URI of the task's broker.
            now: `trio.current_time()`.
        """
        owner = self.owner
        return HeldTask(
            task_id=self.task_id,
            broker=broker,
            task_type=self.task_type,
            phase=self.phase,
            age=now - self.accepted_at,
            running_for=None if self.started_at is None else now - self.started_at,
            workflow_id=_known(owner.workflow_id),
            workflow_name=_known(owner.workflow_name),
            node_id=_known(owner.node_id),
            node_name=_known(owner.node_name),
        )

    def started(self, owner: Started, now: float) -> None:
        """Take note that a worker has read the settings, and of what it found there."""
        self.owner, self.started_at = owner, now

    def begin(self, settings: RawJson, *, now: float, timeout: float) -> None:
        """Take the settings: the task runs from here on.

        Args:
            settings: the task's settings as they arrived.
            now: `trio.current_time()`.
            timeout: seconds until the task is stopped.
        """
        if self._scope.cancel_called:
            return  # too late: the end is decided already
        self._settings = settings
        self.settings_at = now
        self._deadline, self._overdue = now + timeout, TimedOut(timeout)
        self._arm()
        self._settings_arrived.set()

    def cancel(self) -> None:
        """Stop the task because the broker asked for it, whatever it is doing."""
        self._cancelled = True
        self._scope.cancel()

    def end_by(self, deadline: float) -> None:
        """Stop the task at the end of the shutdown's grace unless something else ends it before."""
        self._grace_end = min(self._grace_end, deadline)
        self._arm()

    async def run(
        self, executor: Executor, on_event: OnEvent, *, receiving: Callable[[], bool] = lambda: False
    ) -> Outcome:
        """Wait for the settings, run the task, and say how it ended.

        Args:
            executor: what runs the task.
            on_event: passed on to `Executor.run`.
            receiving: whether a large message is just arriving; asked when the settings are overdue, because
                they may be that message, or wait behind it.

        Cancellation:
            A cancellation from outside (the connection was lost) stops the task and passes through, alone or
            in the groups of the executor's nurseries; those of `cancel`, `end_by` and the deadlines become
            outcomes. Either way nothing of the task is left.
        """
        outcome: Outcome | None = None
        with self._scope:
            if not await self._settings_came(receiving):
                return NO_SETTINGS
            assert self._settings is not None
            job = Job(self.task_id, self.task_type, self._settings)
            self._settings = None  # the executor's from here on: a payload is not kept twice
            try:
                outcome = await executor.run(job, on_event)
            except* Exception as group:  # a task boundary; a Cancelled beside it goes on
                fault = _innermost(group)
                self.trouble = f"task {self.task_id}: {fault!r}"
                outcome = Failed(
                    "The runner could not run the task", f"{type(fault).__name__}: {fault}", kind="runner"
                )
        # A cancellation that crossed the result wins: the broker has given the task up.
        if self._cancelled:
            return Cancelled()
        if outcome is None or self._scope.cancelled_caught:
            return Cancelled(at_shutdown=True) if self._grace_end < self._deadline else self._overdue
        return outcome

    async def linger(self, wait: Callable[[], Awaitable[None]]) -> None:
        """Wait for something after the end of the task: until the end of the grace at shutdown at most.

        Args:
            wait: what to wait for.

        Cancellation:
            One from outside passes through; `cancel`, and the end of the grace, only end the waiting.
        """
        self._deadline = math.inf
        with trio.CancelScope(deadline=self._grace_end) as self._scope:
            await wait()

    async def _settings_came(self, receiving: Callable[[], bool]) -> bool:
        """Wait for the settings; False: they are overdue, and nothing large is arriving."""
        while not self._settings_arrived.is_set():
            with trio.move_on_at(self._settings_deadline):
                await self._settings_arrived.wait()
            if not self._settings_arrived.is_set() and not receiving():
                return False
            self._settings_deadline = trio.current_time() + _LOOK_AGAIN
        return True

    def _arm(self) -> None:
        self._scope.deadline = min(self._deadline, self._grace_end)


def _known(name: str) -> str:
    return "" if name == "Unknown" else name[:_LONGEST_NAME]


def _innermost(error: Exception) -> Exception:
    """Take what went wrong out of the groups around it; of several that did, the first."""
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    return error
