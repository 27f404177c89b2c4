"""From events to lines: what is said, how loudly, with which remedy, and what is held back."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, get_args

import attrs
import pytest

from trio_runner.scheduling import observer as events
from trio_runner.service.logs.narration import LoggingObserver

from .captured import capture_logs

BROKER = "http://127.0.0.1:5679"


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def lines() -> Iterator[list[Any]]:
    with capture_logs() as captured:
        yield captured


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def observer(lines: list[Any], clock: Clock) -> LoggingObserver:
    return LoggingObserver(clock)


def down(error: str = "refused", *, tasks_stopped: int = 0) -> events.LinkDown:
    return events.LinkDown(BROKER, error, 5.0, tasks_stopped)


def ended(outcome: str, message: str = "") -> events.TaskEnded:
    return events.TaskEnded(BROKER, "t1", outcome, message, 1.25, 42)


def sample(cls: type[Any]) -> Any:
    """Make an event of any class, with something in each field."""
    values: dict[str, Any] = {"str": "text", "float": 1.0, "int": 1, "float | None": 1.0, "bool": False}
    values |= {"int | None": 1}
    values |= {"tuple[str, ...]": ("python",)}
    return cls(*[values[str(field.type)] for field in attrs.fields(cls)])


@pytest.mark.parametrize("cls", get_args(events.Event))
def test_every_kind_of_event_has_a_line_of_its_own(
    cls: type[Any], observer: LoggingObserver, lines: list[Any]
) -> None:
    observer.observe(sample(cls))
    assert len(lines) == 1
    assert lines[0]["event"] != cls.__name__, "it was written by the fallback"


def test_a_message_that_crossed_the_end_of_its_task_is_no_news(
    observer: LoggingObserver, lines: list[Any]
) -> None:
    observer.observe(events.MessageIgnored("requester r", "requester:rpcresponse about a task", late=True))
    observer.observe(events.MessageIgnored("requester r", "not JSON"))
    assert [line["log_level"] for line in lines] == ["debug", "info"]


def test_an_unknown_event_is_a_debug_line(observer: LoggingObserver, lines: list[Any]) -> None:
    @attrs.frozen
    class Novelty:
        what: str

    observer.observe(Novelty("x"))  # type: ignore[arg-type]
    assert [(line["event"], line["log_level"]) for line in lines] == [("Novelty", "debug")]


def test_connecting(observer: LoggingObserver, lines: list[Any]) -> None:
    observer.observe(events.LinkUp(BROKER))
    observer.observe(events.Registered(BROKER))
    assert [line["event"] for line in lines] == ["Connected to broker", "Registered with broker"]
    assert {line["log_level"] for line in lines} == {"info"}
    assert {line["broker"] for line in lines} == {BROKER}


def test_a_broker_that_stays_down_is_said_once_a_minute(
    observer: LoggingObserver, lines: list[Any], clock: Clock
) -> None:
    for _ in range(25):  # 120 seconds
        observer.observe(down())
        clock.now += 5
    assert [(line["event"], line.get("repeated")) for line in lines] == [
        ("No connection to broker: refused", None),
        ("No connection to broker: refused", 12),
        ("No connection to broker: refused", 12),
    ]
    assert {line["log_level"] for line in lines} == {"warning"}
    assert lines[0]["retry_in"] == 5


def test_another_reason_is_said_at_once(observer: LoggingObserver, lines: list[Any]) -> None:
    observer.observe(down("refused"))
    observer.observe(down("403"))
    observer.observe(down("refused"))
    assert [line["event"][-7:] for line in lines] == ["refused", "er: 403"]


def test_a_second_outage_is_said_again(observer: LoggingObserver, lines: list[Any]) -> None:
    observer.observe(down(tasks_stopped=2))
    observer.observe(events.Registered(BROKER))
    observer.observe(down())
    assert [line["event"][:8] for line in lines] == ["No conne", "Register", "No conne"]
    assert [line.get("tasks_stopped") for line in lines] == [2, None, None]


def test_a_broker_that_comes_and_goes_does_not_flood_the_log(
    observer: LoggingObserver, lines: list[Any], clock: Clock
) -> None:
    for index in range(600):  # a minute
        observer.observe(events.LinkUp(BROKER))
        observer.observe(events.Registered(BROKER))
        observer.observe(down(f"error {index}"))
        clock.now += 0.099
    assert len(lines) == 15


def test_the_end_of_the_runner_is_left_to_the_daemon(observer: LoggingObserver, lines: list[Any]) -> None:
    observer.observe(events.LinkDown(BROKER, "grant token spent", None))
    assert not lines


def test_a_completed_task_names_its_owner(observer: LoggingObserver, lines: list[Any]) -> None:
    observer.observe(events.TaskStarted(BROKER, "t1", "w1", "Invoices", "Unknown", "Clean"))
    observer.observe(ended("completed"))
    line = lines[-1]
    assert (line["event"], line["log_level"]) == ("Task completed", "info")
    assert (line["task"], line["workflow"], line["node"]) == ("t1", "Invoices (w1)", "Clean")
    assert (line["seconds"], line["result_bytes"]) == (1.25, 42)
    observer.observe(events.TaskStarted(BROKER, "t1", "Unknown", "Unknown", "Unknown", "Unknown"))
    observer.observe(ended("completed"))
    assert "workflow" not in lines[-1], "what is not known is left out"
    observer.observe(ended("completed"))
    assert "workflow" not in lines[-1], "the owner of an earlier task is forgotten"


@pytest.mark.parametrize(
    ("outcome", "level", "remedy"),
    [
        ("user-code", "info", "author"),
        ("policy", "info", "N8N_RUNNERS_STDLIB_ALLOW"),
        ("settings", "info", "settings"),
        ("result", "info", "N8N_RUNNERS_MAX_PAYLOAD"),
        ("timeout", "warning", "N8N_RUNNERS_TASK_TIMEOUT"),
        ("worker-died", "warning", "memory"),
        ("link-lost", "info", "ask again"),
        ("no-settings", "warning", "settings"),
        ("runner", "warning", "machine"),
    ],
)
def test_a_failed_task_comes_with_a_remedy(
    outcome: str, level: str, remedy: str, observer: LoggingObserver, lines: list[Any]
) -> None:
    observer.observe(ended(outcome, "what happened"))
    line = lines[0]
    assert (line["event"], line["log_level"]) == ("Task failed: what happened", level)
    assert line["outcome"] == outcome
    assert remedy in line["remedy"]


@pytest.mark.parametrize("cause", ["memory", "cpu"])
def test_a_task_that_reached_a_limit_comes_with_its_setting(
    cause: str, observer: LoggingObserver, lines: list[Any]
) -> None:
    observer.observe(attrs.evolve(ended("worker-died", "killed"), cause=cause))
    assert f"TRIO_RUNNER_TASK_{cause.upper()}" in lines[0]["remedy"]


def test_a_task_killed_at_shutdown_is_named(observer: LoggingObserver, lines: list[Any]) -> None:
    observer.observe(events.TaskStarted(BROKER, "t1", "w1", "Invoices", "n1", "Clean"))
    observer.observe(ended("shutdown", "Task was cancelled"))
    line = lines[-1]
    assert (line["event"], line["log_level"]) == ("Task killed at shutdown", "warning")
    assert (line["task"], line["workflow"], line["node"]) == ("t1", "Invoices (w1)", "Clean (n1)")
    assert "N8N_RUNNERS_GRACEFUL_SHUTDOWN_TIMEOUT" in line["remedy"]


def test_a_cancelled_task_is_no_failure(observer: LoggingObserver, lines: list[Any]) -> None:
    observer.observe(ended("cancelled", "Task was cancelled"))
    assert (lines[0]["event"], lines[0]["log_level"]) == ("Task cancelled", "info")


def test_prints_are_tagged(observer: LoggingObserver, lines: list[Any]) -> None:
    observer.observe(events.TaskPrinted(BROKER, "t1", "hello"))
    assert (lines[0]["event"], lines[0]["log_level"], lines[0]["task"]) == ("hello", "info", "t1")
    assert lines[0]["origin"] == "user code"


def test_draining_says_who_asked(observer: LoggingObserver, lines: list[Any]) -> None:
    observer.observe(events.RunnerDraining(BROKER, 2))
    observer.observe(events.RunnerDraining("", 3))
    assert lines[0]["broker"] == BROKER
    assert "Shutting down" in lines[1]["event"]
    assert [line["running"] for line in lines] == [2, 3]


def test_refused_peers_do_not_flood_the_log(
    observer: LoggingObserver, lines: list[Any], clock: Clock
) -> None:
    for number in range(1000):
        observer.observe(events.PeerRefused(f"10.0.0.{number}", 403, "unknown token"))
    clock.now += 61
    observer.observe(events.PeerRefused("10.0.0.1", 403, "unknown token"))
    assert len(lines) == 6
    assert lines[-1]["repeated"] == 996


@pytest.mark.parametrize(("failed", "level"), [(0, "info"), (2, "warning")])
def test_a_peer_that_leaves_with_tasks_is_a_warning(
    failed: int, level: str, observer: LoggingObserver, lines: list[Any]
) -> None:
    observer.observe(events.PeerLeft("runner", "r1", "connection lost", failed))
    assert (lines[0]["event"], lines[0]["log_level"]) == ("Runner gone: connection lost", level)


@pytest.mark.parametrize(
    ("outcome", "level"),
    [
        ("done", "info"),
        ("error", "info"),
        ("cancelled", "info"),
        ("runner-lost", "warning"),
        ("timeout", "warning"),
        ("no-settings", "warning"),
    ],
)
def test_tasks_of_a_broker(outcome: str, level: str, observer: LoggingObserver, lines: list[Any]) -> None:
    observer.observe(events.BrokerTaskEnded("t1", "python", outcome, 0.5))
    assert (lines[0]["event"], lines[0]["log_level"]) == (f"Task ended: {outcome}", level)
    assert ("remedy" in lines[0]) is (level == "warning")


@pytest.mark.parametrize("reason", ["timeout", "no-runner", "draining", "queue-full"])
def test_a_request_without_a_runner_comes_with_a_remedy(
    reason: str, observer: LoggingObserver, lines: list[Any]
) -> None:
    observer.observe(events.RequestGivenUp("q1", "python", reason))
    assert (lines[0]["event"], lines[0]["log_level"]) == ("A request found no runner", "warning")
    assert lines[0]["remedy"]


@pytest.mark.parametrize("reason", ["cancelled", "requester-left"])
def test_a_request_that_nobody_wants_any_more_is_no_warning(
    reason: str, observer: LoggingObserver, lines: list[Any]
) -> None:
    observer.observe(events.RequestGivenUp("q1", "python", reason))
    assert lines[0]["log_level"] == "debug"


def test_a_request_that_nobody_can_take_is_told_at_once(observer: LoggingObserver, lines: list[Any]) -> None:
    observer.observe(events.RequestEnqueued("q1", "ruby", 1, runners=0, running=0))
    observer.observe(events.RequestEnqueued("q2", "python", 1, runners=1, running=5))
    assert [line["log_level"] for line in lines] == ["warning", "debug"]
    assert "no connected runner serves its type" in lines[0]["event"]
    assert lines[0]["type"] == "ruby"
    assert lines[0]["remedy"]


def test_a_long_wait_is_worth_a_line(observer: LoggingObserver, lines: list[Any]) -> None:
    observer.observe(events.RequestAccepted("q1", "t1", "python", "r", 0.5))
    observer.observe(events.RequestAccepted("q2", "t2", "python", "r", 12.0))
    assert [line["log_level"] for line in lines] == ["debug", "info"]
    assert (lines[1]["waited"], lines[1]["runner"]) == (12.0, "r")


@pytest.mark.parametrize("how", ["expired", "full", "draining", "rejected", "missed", "runner-lost"])
def test_a_runner_that_does_not_take_a_task_says_why(
    how: str, observer: LoggingObserver, lines: list[Any]
) -> None:
    observer.observe(events.MatchDeclined("q1", "t1", "python", "r", how, "its own words", 3.0))
    assert lines[0]["event"] == f"A runner did not take a task: {how}"
    assert lines[0]["log_level"] == "info"
    assert lines[0]["remedy"]
    assert ("reason" in lines[0]) == (how == "rejected")


def test_a_request_given_up_says_what_it_went_through(observer: LoggingObserver, lines: list[Any]) -> None:
    observer.observe(events.RequestGivenUp("q1", "python", "timeout", 60.0, 2, 10))
    observer.observe(events.RequestGivenUp("q2", "ruby", "timeout", 60.0, 2, 0, 29, "expired"))
    assert (lines[0]["waited"], lines[0]["runners"], lines[0]["running"]) == (60.0, 2, 10)
    assert "declines" not in lines[0]
    assert "busy" in lines[0]["remedy"]
    assert (lines[1]["declines"], lines[1]["last_decline"]) == (29, "expired")
    assert "the runner's offer had run out" in lines[1]["remedy"]
