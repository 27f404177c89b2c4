"""What the wire says about a failed task, and the exception that comes of it."""

from __future__ import annotations

import pytest

from trio_runner.errors import (
    PolicyViolation,
    RunnerLost,
    TaskCancelled,
    TaskError,
    TaskTimedOut,
    UserCodeError,
    WorkerDied,
)
from trio_runner.protocol.raw_json import RawJson
from trio_runner.requester.failures import request_expired, task_error
from trio_runner.scheduling.outcome import Cancelled, Failed, Outcome, TimedOut, reply
from trio_runner.scheduling.outcome import WorkerDied as WorkerDiedOutcome


@pytest.mark.parametrize(
    ("kind", "family"),
    [
        ("user-code", UserCodeError),
        ("policy", PolicyViolation),
        ("settings", TaskError),
        ("result", UserCodeError),
        ("timeout", TaskTimedOut),
        ("cancelled", TaskCancelled),
        ("worker-died", WorkerDied),
        ("runner-lost", RunnerLost),
        ("no-settings", TaskError),
    ],
)
def test_the_kind_decides_whatever_the_message_says(kind: str, family: type[TaskError]) -> None:
    error = task_error(RawJson.of({"message": "Task was cancelled", "description": "d", "kind": kind}))
    assert type(error) is family
    assert (error.message, error.description) == ("Task was cancelled", "d")


@pytest.mark.parametrize(
    ("message", "family"),
    [
        ("division by zero", UserCodeError),
        ("Process exited with code 3", UserCodeError),
        ("invalid syntax", UserCodeError),
        ("the Task was cancelled, says my own code", UserCodeError),
        ("Task was cancelled", TaskCancelled),
        ("Task execution timed out after 1 second", TaskTimedOut),
        ("Task execution timed out after 60 seconds", TaskTimedOut),
        ("Process was forcefully killed (SIGKILL)", WorkerDied),
        ("Task subprocess exited with code -11", WorkerDied),
        ("Security violations detected", PolicyViolation),
        ("Security violation detected", PolicyViolation),
        (
            "Import of standard library module 'os' is disallowed. Allowed stdlib modules: none",
            PolicyViolation,
        ),
        (
            "Import of external package 'numpy' is disallowed. Allowed external packages: none",
            PolicyViolation,
        ),
        ("Relative imports are disallowed.", PolicyViolation),
        ("Dynamic __import__() calls are not allowed for security reasons.", PolicyViolation),
    ],
)
@pytest.mark.parametrize("kind", [{}, {"kind": "from-the-future"}, {"kind": 7}])
def test_runners_of_other_people_are_understood_by_their_messages(
    message: str, family: type[TaskError], kind: dict[str, object]
) -> None:
    assert type(task_error(RawJson.of({"message": message, "description": "", **kind}))) is family


@pytest.mark.parametrize(
    ("outcome", "family"),
    [
        (Failed("boom", "why", "user-code", "stack", 3), UserCodeError),
        (Failed("no", kind="policy"), PolicyViolation),
        (TimedOut(60), TaskTimedOut),
        (Cancelled(), TaskCancelled),
        (Cancelled(at_shutdown=True), TaskCancelled),
        (WorkerDiedOutcome(-9), WorkerDied),
    ],
)
def test_what_our_runner_reports_arrives_as_its_family(outcome: Outcome, family: type[TaskError]) -> None:
    report = reply("task", outcome)
    error = task_error(report.error)  # type: ignore[union-attr]
    assert type(error) is family
    if isinstance(outcome, Failed):
        assert (error.stack, error.line_number) == (outcome.stack, outcome.line_number)


@pytest.mark.parametrize(
    ("wire", "message"),
    [
        (b'"just a text"', "just a text"),
        (b"null", "The task failed, and its runner did not say why"),
        (b"[1]", "The task failed, and its runner did not say why"),
        (b'{"description": 5, "lineNumber": true}', "The task failed, and its runner did not say why"),
        (b'{"message": "half an emoji \\ud83d"}', "half an emoji \ud83d"),
        (b"{" * 100_000, "{" * 100_000),
    ],
)
def test_whatever_comes_an_exception_comes_of_it(wire: bytes, message: str) -> None:
    error = task_error(RawJson(wire))
    assert error.message == message
    assert (error.description, error.stack, error.line_number) == ("", "", None)


@pytest.mark.parametrize("reason", ["timeout", "no-runner", "draining", "queue-full"])
def test_every_reason_of_the_broker_comes_with_a_remedy(reason: str) -> None:
    error = request_expired(reason, "python")
    assert error.reason == reason
    assert error.description
    assert "{" not in error.message + error.description


def test_the_task_type_is_named() -> None:
    assert str(request_expired("no-runner", "price")) == "No runner takes 'price' tasks"


def test_a_reason_nobody_knows_is_shown() -> None:
    error = request_expired("strike", "python")
    assert (str(error), error.reason) == ("The broker gave the request up: strike", "strike")


def test_a_reason_with_braces_is_text() -> None:
    assert str(request_expired("{task_type}", "python")).endswith(": {task_type}")
