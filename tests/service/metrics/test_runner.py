"""The metrics of a runner, read by the official parser."""

from __future__ import annotations

import re
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from trio_runner import __version__
from trio_runner.runner.statistics import Readiness
from trio_runner.scheduling import observer as events
from trio_runner.service.metrics.runner import RunnerMetrics

from ..status.samples import runner

SUFFIXES = ("_seconds", "_bytes", "_total", "_info")


def ended(outcome: str, cause: str = "", started: float | None = 0.25) -> events.TaskEnded:
    return events.TaskEnded("http://a", "t", outcome, "", 1.25, 5000, "python", 0.1, started, cause)


def samples(metrics: RunnerMetrics) -> dict[tuple[str, ...], float]:
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(metrics.exposition().decode())
        for sample in family.samples
    }


def test_a_snapshot_becomes_gauges_and_counters() -> None:
    found = samples(RunnerMetrics(runner))
    assert found["trio_runner_slots",] == 2
    assert found["trio_runner_slots_taken",] == 1
    assert found["trio_runner_ready",] == 1
    assert found["trio_runner_tasks_total", "completed"] == 30
    assert found["trio_runner_tasks_total", "timeout"] == 0
    assert found["trio_runner_accepts_rejected_total", "full"] == 3
    assert found["trio_runner_connection_round_trip_seconds", "http://a:5679"] == 0.0004
    assert found["trio_runner_info", "runner-one", __version__] == 1


def test_what_is_not_ready_is_0() -> None:
    bad = runner(readiness=Readiness(False, "no-broker", "none"))
    assert samples(RunnerMetrics(lambda: bad))["trio_runner_ready",] == 0


def test_ends_of_tasks_become_histograms_and_kills() -> None:
    metrics = RunnerMetrics(runner)
    for event in (
        ended("completed"),
        ended("timeout"),
        ended("worker-died", "SIGSEGV"),
        ended("no-settings", started=None),
    ):
        metrics.observe(event)
    found = samples(metrics)
    assert found["trio_runner_task_start_seconds_count",] == 3
    assert found["trio_runner_task_start_seconds_sum",] == 0.75
    assert found["trio_runner_task_run_seconds_sum",] == 3.0
    assert found["trio_runner_task_result_bytes_sum",] == 5000
    assert found["trio_runner_worker_kills_total", "timeout"] == 1
    assert found["trio_runner_worker_kills_total", "SIGSEGV"] == 1


def test_ends_of_workers_become_histograms() -> None:
    metrics = RunnerMetrics(runner)
    metrics.observe(events.WorkerGone(0.002, 20_000_000, had_task=True))
    metrics.observe(events.WorkerGone(None, None, had_task=True))
    metrics.observe(events.WorkerGone(0.004, 10_000_000, had_task=False))
    metrics.lagged(0.003)
    found = samples(metrics)
    assert found["trio_runner_worker_start_seconds_count",] == 2
    assert found["trio_runner_worker_peak_memory_bytes_sum",] == 20_000_000
    assert found["trio_runner_event_loop_lag_seconds_count",] == 1


def test_names_and_labels_keep_the_conventions() -> None:
    metrics = RunnerMetrics(runner)
    metrics.observe(ended("worker-died", "SIGKILL"))
    for family in text_string_to_metric_families(metrics.exposition().decode()):
        assert re.fullmatch(r"trio_runner_[a-z_]+", family.name), family.name
        assert family.documentation.endswith("."), family.name
        if family.type == "histogram":
            assert family.name.endswith(("_seconds", "_bytes")), family.name
        for sample in family.samples:
            assert not {"task", "task_id", "workflow", "node"} & set(sample.labels)


def test_events_of_no_interest_change_nothing() -> None:
    metrics = RunnerMetrics(runner)

    def figures() -> Any:
        return {key: value for key, value in samples(metrics).items() if not key[0].endswith("_created")}

    before = figures()
    metrics.observe(events.OfferSent("http://a", "o", "python"))
    metrics.observe(events.LinkUp("http://a"))
    assert figures() == before
