"""Which submission each message belongs to, and what to answer: the requester's decisions, without I/O.

Theory of operation. A submission is REQUESTED when its request goes out, RUNNING from the broker's
``taskready`` (the settings go out at once), and ENDED with a result or an error. A caller that loses interest
abandons it: it is cancelled at the broker, by its request id as long as there is no task id, and forgotten.
So nothing that nobody wants waits in the broker's queue or takes a runner's slot. Messages for anything
forgotten are late and mean nothing, except that a runner must never wait in vain: a call is always answered,
and a task nobody knows is cancelled.
"""

from __future__ import annotations

import enum
from collections.abc import Callable

from ..errors import LinkLost, TaskError
from ..protocol import messages as m
from ..protocol.ids import new_id
from ..protocol.raw_json import RawJson
from .failures import request_expired, task_error
from .output import Output

__all__ = ["Book", "Phase", "Reply", "Submission"]

_PRINT_CALL = "logNodeOutput"
_NOT_WANTED = "The requester no longer waits for this task"

Reply = m.RequesterToBroker


class Phase(enum.Enum):
    """Where a submission is."""

    REQUESTED = "requested"
    RUNNING = "running"
    ENDED = "ended"
    ABANDONED = "abandoned"


class Submission:
    """One task on its way.

    Args:
        task_type: what a runner must serve to take it.
        settings: what goes to the runner as soon as there is one.
        on_ended: called once, when the submission has ended with an outcome.

    Attributes:
        request_id: ours; the broker answers to it until there is a task.
        task_id: the broker's, from ``taskready`` on.
        phase: where it is.
        outcome: the ``data`` of the result, or the error; None until ENDED.
        output: what the task prints.
    """

    def __init__(self, task_type: str, settings: RawJson, on_ended: Callable[[], None]) -> None:
        self.task_type = task_type
        self.settings = settings
        self.request_id = new_id()
        self.task_id: str | None = None
        self.phase = Phase.REQUESTED
        self.outcome: RawJson | Exception | None = None
        self.output = Output()
        self._on_ended = on_ended

    def end(self, outcome: RawJson | Exception) -> None:
        """Take the outcome; a submission that is over keeps the one it has."""
        if self.phase in (Phase.REQUESTED, Phase.RUNNING):
            self.phase = Phase.ENDED
            self.outcome = outcome
            self.output.end()
            self._on_ended()


class Book:
    """Every submission of one connection that is not over."""

    def __init__(self) -> None:
        self._requested: dict[str, Submission] = {}
        self._abandoned = 0
        self._running: dict[str, Submission] = {}

    @property
    def requested(self) -> int:
        """Submissions that no runner has taken yet."""
        return len(self._requested)

    @property
    def running(self) -> int:
        """Submissions that a runner works on."""
        return len(self._running)

    @property
    def abandoned(self) -> int:
        """Submissions that were given up before a runner took them."""
        return self._abandoned

    def submit(self, submission: Submission) -> tuple[Reply, ...]:
        """Enter a submission; returns what to send."""
        self._requested[submission.request_id] = submission
        return (m.TaskRequest(submission.request_id, submission.task_type),)

    def abandon(self, submission: Submission) -> tuple[Reply, ...]:
        """Forget a submission, whatever its phase; returns what to send."""
        phase, submission.phase = submission.phase, Phase.ABANDONED
        submission.output.end()
        if phase is Phase.REQUESTED:
            del self._requested[submission.request_id]
            self._abandoned += 1
            return (m.RequesterTaskCancel(submission.request_id, _NOT_WANTED),)
        if phase is Phase.RUNNING and submission.task_id is not None:
            del self._running[submission.task_id]
            return (m.RequesterTaskCancel(submission.task_id, _NOT_WANTED),)
        if phase is Phase.ENDED:
            submission.phase = phase
        return ()

    def receive(self, message: m.BrokerToRequester) -> tuple[Reply, ...]:
        """Take in what the broker sent; returns what to send."""
        match message:
            case m.TaskReady():
                return self._ready(message)
            case m.TaskResult(task_id, data):
                self._end(task_id, data)
            case m.TaskFailure(task_id, error):
                self._end(task_id, task_error(error))
            case m.BrokerRpcRequest():
                return (self._answer_call(message),)
            case m.RequestExpiry(request_id, reason):
                self._expired(request_id, reason)
            case m.TaskDataQuery(task_id) | m.NodeTypesQuery(task_id):
                return self._refuse_query(task_id)
        return ()

    def unsendable(self, reply: Reply, error: Exception) -> tuple[Reply, ...]:
        """Take note that a message is too large to be sent; returns what to send instead."""
        if not isinstance(reply, m.RequesterTaskSettings):
            return ()
        submission = self._running.pop(reply.task_id, None)
        if submission is not None:
            submission.end(error)
        return (m.RequesterTaskCancel(reply.task_id, str(error)),)

    def lose(self, error: LinkLost) -> None:
        """End everything: the connection is gone."""
        submissions = [*self._requested.values(), *self._running.values()]
        self._requested.clear()
        self._running.clear()
        for submission in submissions:
            submission.end(error)

    def _ready(self, message: m.TaskReady) -> tuple[Reply, ...]:
        submission = self._requested.pop(message.request_id, None)
        if submission is None:
            return (m.RequesterTaskCancel(message.task_id, _NOT_WANTED),)
        submission.phase = Phase.RUNNING
        submission.task_id = message.task_id
        self._running[message.task_id] = submission
        settings, submission.settings = (
            submission.settings,
            RawJson.NULL,
        )  # sent once: need not stay in memory
        return (m.RequesterTaskSettings(message.task_id, settings),)

    def _expired(self, request_id: str, reason: str) -> None:
        submission = self._requested.pop(request_id, None)
        if submission is not None:
            submission.end(request_expired(reason, submission.task_type))

    def _end(self, task_id: str, outcome: RawJson | TaskError) -> None:
        submission = self._running.pop(task_id, None)
        if submission is not None:
            submission.end(outcome)

    def _answer_call(self, call: m.BrokerRpcRequest) -> Reply:
        submission = self._running.get(call.task_id)
        if call.name != _PRINT_CALL:
            return _refusal(call, f"This requester has no function {call.name!r}")
        if submission is None:
            return _refusal(call, _NOT_WANTED)
        submission.output.put(call.params)
        return m.RequesterRpcResponse(call.task_id, call.call_id, "success")

    def _refuse_query(self, task_id: str) -> tuple[Reply, ...]:
        """End a task whose runner asks for what only n8n knows: there is no way to say no to the runner."""
        submission = self._running.pop(task_id, None)
        if submission is None:
            return ()
        submission.end(
            TaskError(
                "The runner asked for workflow data, which this requester does not have",
                description="Only n8n itself can send such tasks; here everything must be in the settings.",
            )
        )
        return (m.RequesterTaskCancel(task_id, _NOT_WANTED),)


def _refusal(call: m.BrokerRpcRequest, why: str) -> Reply:
    return m.RequesterRpcResponse(call.task_id, call.call_id, "error", RawJson.of({"message": why}))
