"""Traces: one OpenTelemetry span per task, and nothing of its code, its data or its texts.

Theory of operation. A span is made when its task has ended, from the times that the events tell, and handed
to the SDK, which sends it from a thread of its own. So the event loop never waits, and a task costs one span
and one entry in a table. No tracer of the whole process is installed. What the SDK has to say about sending
is heard from its logger and told from here, in one line now and then.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING
from urllib.parse import unquote

from .. import __version__
from ..errors import ConfigError
from ..scheduling.observer import Event, TaskEnded, TaskStarted
from .logs.logger import LOG
from .logs.repeats import Repeats

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import SpanProcessor, TracerProvider

__all__ = ["Tracing", "open_tracing"]

# Seconds that one batch may take to be sent, and that the last ones get at the end.
_SEND = 10
_FLUSH = 2.0
# Spans that wait to be sent; of a collector that does not keep up, the oldest are lost.
_MOST_WAITING = 2048
# Characters of a name of a workflow or node.
_LONGEST = 1000
_UNKNOWN = "Unknown"
# Ends that are nobody's failure: the second is what the author wanted.
_FINE = ("completed", "cancelled")
_NANOSECONDS = 1e9


class Tracing:
    """Makes spans; an observer of a runner. Made by `open_tracing`.

    Args:
        provider: makes the spans and knows where to send them. It is shut down at the end.
        endpoint: the collector, for the line that says what was lost.
        wall_clock: nanoseconds since 1970, where a span has its place among those of others.
        clock: monotonic time in seconds, for leaving out repeats.
    """

    def __init__(
        self,
        provider: TracerProvider,
        endpoint: str,
        *,
        wall_clock: Callable[[], int] = time.time_ns,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._provider = provider
        self._tracer = provider.get_tracer("trio_runner", __version__)
        self._endpoint = endpoint
        self._wall_clock = wall_clock
        self._clock = clock
        self._started: dict[tuple[str, str], TaskStarted] = {}
        self._ear = _Ear()
        self._repeats = Repeats()

    def observe(self, event: Event) -> None:
        """Remember whose task it is when it starts, and make a span of it when it has ended."""
        if isinstance(event, TaskStarted):
            self._started[event.broker, event.task_id] = event
        elif isinstance(event, TaskEnded):
            self._make_span(event, self._started.pop((event.broker, event.task_id), None))
            self._tell_what_was_lost()

    def close(self) -> None:
        """Send what is left, for a moment. Blocks: for the time after the event loop."""
        # The SDK would wait half a minute for a collector that is silent.
        closing = threading.Thread(target=self._provider.shutdown, name="traces", daemon=True)
        closing.start()
        closing.join(_FLUSH)
        if closing.is_alive():
            self._ear.heard = True
        self._tell_what_was_lost()
        self._ear.close()

    def _make_span(self, ended: TaskEnded, started: TaskStarted | None) -> None:
        from opentelemetry.trace import SpanKind, StatusCode
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        end = self._wall_clock()
        begin = end - int(ended.seconds * _NANOSECONDS)
        parent = {"traceparent": started.traceparent} if started and started.traceparent else {}
        span = self._tracer.start_span(
            f"task {ended.task_type}",
            TraceContextTextMapPropagator().extract(parent),
            SpanKind.CONSUMER,
            _attributes(ended, started),
            start_time=begin,
        )
        phases = {"accepted": 0.0, "settings": ended.settings_after, "started": ended.started_after}
        for phase, after in phases.items():
            if after is not None:
                span.add_event(phase, timestamp=begin + int(after * _NANOSECONDS))
        if ended.outcome not in _FINE:
            span.set_status(StatusCode.ERROR)
        span.end(end)

    def _tell_what_was_lost(self) -> None:
        if self._ear.heard and self._repeats.say("lost", self._clock()) is not None:
            LOG.warning(
                "Traces are lost: the collector does not take them, or not fast enough",
                endpoint=self._endpoint,
                remedy="see that it runs, is reachable and speaks OTLP over HTTP (mostly port 4318)",
            )
        self._ear.heard = False


class _Ear(logging.Handler):
    """Hears in any thread that the SDK lost spans, and keeps its lines and tracebacks out of the log."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.heard = False
        self._logger = logging.getLogger("opentelemetry")
        self._logger.addHandler(self)
        self._before, self._logger.propagate = self._logger.propagate, False

    def emit(self, record: logging.LogRecord) -> None:
        # A warning of an exporter is about an attempt that is repeated; one of the SDK, about a full queue.
        if record.levelno >= logging.ERROR or record.name.startswith("opentelemetry.sdk."):
            self.heard = True

    def close(self) -> None:
        self._logger.removeHandler(self)
        self._logger.propagate = self._before
        super().close()


