"""The metrics of a broker. See `trio_runner.service.metrics.runner` for how they are kept.

Task types are labels, and peers make them up: only the first so many get a label of their own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

from prometheus_client import CollectorRegistry, Histogram, generate_latest
from prometheus_client.metrics_core import Metric

from ... import __version__
from ...scheduling import observer as events
from ...scheduling.matching.statistics import BrokerStatistics
from .buckets import LAG, SECONDS
from .families import SnapshotCollector, counter, gauge, info

__all__ = ["BrokerMetrics"]

# Task types with labels of their own; a requester that makes up new ones must not fill a Prometheus.
_MOST_TYPES = 50
_OTHER = "other"
_GIVEN_UP = ("timeout", "no-runner", "draining", "queue-full", "cancelled", "requester-left")
_DECLINED = ("expired", "full", "draining", "rejected", "deferred", "missed", "runner-lost")
_ENDED = ("done", "error", "cancelled", "runner-lost", "no-settings", "timeout")


class BrokerMetrics:
    """Counts what a broker does. An observer, and what ``/metrics`` answers.

    Args:
        statistics: the snapshot of the broker.
    """

    def __init__(self, statistics: Callable[[], BrokerStatistics]) -> None:
        self._types: dict[str, str] = {}
        self._waits: dict[str, Histogram] = {}
        self._runs: dict[str, Histogram] = {}
        self._registry = CollectorRegistry(auto_describe=False)
        self._wait = Histogram(
            "trio_runner_broker_request_wait_seconds",
            "From the arrival of a request until a runner took it, by task type.",
            ["task_type"],
            buckets=SECONDS,
            registry=self._registry,
        )
        self._run = Histogram(
            "trio_runner_broker_task_seconds",
            "From the accept of a task to its end, by task type.",
            ["task_type"],
            buckets=SECONDS,
            registry=self._registry,
        )
        self._lag = Histogram(
            "trio_runner_event_loop_lag_seconds",
            "How late a timer of the event loop was, looked at once a second.",
            buckets=LAG,
            registry=self._registry,
        )
        self._registry.register(SnapshotCollector(lambda: self._families(statistics())))

    def observe(self, event: events.Event) -> None:
        """Take note of an event."""
        if isinstance(event, events.RequestAccepted):
            self._child(self._waits, self._wait, event.task_type).observe(event.waited)
        elif isinstance(event, events.BrokerTaskEnded):
            self._child(self._runs, self._run, event.task_type).observe(event.seconds)

    def lagged(self, seconds: float) -> None:
        """Take note of how late a timer was."""
        self._lag.observe(seconds)

    def exposition(self) -> bytes:
        """Return all metrics in the text format of Prometheus."""
        return generate_latest(self._registry)

    def _child(self, children: dict[str, Histogram], family: Histogram, task_type: str) -> Histogram:
        """Return the histogram of a task type; looking it up in the library would cost more than noting."""
        label = self._label(task_type)
        child = children.get(label)
        if child is None:
            child = children[label] = family.labels(label)
        return child

    def _label(self, task_type: str) -> str:
        label = self._types.get(task_type)
        if label is not None:
            return label
        if len(self._types) >= _MOST_TYPES:
            return _OTHER
        self._types[task_type] = task_type
        return task_type

    def _by_type(self, values: Mapping[str, float]) -> dict[tuple[str, ...], float]:
        """Sum values by the labels of their types; every type that was ever seen has one."""
        sums: dict[tuple[str, ...], float] = {(label,): 0.0 for label in self._types.values()}
        for task_type, value in values.items():
            label = (self._label(task_type),)
            sums[label] = sums.get(label, 0.0) + value
        return sums

    def _families(self, now: BrokerStatistics) -> Iterator[Metric]:
        types = ["task_type"]
        yield info("trio_runner_broker_info", "The broker; always 1.", {"version": __version__})
        yield gauge("trio_runner_broker_uptime_seconds", "Since the broker was started.", now.uptime)
        yield gauge("trio_runner_broker_draining", "1 while it takes no requests.", float(now.draining))
        yield gauge("trio_runner_broker_runners", "Registered runners.", now.runners)
        yield gauge("trio_runner_broker_requesters", "Connected requesters.", now.requesters)
        yield gauge(
            "trio_runner_broker_serving_runners",
            "Registered runners that serve the task type.",
            self._by_type(_serving(now)),
            types,
        )
        yield gauge(
            "trio_runner_broker_queue_length",
            "Requests that wait for a runner.",
            self._by_type(dict(now.waiting)),
            types,
        )
        yield gauge(
            "trio_runner_broker_queue_oldest_seconds",
            "How long the request has waited that waits longest.",
            self._by_type({entry: line.oldest for entry, line in now.queue.items()}),
            types,
        )
        yield gauge(
            "trio_runner_broker_offers_open",
            "Offers of runners that may be taken.",
            self._by_type(dict(now.open_offers)),
            types,
        )
        yield gauge(
            "trio_runner_broker_tasks_running",
            "Accepted tasks that have not ended.",
            self._by_type(dict(now.running)),
            types,
        )
        yield from _totals(now)


def _serving(now: BrokerStatistics) -> dict[str, float]:
    serving: dict[str, float] = {}
    for runner in now.fleet:
        for task_type in runner.task_types:
            serving[task_type] = serving.get(task_type, 0) + 1
    return serving


def _totals(now: BrokerStatistics) -> Iterator[Metric]:
    yield counter("trio_runner_broker_requests_total", "Requests received.", now.requests)
    yield counter("trio_runner_broker_matches_total", "Matches of requests and offers.", now.matched)
    yield counter("trio_runner_broker_offers_total", "Offers received from runners.", now.offers)
    yield counter(
        "trio_runner_broker_offers_expired_total", "Offers that nobody used in time.", now.offers_expired
    )
    yield counter(
        "trio_runner_broker_matches_declined_total",
        "Matches that came to nothing, by how.",
        _by_word(_DECLINED, now.declined),
        ["how"],
    )
    yield counter(
        "trio_runner_broker_requests_given_up_total",
        "Requests that ended before any runner took them, by reason.",
        _by_word(_GIVEN_UP, now.given_up),
        ["reason"],
    )
    yield counter(
        "trio_runner_broker_tasks_total",
        "Accepted tasks that have ended, by outcome.",
        _by_word(_ENDED, now.ended),
        ["outcome"],
    )


def _by_word(words: Iterable[str], counts: Mapping[str, int]) -> dict[tuple[str, ...], float]:
    """Return counts by word, 0 for those that have not happened: a rate needs a beginning."""
    return {(word,): float(count) for word, count in (dict.fromkeys(words, 0) | dict(counts)).items()}
