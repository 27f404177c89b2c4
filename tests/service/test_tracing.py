"""Traces: what a span says and when, what it never says, and what is said when none can be sent."""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Iterator, Mapping
from logging.handlers import BufferingHandler

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from trio_runner.errors import ConfigError
from trio_runner.scheduling.observer import TaskEnded, TaskPrinted, TaskStarted
from trio_runner.service.logs.logger import writing_to
from trio_runner.service.tracing import Tracing, open_tracing

BROKER = "http://127.0.0.1:5679"
COLLECTOR = "http://127.0.0.1:9/v1/traces"
TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
SECRET = "what-somebody-sent"
NOW = 1_700_000_000_000_000_000


@pytest.fixture
def memory() -> InMemorySpanExporter:
    return InMemorySpanExporter()


@pytest.fixture
def tracing(memory: InMemorySpanExporter) -> Iterator[Tracing]:
    opened = open_tracing(COLLECTOR, "runner-1", processor=SimpleSpanProcessor(memory))
    opened._wall_clock = lambda: NOW
    yield opened
    opened.close()


@pytest.fixture
def lines() -> Iterator[list[str]]:
    said: list[str] = []

    def write(level: str, message: str, about: Mapping[str, object], trace: str) -> None:
        said.append(f"{level} {message} {dict(about)}{trace}")

    with writing_to(write):
        yield said


def start(traceparent: str = "", node_name: str = "Clean") -> TaskStarted:
    return TaskStarted(BROKER, "t1", "w1", "Invoices", "Unknown", node_name, traceparent)


def end(outcome: str = "completed", size: int = 0, cause: str = "") -> TaskEnded:
    message = "" if outcome == "completed" else SECRET
    return TaskEnded(BROKER, "t1", outcome, message, 2.0, size, "python", 0.25, 0.5, cause)


def only(memory: InMemorySpanExporter) -> ReadableSpan:
    (span,) = memory.get_finished_spans()
    return span


def test_a_task_is_a_span_with_its_phases(tracing: Tracing, memory: InMemorySpanExporter) -> None:
    tracing.observe(start())
    assert not memory.get_finished_spans()
    tracing.observe(end(size=42))
    span = only(memory)
    assert (span.name, span.kind, span.parent) == ("task python", SpanKind.CONSUMER, None)
    assert (span.start_time, span.end_time) == (NOW - 2 * 10**9, NOW)
    phases = [(event.name, event.timestamp - (NOW - 2 * 10**9)) for event in span.events]
    assert phases == [("accepted", 0), ("settings", 250_000_000), ("started", 500_000_000)]
    assert span.attributes == {
        "trio_runner.task.id": "t1",
        "trio_runner.task.type": "python",
        "trio_runner.broker": BROKER,
        "trio_runner.outcome": "completed",
        "trio_runner.workflow.id": "w1",
        "trio_runner.workflow.name": "Invoices",
        "trio_runner.node.name": "Clean",
        "trio_runner.result.bytes": 42,
    }
    assert span.status.status_code is StatusCode.UNSET
    assert span.resource.attributes["service.name"] == "trio-runner"
    assert span.resource.attributes["service.instance.id"] == "runner-1"


def test_phases_that_never_came_are_not_there(tracing: Tracing, memory: InMemorySpanExporter) -> None:
    tracing.observe(TaskEnded(BROKER, "t1", "no-settings", "none came", 5.0, 0, "python"))
    span = only(memory)
    assert [event.name for event in span.events] == ["accepted"]
    assert span.attributes is not None
    assert span.attributes["error.type"] == "no-settings"


@pytest.mark.parametrize(
    ("outcome", "cause", "status"),
    [
        ("user-code", "", StatusCode.ERROR),
        ("timeout", "", StatusCode.ERROR),
        ("link-lost", "", StatusCode.ERROR),
        ("worker-died", "SIGKILL", StatusCode.ERROR),
        ("cancelled", "", StatusCode.UNSET),
    ],
)
def test_failures_are_errors_without_their_texts(
    tracing: Tracing, memory: InMemorySpanExporter, outcome: str, cause: str, status: StatusCode
) -> None:
    tracing.observe(start())
    tracing.observe(TaskPrinted(BROKER, "t1", SECRET))
    tracing.observe(end(outcome, cause=cause))
    span = only(memory)
    assert (span.status.status_code, span.status.description) == (status, None)
    assert span.attributes is not None
    assert span.attributes["trio_runner.outcome"] == outcome
    assert span.attributes.get("error.type") == (outcome if status is StatusCode.ERROR else None)
    assert span.attributes.get("trio_runner.worker.death", "") == cause
    assert SECRET not in span.to_json()