def open_tracing(
    endpoint: str,
    runner_id: str,
    *,
    headers: Mapping[str, str] | None = None,
    origin: str = "TRIO_RUNNER_OTLP_ENDPOINT",
    processor: SpanProcessor | None = None,
) -> Tracing:
    """Return what sends a span per task.

    Args:
        endpoint: URL of a collector that speaks OTLP over HTTP, with its path.
        runner_id: names this runner in its spans.
        headers: OpenTelemetry's variables with headers for the collector; the first one counts.
        origin: what to call the setting of the endpoint in a message.
        processor: takes the spans instead of the one that sends them, which does so in a thread.

    Raises:
        ConfigError: the SDK is not installed, or a variable that it reads makes no sense.
    """
    about = {"service.name": "trio-runner", "service.version": __version__, "service.instance.id": runner_id}
    try:
        from opentelemetry.sdk.resources import OTELResourceDetector, Resource
        from opentelemetry.sdk.trace import SpanLimits, TracerProvider

        # Last, and first in rank: OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES.
        resource = Resource.create().merge(Resource(about)).merge(OTELResourceDetector().detect())
        limits = SpanLimits(max_attribute_length=_LONGEST)
        provider = TracerProvider(resource=resource, span_limits=limits, shutdown_on_exit=False)
        provider.add_span_processor(processor or _sender(endpoint, headers or {}))
    except ImportError:
        raise ConfigError(
            f"{origin} is set, but no traces are sent without OpenTelemetry's SDK;"
            " pip install 'trio-runner[otel]', or unset it"
        ) from None
    except (ValueError, OSError) as exc:
        raise ConfigError(
            f"{origin} is set, but no traces are sent: {exc}; correct what an OTEL_ variable says"
        ) from None
    return Tracing(provider, endpoint)


def _sender(endpoint: str, headers: Mapping[str, str]) -> SpanProcessor:
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    texts = next(iter(headers.values()), "")
    pairs = (pair.partition("=") for pair in texts.split(",") if "=" in pair)
    exporter = OTLPSpanExporter(
        endpoint=endpoint,
        headers={unquote(name.strip()).lower(): unquote(value.strip()) for name, _, value in pairs},
        timeout=_SEND,
    )
    return BatchSpanProcessor(
        exporter, max_queue_size=_MOST_WAITING, schedule_delay_millis=5000, max_export_batch_size=512
    )


def _attributes(ended: TaskEnded, started: TaskStarted | None) -> dict[str, str | int]:
    """Return what a span says: names, numbers and words of our own, never a text of the task."""
    about: dict[str, str | int] = {
        "trio_runner.task.id": ended.task_id,
        "trio_runner.task.type": ended.task_type,
        "trio_runner.broker": ended.broker,
        "trio_runner.outcome": ended.outcome,
    }
    if started is not None:
        whose = {
            "trio_runner.workflow.id": started.workflow_id,
            "trio_runner.workflow.name": started.workflow_name,
            "trio_runner.node.id": started.node_id,
            "trio_runner.node.name": started.node_name,
        }
        about |= {name: text for name, text in whose.items() if text != _UNKNOWN}
    if ended.outcome == "completed":
        about["trio_runner.result.bytes"] = ended.result_size
    elif ended.outcome not in _FINE:
        about["error.type"] = ended.outcome
    if ended.cause:
        about["trio_runner.worker.death"] = ended.cause
    return about
