"""What a person and a broker are told about each way a task can end."""

from __future__ import annotations

import json
import signal
from typing import Any, get_args

import pytest

from trio_runner.protocol.messages import TaskDone, TaskErrorReport
from trio_runner.protocol.raw_json import RawJson
from trio_runner.scheduling.outcome import (
    Cancelled,
    Completed,
    Failed,
    FailureKind,
    Outcome,
    TimedOut,
    WorkerDied,
    death_cause,
    error_kind,
    reply,
)

FAILURES: dict[str, tuple[Outcome, str, str]] = {
    # what happened: outcome, message, kind
    "user code raised": (Failed("division by zero"), "division by zero", "user-code"),
    "user code left by SystemExit": (
        Failed("Process exited with code 3"),
        "Process exited with code 3",
        "user-code",
    ),
    "code does not parse": (
        Failed("invalid syntax (line 2)", line_number=2),
        "invalid syntax (line 2)",
        "user-code",
    ),
    "static policy": (
        Failed("Security violations detected", "Line 1: no", kind="policy"),
        "Security violations detected",
        "policy",
    ),
    "policy at run time": (
        Failed("Security violation detected", "no", kind="policy"),
        "Security violation detected",
        "policy",
    ),
    "settings make no sense": (Failed("nodeMode?", kind="settings"), "nodeMode?", "settings"),
    "result is no JSON": (Failed("circular", kind="result"), "circular", "result"),
    "timeout": (TimedOut(60), "Task execution timed out after 60 seconds", "timeout"),
    "cancelled": (Cancelled(), "Task was cancelled", "cancelled"),
    "shutdown": (Cancelled(at_shutdown=True), "Task was cancelled", "shutdown"),
    "killed": (
        WorkerDied(-signal.SIGKILL),
        "Process was forcefully killed (SIGKILL)",
        "worker-died",
    ),
    "exited": (WorkerDied(0), "Task subprocess exited with code 0", "worker-died"),
    "exited with a status": (WorkerDied(7), "Task subprocess exited with code 7", "worker-died"),
    "crashed": (
        WorkerDied(-signal.SIGSEGV),
        f"Task subprocess exited with code {-signal.SIGSEGV}",
        "worker-died",
    ),
}
every_failure = pytest.mark.parametrize(("outcome", "message", "kind"), FAILURES.values(), ids=FAILURES)


def error_of(outcome: Outcome) -> dict[str, Any]:
    """Return the error object that goes to the broker."""
    answer = reply("t", outcome)
    assert isinstance(answer, TaskErrorReport)
    assert answer.task_id == "t"
    error = answer.error.decode()
    assert isinstance(error, dict)
    return error


# --- success ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("continue_on_fail", [False, True])
@pytest.mark.parametrize("result", [b"[]", b"null", b'[{"json": {"n":  1.0}}]', rb'"cut \ud83d"'])
def test_a_result_is_passed_on_byte_for_byte(result: bytes, continue_on_fail: bool) -> None:
    answer = reply("t", Completed(RawJson(result)), continue_on_fail=continue_on_fail)
    assert answer == TaskDone("t", RawJson(b'{"result":' + result + b"}"))


# --- failures ---------------------------------------------------------------------------------------


@every_failure
def test_message_of_each_failure(outcome: Outcome, message: str, kind: str) -> None:
    error = error_of(outcome)
    assert error["message"] == message
    assert isinstance(error["description"], str)
    assert error["kind"] == error_kind(outcome) == kind


@every_failure
def test_continue_on_fail_turns_a_failure_but_never_a_cancel_into_a_result(
    outcome: Outcome, message: str, kind: str
) -> None:
    answer = reply("t", outcome, continue_on_fail=True)
    if kind in ("cancelled", "shutdown"):
        assert answer == reply("t", outcome)
        assert isinstance(answer, TaskErrorReport)
    else:
        assert isinstance(answer, TaskDone)
        assert answer.data.decode() == {"result": [{"json": {"error": message}}]}