def test_the_trace_of_who_asked_goes_on(tracing: Tracing, memory: InMemorySpanExporter) -> None:
    tracing.observe(start(f"00-{TRACE}-{SPAN}-01"))
    tracing.observe(end())
    span = only(memory)
    assert span.parent is not None
    assert (span.parent.trace_id, span.parent.span_id) == (int(TRACE, 16), int(SPAN, 16))
    assert span.context is not None
    assert span.context.trace_id == int(TRACE, 16)
    tracing.observe(start(f"00-{TRACE}-{SPAN}-00"))
    tracing.observe(end())
    assert only(memory) is span, "whoever asked does not record"


def test_long_names_are_cut_and_nothing_is_kept(tracing: Tracing, memory: InMemorySpanExporter) -> None:
    tracing.observe(start(node_name="x" * 5000))
    tracing.observe(end())
    span = only(memory)
    assert span.attributes is not None
    assert span.attributes["trio_runner.node.name"] == "x" * 1000
    assert not tracing._started


def test_no_tracer_of_the_process_is_installed(tracing: Tracing) -> None:
    assert trace.get_tracer_provider() is not tracing._provider


def test_the_environment_names_the_service(
    memory: InMemorySpanExporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_SERVICE_NAME", "runner-eu")
    tracing = open_tracing(COLLECTOR, "runner-1", processor=SimpleSpanProcessor(memory))
    tracing.observe(end())
    tracing.close()
    assert only(memory).resource.attributes["service.name"] == "runner-eu"


def test_lost_traces_are_one_line_and_the_words_of_the_sdk_none(
    tracing: Tracing, lines: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    passed_on = BufferingHandler(1000)
    monkeypatch.setattr(logging.getLogger(), "handlers", [passed_on])
    now = [0.0]
    tracing._clock = lambda: now[0]
    exporter = logging.getLogger("opentelemetry.exporter.otlp")
    exporter.warning("once more")
    tracing.observe(end())
    assert not lines, "an attempt that is repeated has lost nothing"
    for seconds in (0, 1, 59, 60):
        now[0] = float(seconds)
        exporter.error("refused")
        tracing.observe(end())
    assert len(lines) == 2
    assert lines[0].startswith("warning Traces are lost: ")
    assert COLLECTOR in lines[0]
    assert "'remedy': " in lines[0]
    logging.getLogger("opentelemetry.sdk._shared_internal").warning("Queue full")
    now[0] = 120.0
    tracing.observe(end())
    assert len(lines) == 3
    assert not passed_on.buffer
    tracing.close()
    exporter.error("no longer ours")
    assert [record.getMessage() for record in passed_on.buffer] == ["no longer ours"]


class Stuck(SpanProcessor):
    """Does not come to an end until it is released, like one whose collector is silent."""

    def __init__(self) -> None:
        self.release = threading.Event()

    def shutdown(self) -> None:
        self.release.wait()


def test_the_end_does_not_wait_for_a_silent_collector(
    lines: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trio_runner.service.tracing._FLUSH", 0.01)
    stuck = Stuck()
    tracing = open_tracing(COLLECTOR, "runner-1", processor=stuck)
    tracing.observe(end())
    assert not lines
    tracing.close()
    stuck.release.set()
    [line] = lines
    assert "Traces are lost" in line


@pytest.mark.parametrize("module", ["opentelemetry.sdk.trace", "opentelemetry.exporter.otlp.proto.http"])
def test_without_the_package_it_is_one_line_with_the_remedy(
    module: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in sys.modules if name.startswith(f"{module}.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ConfigError, match=r"^--otlp-endpoint .*pip install 'trio-runner\[otel\]'") as caught:
        open_tracing(COLLECTOR, "runner-1", origin="--otlp-endpoint")
    assert "\n" not in str(caught.value)


def test_a_variable_that_makes_no_sense_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "many")
    with pytest.raises(ConfigError, match=r"no traces are sent: .*many.*; correct what an OTEL_"):
        open_tracing(COLLECTOR, "runner-1")
