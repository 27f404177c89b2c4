"""The metrics of a runner.

Theory of operation. What is counted anyway is taken from the snapshot when somebody asks. Only what needs a
histogram is noted as it happens, and of all events just two are looked at: the end of a task and the end of
a worker. Nothing is labelled by task, workflow or node: they are without number.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.metrics_core import Metric

from ... import __version__
from ...runner.statistics import BrokerState, RunnerStatistics
from ...scheduling import observer as events
from ...scheduling.ledger import ALREADY_HELD, AT_CAPACITY, OFFER_EXPIRED, SHUTTING_DOWN
from .buckets import BYTES, LAG, SECONDS
from .families import SnapshotCollector, counter, gauge, info

__all__ = ["RunnerMetrics"]

_REJECTIONS = {
    OFFER_EXPIRED: "expired",
    AT_CAPACITY: "full",
    SHUTTING_DOWN: "draining",
    ALREADY_HELD: "already-held",
}
_OUTCOMES = (
    "completed",
    "user-code",
    "policy",
    "settings",
    "result",
    "timeout",
    "cancelled",
    "worker-died",
    "link-lost",
    "no-settings",
    "shutdown",
    "runner",
)
# Ends of tasks for which the runner itself ends the worker.
_KILLED_BY_US = frozenset({"timeout", "cancelled", "link-lost", "shutdown"})


class RunnerMetrics:
    """Counts what a runner does. An observer, and what ``/metrics`` answers.

    Args:
        statistics: the snapshot of the runner.
    """

    def __init__(self, statistics: Callable[[], RunnerStatistics]) -> None:
        self._statistics = statistics
        self._registry = CollectorRegistry(auto_describe=False)
        self._add_histograms()
        self._registry.register(SnapshotCollector(lambda: _families(statistics())))

    def _add_histograms(self) -> None:
        registry = self._registry
        self._start = Histogram(
            "trio_runner_task_start_seconds",
            "From the accept of a task until a worker had read its settings.",
            buckets=SECONDS,
            registry=registry,
        )
        self._run = Histogram(
            "trio_runner_task_run_seconds",
            "From the start of a task in its worker to its end.",
            buckets=SECONDS,
            registry=registry,
        )
        self._result = Histogram(
            "trio_runner_task_result_bytes",
            "Size of the results of completed tasks, as JSON.",
            buckets=BYTES,
            registry=registry,
        )
        self._worker_start = Histogram(
            "trio_runner_worker_start_seconds",
            "From the request for a worker process until it had been forked.",
            buckets=SECONDS,
            registry=registry,
        )
        self._peak = Histogram(
            "trio_runner_worker_peak_memory_bytes",
            "Most memory that a worker process had resident during its task, shared pages included.",
            buckets=BYTES,
            registry=registry,
        )
        self._kills = Counter(
            "trio_runner_worker_kills_total",
            "Workers that did not end by themselves after their task, by cause.",
            ["cause"],
            registry=registry,
        )
        self._lag = Histogram(
            "trio_runner_event_loop_lag_seconds",
            "How late a timer of the event loop was, looked at once a second.",
            buckets=LAG,
            registry=registry,
        )

    def observe(self, event: events.Event) -> None:
        """Take note of an event."""
        if isinstance(event, events.TaskEnded):
            self._task_ended(event)
        elif isinstance(event, events.WorkerGone):
            self._worker_gone(event)

    def lagged(self, seconds: float) -> None:
        """Take note of how late a timer was."""
        self._lag.observe(seconds)

    def exposition(self) -> bytes:
        """Return all metrics in the text format of Prometheus."""
        return generate_latest(self._registry)

    def _task_ended(self, event: events.TaskEnded) -> None:
        if event.started_after is not None:
            self._start.observe(event.started_after)
            self._run.observe(event.seconds - event.started_after)
        if event.outcome == "completed":
            self._result.observe(event.result_size)
        elif event.outcome in _KILLED_BY_US:
            self._kills.labels(event.outcome).inc()
        elif event.outcome == "worker-died":
            self._kills.labels(event.cause or "unknown").inc()

    def _worker_gone(self, event: events.WorkerGone) -> None:
        if event.start_seconds is not None:
            self._worker_start.observe(event.start_seconds)
        if event.had_task and event.peak_memory is not None:
            self._peak.observe(event.peak_memory)


def _families(now: RunnerStatistics) -> Iterator[Metric]:
    yield info("trio_runner_info", "The runner; always 1.", {"version": __version__, "id": now.runner_id})
    yield gauge("trio_runner_uptime_seconds", "Since the runner began to run.", now.uptime)
    yield gauge("trio_runner_ready", "1 if a task could come now, else 0.", float(now.ready))
    yield gauge("trio_runner_draining", "1 while it takes no more tasks.", float(now.ledger.draining))
    yield from _slots(now)
    yield from _offers(now)
    yield from _brokers(now)
    yield from _workers(now)


def _slots(now: RunnerStatistics) -> Iterator[Metric]:
    yield gauge("trio_runner_slots", "Tasks that may run at once.", now.ledger.slots)
    yield gauge("trio_runner_slots_taken", "Slots that tasks hold now.", now.ledger.held)
    outcomes = dict.fromkeys(_OUTCOMES, 0) | dict(now.outcomes)
    ended: dict[tuple[str, ...], float] = {(outcome,): float(count) for outcome, count in outcomes.items()}
    yield counter("trio_runner_tasks_total", "Tasks that have ended, by outcome.", ended, ["outcome"])


def _offers(now: RunnerStatistics) -> Iterator[Metric]:
    ledger = now.ledger
    yield counter("trio_runner_offers_sent_total", "Offers sent to brokers.", ledger.offers_sent)
    yield counter("trio_runner_offers_accepted_total", "Offers that became tasks.", ledger.offers_accepted)
    yield counter("trio_runner_offers_expired_total", "Offers that ran out.", ledger.offers_expired)
    yield counter(
        "trio_runner_offers_voided_total",
        "Offers withdrawn by a drain or a lost connection.",
        ledger.offers_voided,
    )
    known: dict[tuple[str, ...], float] = {
        (word,): float(ledger.rejections.get(reason, 0)) for reason, word in _REJECTIONS.items()
    }
    other = sum(count for reason, count in ledger.rejections.items() if reason not in _REJECTIONS)
    yield counter(
        "trio_runner_accepts_rejected_total",
        "Accepts of brokers that the runner turned down, by reason.",
        known | ({("other",): float(other)} if other else {}),
        ["reason"],
    )


def _brokers(now: RunnerStatistics) -> Iterator[Metric]:
    brokers = now.brokers
    label = ["broker"]
    yield gauge(
        "trio_runner_connection_registered",
        "1 while the broker has the runner registered, else 0.",
        {(entry.broker,): float(entry.state is BrokerState.REGISTERED) for entry in brokers},
        label,
    )
    yield gauge(
        "trio_runner_offers_open",
        "Offers that the broker may take now.",
        {(entry.broker,): entry.open_offers for entry in brokers},
        label,
    )
    yield gauge(
        "trio_runner_connection_age_seconds",
        "Since the connection to the broker was made; absent without one.",
        {(entry.broker,): entry.session_age for entry in brokers if entry.session_age is not None},
        label,
    )
    yield gauge(
        "trio_runner_connection_round_trip_seconds",
        "How long the broker took to answer the last ping; absent while not known.",
        {(entry.broker,): entry.round_trip for entry in brokers if entry.round_trip is not None},
        label,
    )
    yield gauge(
        "trio_runner_connection_silent_seconds",
        "Since anything came from the broker; absent without a connection.",
        {(entry.broker,): entry.silent_for for entry in brokers if entry.silent_for is not None},
        label,
    )
    yield counter(
        "trio_runner_connections_total",
        "Connections made to the broker.",
        {(entry.broker,): entry.connections for entry in brokers},
        label,
    )
    yield counter(
        "trio_runner_connection_failures_total",
        "Connections to the broker that were lost or could not be made.",
        {(entry.broker,): entry.failures for entry in brokers},
        label,
    )


def _workers(now: RunnerStatistics) -> Iterator[Metric]:
    executor = now.executor
    yield gauge("trio_runner_workers_idle", "Worker processes that wait for a task.", executor.idle_workers)
    yield gauge("trio_runner_tasks_waiting", "Accepted tasks that wait for a worker.", executor.waiting)
    yield gauge(
        "trio_runner_workers_startable",
        "1 while workers can be started, else 0.",
        float(not executor.trouble),
    )