@every_failure
def test_every_reply_is_json_without_nan_or_broken_text(outcome: Outcome, message: str, kind: str) -> None:
    for continue_on_fail in (False, True):
        answer = reply("t", outcome, continue_on_fail=continue_on_fail)
        data = answer.data if isinstance(answer, TaskDone) else answer.error
        assert RawJson.checked(data.data) == data


@pytest.mark.parametrize("exit_code", [0, 1, 255, -signal.SIGTERM, -signal.SIGKILL])
def test_a_worker_that_ended_by_itself_is_neither_a_cancel_nor_a_success(exit_code: int) -> None:
    error = error_of(WorkerDied(exit_code))
    assert error["kind"] == "worker-died"
    assert error["message"] != "Task was cancelled"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(1, "1 second"), (1.0, "1 second"), (60.0, "60 seconds"), (0.5, "0.5 seconds"), (1.5, "1.5 seconds")],
)
def test_the_limit_is_told_as_a_person_would(seconds: float, text: str) -> None:
    assert error_of(TimedOut(seconds))["message"] == f"Task execution timed out after {text}"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (1_234_567, "1234567 seconds"),
        (86400.25, "86400.25 seconds"),
        (10_000_000, "10000000 seconds"),
        (1 / 3, "0.333 seconds"),
        (0.001, "0.001 seconds"),
    ],
)
def test_large_and_odd_limits_are_told_without_exponents(seconds: float, text: str) -> None:
    assert error_of(TimedOut(seconds))["message"] == f"Task execution timed out after {text}"


# --- what else an error carries ---------------------------------------------------------------------


def test_stack_and_line_number_are_passed_on_under_their_wire_names() -> None:
    error = error_of(Failed("boom", "captured stderr", stack="Traceback …", line_number=3))
    assert error == {
        "message": "boom",
        "description": "captured stderr",
        "kind": "user-code",
        "stack": "Traceback …",
        "lineNumber": 3,
    }


def test_what_is_not_known_is_left_out() -> None:
    assert error_of(Failed("boom")) == {"message": "boom", "description": "", "kind": "user-code"}


def test_a_death_says_what_is_known_about_it() -> None:
    assert error_of(WorkerDied(-9, "memory limit of 512 MiB"))["description"] == "memory limit of 512 MiB"
    assert error_of(WorkerDied(-9))["description"] != ""


@pytest.mark.parametrize("outcome", [TimedOut(60), Cancelled()])
def test_ends_that_the_runner_decided_explain_themselves(outcome: Outcome) -> None:
    assert error_of(outcome)["description"] != ""


def test_text_with_a_cut_emoji_still_makes_a_valid_message() -> None:
    answer = reply("t", Failed("cut \ud83d"))
    assert isinstance(answer, TaskErrorReport)
    assert rb"\ud83d" in answer.error.data
    assert json.loads(answer.error.data.decode())["message"] == "cut \ud83d"


@pytest.mark.parametrize("kind", get_args(FailureKind))
def test_the_kind_of_a_failure_is_its_name(kind: FailureKind) -> None:
    assert error_kind(Failed("x", kind=kind)) == kind


def test_the_kind_of_a_success() -> None:
    assert error_kind(Completed(RawJson.NULL)) == "completed"


@pytest.mark.parametrize(
    ("death", "cause"),
    [
        (WorkerDied(0), "exit"),
        (WorkerDied(3), "exit"),
        (WorkerDied(-signal.SIGKILL), "SIGKILL"),
        (WorkerDied(-signal.SIGKILL, "", "memory"), "memory"),
        (WorkerDied(-signal.SIGXCPU, "", "cpu"), "cpu"),
        (WorkerDied(-250), "signal"),
    ],
)
def test_what_ended_a_process_in_one_word(death: WorkerDied, cause: str) -> None:
    assert death_cause(death) == cause
