"""What the broker reports about a task that did not complete, as the exception a caller catches."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ..errors import (
    PolicyViolation,
    RequestExpired,
    RunnerLost,
    TaskCancelled,
    TaskError,
    TaskTimedOut,
    UserCodeError,
    WorkerDied,
)
from ..protocol.raw_json import RawJson

__all__ = ["request_expired", "task_error"]

_FAMILIES: Mapping[str, type[TaskError]] = {
    "user-code": UserCodeError,
    "policy": PolicyViolation,
    "settings": TaskError,
    "result": UserCodeError,
    "timeout": TaskTimedOut,
    "cancelled": TaskCancelled,
    "shutdown": TaskCancelled,
    "worker-died": WorkerDied,
    "runner-lost": RunnerLost,
    "no-settings": TaskError,
}
"""Our runner and broker say whose fault an error is; see `trio_runner.scheduling.outcome`."""

_MESSAGES: tuple[tuple[re.Pattern[str], type[TaskError]], ...] = (
    (re.compile(r"Task was cancelled"), TaskCancelled),
    (re.compile(r"Task execution timed out"), TaskTimedOut),
    (re.compile(r"Process was forcefully killed|Task subprocess exited with code"), WorkerDied),
    (re.compile(r"Security violations? detected|Relative imports are disallowed"), PolicyViolation),
    (re.compile(r"Import of (standard library module|external package) .* is disallowed"), PolicyViolation),
    (re.compile(r"Dynamic __import__\(\) calls are not allowed"), PolicyViolation),
)
"""Other people's runners only have these messages. What matches none is what the code raised."""

_EXPIRIES: Mapping[str, tuple[str, str]] = {
    "timeout": (
        "No runner took the task in time",
        (
            "No runner for {task_type!r} tasks is connected to this broker, or all slots were busy too long."
            " Start a runner, raise its concurrency, or submit less at once."
        ),
    ),
    "no-runner": (
        "No runner takes {task_type!r} tasks",
        "No runner that serves this task type is connected to the broker. Start one, or check the task type.",
    ),
    "draining": (
        "The broker is shutting down",
        "It takes no new tasks while it drains. Submit again when it is back.",
    ),
    "queue-full": (
        "The broker has too many requests waiting",
        "Submit less at once (max_in_flight bounds it), or add runners.",
    ),
}


def task_error(error: RawJson) -> TaskError:
    """Turn the error object of ``broker:taskerror`` into an exception of the `TaskError` family.

    Args:
        error: the object as the runner or the broker wrote it. Whatever it is, an exception comes of it.
    """
    fields = _fields(error)
    message = _text(fields, "message") or "The task failed, and its runner did not say why"
    family = _FAMILIES.get(_text(fields, "kind")) or _family_of_message(message)
    line = fields.get("lineNumber")
    return family(
        message,
        description=_text(fields, "description"),
        stack=_text(fields, "stack"),
        line_number=line if isinstance(line, int) and not isinstance(line, bool) else None,
    )


def request_expired(reason: str, task_type: str) -> RequestExpired:
    """Turn the reason of ``broker:requestexpired`` into an exception that says what to do.

    Args:
        reason: the broker's reason; one that nobody knows is shown as it is.
        task_type: what was asked for.
    """
    message, description = _EXPIRIES.get(reason, ("The broker gave the request up: {reason}", ""))
    return RequestExpired(
        message.format(task_type=task_type, reason=reason),
        reason=reason,
        description=description.format(task_type=task_type),
    )


def _fields(error: RawJson) -> Mapping[str, Any]:
    try:
        decoded = error.decode()
    except ValueError:
        decoded = error.data.decode(errors="replace")
    if isinstance(decoded, dict):
        return decoded
    return {"message": decoded if isinstance(decoded, str) else None}


def _text(fields: Mapping[str, Any], name: str) -> str:
    value = fields.get(name)
    return value if isinstance(value, str) else ""


def _family_of_message(message: str) -> type[TaskError]:
    for pattern, family in _MESSAGES:
        if pattern.match(message):
            return family
    return UserCodeError
