"""Error reports: what they hold, and that nothing of a task, a token or a machine is ever in one."""

from __future__ import annotations

import json
import socket
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import sentry_sdk
from sentry_sdk.envelope import Envelope
from sentry_sdk.transport import Transport

from trio_runner.errors import ConfigError, RemoteProtocolError
from trio_runner.scheduling.observer import ExecutorTrouble, TaskEnded, TaskPrinted
from trio_runner.service.error_reports import ErrorReports, ReportLabels, open_error_reports

DSN = "https://key-0123456789@sentry.example/1"
SECRET = "what-somebody-sent"


class Wire(Transport):
    """A transport that keeps what would leave."""

    envelopes: list[Envelope]

    def __init__(self, options: Any = None) -> None:
        super().__init__(options)

    def capture_envelope(self, envelope: Envelope) -> None:
        self.envelopes.append(envelope)


@pytest.fixture
def sent() -> Iterator[list[Envelope]]:
    Wire.envelopes = []
    yield Wire.envelopes


@pytest.fixture
def reports(sent: list[Envelope]) -> ErrorReports:
    labels = ReportLabels(n8n_version="2.41.0", environment="test", deployment="eu-1")
    return open_error_reports(DSN, labels, transport=Wire)


def events(sent: list[Envelope]) -> list[dict[str, Any]]:
    return [item for envelope in sent if (item := envelope.get_event()) is not None]  # type: ignore[misc]


def raise_a_fault(payload: str) -> None:
    local = payload
    raise KeyError(local)


def test_a_fault_is_its_type_and_where_it_happened(reports: ErrorReports, sent: list[Envelope]) -> None:
    try:
        raise_a_fault(SECRET)
    except KeyError as exc:
        reports.fault(ExceptionGroup(SECRET, [exc]))
    (event,) = events(sent)
    (value,) = event["exception"]["values"]
    assert (value["type"], value["value"]) == ("KeyError", "")
    assert value["stacktrace"]["frames"][-1]["function"] == "raise_a_fault"
    assert set(value["stacktrace"]["frames"][-1]) == {"filename", "function", "lineno", "in_app"}
    assert (event["release"], event["environment"], event["server_name"]) == ("n8n@2.41.0", "test", "eu-1")
    assert event["level"] == "fatal"


def test_nothing_else_leaves(reports: ErrorReports, sent: list[Envelope]) -> None:
    sentry_sdk.set_tag("mine", SECRET)
    sentry_sdk.add_breadcrumb(message=SECRET)
    try:
        raise_a_fault(SECRET)
    except KeyError as exc:
        reports.fault(exc)
        reports.fault(RemoteProtocolError(f"tasksettings: code is '{SECRET}', not a text"))
    for why in (
        f"task {SECRET}: ValueError('{SECRET}')",
        f'task {SECRET}: ValueError("it\'s {SECRET}")',
        f"workers cannot be started: python: {SECRET}",
        f"a worker ended without having had a task: {SECRET}".replace(SECRET, f"'{SECRET}'"),
        f"preload: '{SECRET}' is not loaded",
        f"first line\n{SECRET}",
    ):
        reports.observe(ExecutorTrouble(why))
    assert len(events(sent)) == 7, "two of them are the same in our own words"
    for envelope in sent:
        wire = envelope.serialize().decode()
        assert SECRET not in wire
        assert socket.gethostname() not in json.dumps(events([envelope])), "the machine is nobody's business"
        assert sys.prefix not in wire
    allowed = {"event_id", "timestamp", "platform", "level", "exception", "message", "release"}
    allowed |= {"environment", "server_name", "tags", "sdk"}
    assert set().union(*events(sent)) <= allowed


def test_the_sdk_patches_and_captures_nothing(reports: ErrorReports) -> None:
    assert sys.excepthook is sys.__excepthook__
    assert not reports._client.integrations
    assert not sentry_sdk.get_client().is_active(), "an application's own Sentry is left alone"


def test_only_trouble_with_workers_is_reported(reports: ErrorReports, sent: list[Envelope]) -> None:
    reports.observe(TaskPrinted("b", "t", SECRET))
    reports.observe(TaskEnded("b", "t", "user-code", SECRET, 1.0, 0))
    for _ in range(2):
        reports.observe(ExecutorTrouble("a worker cannot be made: Too many open files"))
    (event,) = events(sent)
    assert event["message"] == "Workers: a worker cannot be made: Too many open files"


def test_the_same_again_after_an_hour(sent: list[Envelope]) -> None:
    now = [0.0]
    client = open_error_reports(DSN, ReportLabels(), transport=Wire)._client
    reports = ErrorReports(client, clock=lambda: now[0])
    for seconds in (0, 10, 3599, 3600):
        now[0] = float(seconds)
        reports.observe(ExecutorTrouble("the process that forks workers was lost (it ended); another starts"))
    assert [event["message"] for event in events(sent)] == [
        "Workers: the process that forks workers was lost"
    ] * 2
    reports.close()


def test_without_the_package_it_is_one_line_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sentry_sdk", None)
    with pytest.raises(ConfigError, match=r"^N8N_SENTRY_DSN .*pip install 'trio-runner\[sentry\]'"):
        open_error_reports(DSN, ReportLabels())


def test_what_is_no_dsn_is_one_line_that_does_not_repeat_it() -> None:
    with pytest.raises(ConfigError, match=r"is no DSN.*copy it") as caught:
        open_error_reports("https://secret-thing.example", ReportLabels())
    assert "secret-thing" not in str(caught.value)
