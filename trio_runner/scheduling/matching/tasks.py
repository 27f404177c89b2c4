"""Tasks of a broker, from the match of a request with an offer to their end.

Theory of operation. `phases` says what can happen to a task and when; here is what the broker does
about it: whom it tells, what it counts, and what becomes of the request behind a match that came to nothing.
A task that has ended is forgotten at once. So a message about a task that its sender does not hold is
either late or foreign, which nobody can tell apart any more, and is ignored, but for one: a runner that
accepts what is not its own is told to stop, because it is about to hold a slot for nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping

import attrs

from ...protocol import messages as m
from ...protocol.codec import wire_type
from ...protocol.raw_json import RawJson
from ..observer import BrokerTaskEnded, RequestAccepted, RequestMatched
from . import failures
from .decisions import Outbox
from .declines import DeclineDesk, how_declined
from .grouped import Grouped
from .lazy_heap import LazyHeap
from .limits import MatchingLimits
from .offers import OpenOffer
from .phases import BrokerPhase, Step, advance, allows
from .queue import Request
from .relay import TaskAnswer, TaskCall, to_requester, to_runner
from .requests import RequestDesk
from .roster import ConnectedRequester, ConnectedRunner
from .statistics import BrokerTotals

__all__ = ["BrokerTask", "TaskDesk"]

_UNANSWERED = (BrokerPhase.ACCEPT_PENDING, BrokerPhase.ABANDONED)
# Seconds. A short deadline that is noticed this late was missed by the broker, whose loop stood still: the
# answer may have come long ago and be unread. It gets this much once more, before anybody is blamed.
_STALL = 0.5
# Seconds after which an overdue answer is asked for again while a large message is arriving.
_LOOK_AGAIN = 1.0


@attrs.define(eq=False)
class BrokerTask:
    """One task.

    Attributes:
        task_id: the broker's name for it.
        request: what it was made for.
        runner: whose offer was taken.
        phase: where it is.
        deadline: when its phase must have ended, seconds.
        accepted: when the runner took it, seconds.
        second_chance: its deadline has been put off once for a stall of the broker.
    """

    task_id: str
    request: Request
    runner: ConnectedRunner
    phase: BrokerPhase = BrokerPhase.ACCEPT_PENDING
    deadline: float = 0.0
    accepted: float = 0.0
    second_chance: bool = False

    @property
    def awaited(self) -> int:
        """The connection from which the next step must come, before the task runs."""
        if self.phase is BrokerPhase.AWAITING_SETTINGS:
            return self.request.requester
        return self.runner.connection


class TaskDesk:
    """All tasks that have not ended.

    Args:
        limits: how long each phase may last.
        outbox: where decisions go.
        totals: what is counted.
        requests: where requests go back to.
        missed: told of every accept that a runner left unanswered.
        new_id: makes task ids.
        receiving: whether a large message is just arriving over a connection.
    """

    def __init__(
        self,
        limits: MatchingLimits,
        outbox: Outbox,
        totals: BrokerTotals,
        requests: RequestDesk,
        missed: Callable[[ConnectedRunner, float], None],
        new_id: Callable[[], str],
        receiving: Callable[[int], bool],
    ) -> None:
        self._limits = limits
        self._outbox = outbox
        self._totals = totals
        self._requests = requests
        self._declines = DeclineDesk(outbox, totals)
        self._missed = missed
        self._new_id = new_id
        self._receiving = receiving
        self._tasks: dict[str, BrokerTask] = {}
        self._of_runner: Grouped[int, str, BrokerTask] = Grouped()
        # Accepted ones only: before that the request stands for it.
        self._of_requester: Grouped[int, str, BrokerTask] = Grouped()
        self._deadlines: LazyHeap[BrokerTask] = LazyHeap()

    def __len__(self) -> int:
        return len(self._tasks)

    # --- a match and the runner's answer to it ------------------------------------------------------

    def open(self, request: Request, offer: OpenOffer, runner: ConnectedRunner, now: float) -> str:
        """Begin a task for a request that was matched, and return its id."""
        task = BrokerTask(self._new_id(), request, runner)
        self._tasks[task.task_id] = task
        self._of_runner.put(runner.connection, task.task_id, task)
        self._give(task, self._limits.accept_timeout, now)
        self._outbox.send(runner.connection, m.TaskOfferAccept(task.task_id, offer.offer_id))
        waited = now - request.arrived
        self._outbox.observe(
            RequestMatched(request.request_id, task.task_id, request.task_type, runner.peer_id, waited)
        )
        return task.task_id

    def accepted(self, runner: ConnectedRunner, task_id: str, now: float) -> None:
        """A runner takes a task."""
        task = self._of_runner.get(runner.connection, task_id)
        if task is None:
            self._ignore(runner, m.TaskAccepted)
            self._outbox.send(runner.connection, m.TaskCancel(task_id, "The task is not this runner's"))
        elif not allows(task.phase, Step.ACCEPTED):
            self._ignore(runner, m.TaskAccepted)
        elif task.phase is BrokerPhase.ABANDONED:
            self._end(task, Step.ACCEPTED)
            self._outbox.send(runner.connection, m.TaskCancel(task_id, "The task is no longer wanted"))
        else:
            task.phase = advance(task.phase, Step.ACCEPTED)
            task.accepted = now
            self._totals.running[task.request.task_type] += 1
            self._requests.accepted(task.request)
            self._of_requester.put(task.request.requester, task_id, task)
            self._give(task, self._limits.settings_timeout, now)
            self._outbox.send(task.request.requester, m.TaskReady(task.request.request_id, task_id))
            request, waited = task.request, now - task.request.arrived
            self._outbox.observe(
                RequestAccepted(request.request_id, task_id, request.task_type, runner.peer_id, waited)
            )

    def declined(self, runner: ConnectedRunner, message: m.TaskRejected | m.TaskDeferred, now: float) -> None:
        """A runner does not take a task: its request is matched again."""
        task = self._of_runner.get(runner.connection, message.task_id)
        if task is None or not allows(task.phase, Step.DECLINED):
            self._ignore(runner, type(message))
            return
        deferred = isinstance(message, m.TaskDeferred)
        reason = message.reason if isinstance(message, m.TaskRejected) else ""
        self._declines.note(task.request, task.task_id, runner, how_declined(message), now, reason)
        wanted = task.phase is BrokerPhase.ACCEPT_PENDING
        self._end(task, Step.DECLINED)
        if wanted and deferred:
            self._requests.defer(task.request, now)
        elif wanted:
            self._requests.put_back(task.request)

    # --- the life of an accepted task ---------------------------------------------------------------

    def settings(self, requester: ConnectedRequester, message: m.RequesterTaskSettings, now: float) -> None:
        """A requester says what its task is to do."""
        task = self._of_requester.get(requester.connection, message.task_id)
        if task is None or not allows(task.phase, Step.SETTINGS):
            self._ignore(requester, type(message))
            return
        task.phase = advance(task.phase, Step.SETTINGS)
        self._give(task, self._limits.execution_timeout, now)
        self._outbox.send(task.runner.connection, m.TaskSettings(task.task_id, message.settings))

    def called(self, runner: ConnectedRunner, call: TaskCall) -> None:
        """A running task asks its requester for something."""
        task = self._of_runner.get(runner.connection, call.task_id)
        if task is None or task.phase is not BrokerPhase.RUNNING:
            self._ignore(runner, type(call))
            return
        self._outbox.send(task.request.requester, to_requester(call))

    def answered(self, requester: ConnectedRequester, answer: TaskAnswer) -> None:
        """A requester answers its running task."""
        task = self._of_requester.get(requester.connection, answer.task_id)
        if task is None or task.phase is not BrokerPhase.RUNNING:
            self._ignore(requester, type(answer))
            return
        self._outbox.send(task.runner.connection, to_runner(answer))

    def reported(self, runner: ConnectedRunner, report: m.TaskDone | m.TaskErrorReport, now: float) -> None:
        """A runner says how a task ended."""
        task = self._of_runner.get(runner.connection, report.task_id)
        if task is None or not allows(task.phase, Step.REPORTED):
            self._ignore(runner, type(report))
        elif isinstance(report, m.TaskDone):
            self._conclude(task, Step.REPORTED, "done", now)
            self._outbox.send(task.request.requester, m.TaskResult(report.task_id, report.data))
        else:
            self._conclude(task, Step.REPORTED, "error", now)
            self._outbox.send(task.request.requester, m.TaskFailure(report.task_id, report.error))

    # --- ends that are not the runner's doing -------------------------------------------------------

    def cancelled(self, requester: ConnectedRequester, message: m.RequesterTaskCancel, now: float) -> bool:
        """A requester no longer wants a task. False: it has no such task."""
        task = self._of_requester.get(requester.connection, message.task_id)
        if task is None:
            return False
        self._cancel(task, message.reason, now)
        return True

    def abandon(self, task_id: str) -> None:
        """The request of a task is gone before the runner has answered the accept."""
        task = self._tasks[task_id]
        task.phase = advance(task.phase, Step.WITHDRAWN)

    def requester_left(self, connection: int, now: float) -> int:
        """A requester is gone: stop its tasks; return how many there were."""
        tasks = self._of_requester.members(connection)
        for task in tasks:
            self._cancel(task, "The requester has disconnected", now)
        return len(tasks)

    def runner_lost(self, runner: ConnectedRunner, why: str, now: float) -> int:
        """A runner is gone: fail its tasks, put pending requests back; return how many tasks were failed."""
        failed = 0
        error = failures.runner_lost(runner.name, runner.peer_id, why)
        for task in self._of_runner.members(runner.connection):
            phase = task.phase
            if phase is BrokerPhase.ACCEPT_PENDING:
                self._declines.note(task.request, task.task_id, runner, "runner-lost", now)
                self._end(task, Step.RUNNER_LOST)
                self._requests.put_back(task.request)
            elif phase is BrokerPhase.ABANDONED:
                self._end(task, Step.RUNNER_LOST)
            else:
                failed += 1
                self._conclude(task, Step.RUNNER_LOST, "runner-lost", now)
                self._outbox.send(task.request.requester, m.TaskFailure(task.task_id, error))
        return failed

    def stop(self, now: float) -> None:
        """The broker ends: fail every accepted task, put the requests of the others back."""
        for task in tuple(self._tasks.values()):
            if task.phase is BrokerPhase.ACCEPT_PENDING:
                self.abandon(task.task_id)
                self._requests.put_back(task.request)
            elif task.phase is not BrokerPhase.ABANDONED:
                self._stop(task, "cancelled", "The broker is shutting down", failures.broker_stopped(), now)

    # --- time ---------------------------------------------------------------------------------------

    def next_deadline(self) -> float:
        """Return when `expire_due` has something; `math.inf`: never."""
        return self._deadlines.first()

    def expire_due(self, now: float) -> None:
        """End what has run out of time."""
        while (task := self._deadlines.pop_due(now)) is not None:
            if task.phase is BrokerPhase.RUNNING:
                error = failures.execution_timed_out(self._limits.execution_timeout)
                self._stop(task, "timeout", "Task execution timed out", error, now)
            elif self._receiving(task.awaited):
                self._give(task, _LOOK_AGAIN, now)  # the answer is that message, or comes behind it
            elif now - task.deadline > _STALL and not task.second_chance:
                self._give(task, _STALL, now)
                task.second_chance = True
            elif task.phase is BrokerPhase.AWAITING_SETTINGS:
                error = failures.no_settings(self._limits.settings_timeout)
                self._stop(task, "no-settings", "The requester sent no settings in time", error, now)
            else:
                self._miss(task, now)

    def _miss(self, task: BrokerTask, now: float) -> None:
        wanted = task.phase is BrokerPhase.ACCEPT_PENDING
        self._declines.note(task.request, task.task_id, task.runner, "missed", now)
        self._end(task, Step.DEADLINE)
        if wanted:
            self._requests.put_back(task.request)
        self._missed(task.runner, now)

    # --- facts and steps ----------------------------------------------------------------------------

    def accepted_count(self) -> int:
        """Return how many tasks are accepted and have not ended."""
        return len(self._of_requester)

    def held_by(self, runner: ConnectedRunner) -> tuple[int, int]:
        """Return how many tasks a runner has accepted, and how many accepts it has yet to answer."""
        tasks = self._of_runner.members(runner.connection)
        pending = sum(task.phase in _UNANSWERED for task in tasks)
        return len(tasks) - pending, pending

    def phases(self) -> Mapping[str, int]:
        """Return how many tasks are in each phase that any is in."""
        return dict(Counter(task.phase.value for task in self._tasks.values()))

    def _give(self, task: BrokerTask, seconds: float, now: float) -> None:
        task.deadline = now + seconds
        task.second_chance = False
        self._deadlines.push(task, task.deadline)

    def _cancel(self, task: BrokerTask, reason: str, now: float) -> None:
        self._conclude(task, Step.WITHDRAWN, "cancelled", now)
        self._outbox.send(task.runner.connection, m.TaskCancel(task.task_id, reason))

    def _stop(self, task: BrokerTask, outcome: str, why: str, error: RawJson, now: float) -> None:
        """End a task on both sides: the runner is told why, the requester gets the error."""
        self._conclude(task, Step.DEADLINE, outcome, now)
        self._outbox.send(task.runner.connection, m.TaskCancel(task.task_id, why))
        self._outbox.send(task.request.requester, m.TaskFailure(task.task_id, error))

    def _conclude(self, task: BrokerTask, step: Step, outcome: str, now: float) -> None:
        """End a task that was accepted."""
        self._end(task, step)
        self._totals.ended[outcome] += 1
        task.runner.ended += 1
        running, task_type = self._totals.running, task.request.task_type
        running[task_type] -= 1
        if not running[task_type]:
            del running[task_type]
        self._outbox.observe(
            BrokerTaskEnded(task.task_id, task.request.task_type, outcome, now - task.accepted)
        )

    def _end(self, task: BrokerTask, step: Step) -> None:
        task.phase = advance(task.phase, step)
        del self._tasks[task.task_id]
        self._of_runner.remove(task.runner.connection, task.task_id)
        self._of_requester.remove(task.request.requester, task.task_id)
        self._deadlines.discard(task)

    def _ignore(self, peer: ConnectedRunner | ConnectedRequester, message_class: type) -> None:
        wire = wire_type(message_class)
        why = f"{wire} about a task that it does not hold, or that is past it"
        self._outbox.ignore(peer.connection, why, late=True)
