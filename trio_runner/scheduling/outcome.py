"""How a task can end, and the one function that turns an end into the message for it.

An end is a value. The executor returns `Completed`, `Failed` or `WorkerDied`; the task scope adds
`TimedOut` and `Cancelled`, because only the side that ended a task on purpose knows why it ended.
"""

from __future__ import annotations

import signal
from typing import Literal

import attrs

from ..protocol.messages import TaskDone, TaskErrorReport
from ..protocol.raw_json import RawJson

__all__ = [
    "Cancelled",
    "Completed",
    "Failed",
    "FailureKind",
    "Outcome",
    "TimedOut",
    "WorkerDied",
    "death_cause",
    "describe",
    "error_kind",
    "reply",
]

FailureKind = Literal["user-code", "policy", "settings", "result", "runner"]
"""Whose fault: the code raised, the policy refused, the settings make no sense, the result is no JSON, or it
is ours."""


@attrs.frozen
class Completed:
    """The code returned. `result` is the JSON of what it returned, as the worker wrote it."""

    result: RawJson


@attrs.frozen
class Failed:
    """The task failed on its own account.

    Attributes:
        message: what a person reads first, for an exception ``str(exception)``.
        description: findings, captured stderr, a remedy; may be empty.
        kind: whose fault it is.
        stack: traceback of the person's own frames, or empty.
        line_number: 1-based line in the person's own code, if known.
    """

    message: str
    description: str = ""
    kind: FailureKind = "user-code"
    stack: str = ""
    line_number: int | None = None


@attrs.frozen
class TimedOut:
    """The runner stopped the task because its time was up. `seconds` is the limit it had."""

    seconds: float


@attrs.frozen
class Cancelled:
    """The runner stopped the task.

    Attributes:
        at_shutdown: because it is shutting down and the grace is over; else because the broker asked for it.
    """

    at_shutdown: bool = False


@attrs.frozen
class WorkerDied:
    """The worker process ended without a result and without having been asked to.

    Attributes:
        exit_code: what ``waitpid`` told: ≥ 0 an exit status, < 0 the negated signal number.
        description: what else is known, such as the limit that was hit; may be empty.
        limit: name of the limit that it was killed for: ``memory`` or ``cpu``; empty: none.
    """

    exit_code: int
    description: str = ""
    limit: str = ""


Outcome = Completed | Failed | TimedOut | Cancelled | WorkerDied


def reply(task_id: str, outcome: Outcome, *, continue_on_fail: bool = False) -> TaskDone | TaskErrorReport:
    """Return the message that reports an outcome to the broker.

    Args:
        task_id: the broker's id of the task.
        outcome: how the task ended.
        continue_on_fail: the task's own setting: a failure becomes a result with the error in it. A
            cancellation is never turned into a result: nobody waits for it.
    """
    if isinstance(outcome, Completed):
        return TaskDone(task_id, RawJson(b'{"result":' + outcome.result.data + b"}"))
    error = _error(outcome)
    if continue_on_fail and not isinstance(outcome, Cancelled):
        return TaskDone(task_id, RawJson.of({"result": [{"json": {"error": error["message"]}}]}))
    return TaskErrorReport(task_id, RawJson.of(error))


def error_kind(outcome: Outcome) -> str:
    """Return the short, stable name of an outcome, for logs, metrics and the ``kind`` of an error."""
    if isinstance(outcome, Failed):
        return outcome.kind
    if isinstance(outcome, Cancelled) and outcome.at_shutdown:
        return "shutdown"
    return {Completed: "completed", TimedOut: "timeout", Cancelled: "cancelled", WorkerDied: "worker-died"}[
        type(outcome)
    ]


def _error(outcome: Failed | TimedOut | Cancelled | WorkerDied) -> dict[str, object]:
    """Return the error object of the wire; keys of its own are copied onto the error a person sees."""
    message, description = describe(outcome)
    error: dict[str, object] = {"message": message, "description": description, "kind": error_kind(outcome)}
    if isinstance(outcome, Failed):
        if outcome.stack:
            error["stack"] = outcome.stack
        if outcome.line_number is not None:
            error["lineNumber"] = outcome.line_number
    return error


def describe(outcome: Outcome) -> tuple[str, str]:
    """Return message and description of an outcome as a person reads them; both empty for `Completed`."""
    match outcome:
        case Completed():
            return "", ""
        case Failed():
            return outcome.message, outcome.description
        case TimedOut(seconds):
            # To the millisecond and never with an exponent, as a person would write it.
            amount = f"{seconds:.3f}".rstrip("0").rstrip(".")
            return (
                f"Task execution timed out after {amount} {'second' if amount == '1' else 'seconds'}",
                "It ran longer than the runner allows. Split the work, or raise N8N_RUNNERS_TASK_TIMEOUT.",
            )
        case Cancelled(at_shutdown=True):
            return "Task was cancelled", "Its runner was shut down before it had finished. Run it again."
        case Cancelled():
            return "Task was cancelled", "The task was stopped before it finished, on request."
        case WorkerDied(exit_code, description, _):
            return _death(exit_code), description or "The process that ran the code ended without a result."


def death_cause(death: WorkerDied) -> str:
    """Return the short name of what ended a process: a limit, ``exit``, or a signal such as ``SIGKILL``."""
    if death.limit or death.exit_code >= 0:
        return death.limit or "exit"
    try:
        return signal.Signals(-death.exit_code).name
    except ValueError:
        return "signal"


def _death(exit_code: int) -> str:
    if exit_code == -signal.SIGKILL:
        return "Process was forcefully killed (SIGKILL)"
    return f"Task subprocess exited with code {exit_code}"
