"""The metrics of a broker, read by the official parser."""

from __future__ import annotations

from prometheus_client.parser import text_string_to_metric_families

from trio_runner.scheduling import observer as events
from trio_runner.service.metrics.broker import BrokerMetrics

from ..status.samples import broker


def samples(metrics: BrokerMetrics) -> dict[tuple[str, ...], float]:
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(metrics.exposition().decode())
        for sample in family.samples
    }


def test_a_snapshot_becomes_gauges_and_counters() -> None:
    found = samples(BrokerMetrics(broker))
    assert found["trio_runner_broker_runners",] == 1
    assert found["trio_runner_broker_queue_length", "python"] == 4
    assert found["trio_runner_broker_queue_oldest_seconds", "python"] == 2.5
    assert found["trio_runner_broker_serving_runners", "python"] == 1
    assert found["trio_runner_broker_tasks_running", "python"] == 2
    assert found["trio_runner_broker_matches_declined_total", "full"] == 1
    assert found["trio_runner_broker_matches_declined_total", "expired"] == 0
    assert found["trio_runner_broker_requests_given_up_total", "timeout"] == 1


def test_waits_and_runs_by_task_type() -> None:
    metrics = BrokerMetrics(broker)
    metrics.observe(events.RequestAccepted("q", "t", "python", "r", 2.0))
    metrics.observe(events.BrokerTaskEnded("t", "python", "done", 3.0))
    found = samples(metrics)
    assert found["trio_runner_broker_request_wait_seconds_sum", "python"] == 2
    assert found["trio_runner_broker_task_seconds_sum", "python"] == 3


def test_task_types_that_peers_make_up_share_a_label() -> None:
    metrics = BrokerMetrics(lambda: broker(waiting={f"type{n}": 1 for n in range(1000)}, queue={}))
    for number in range(1000):
        metrics.observe(events.RequestAccepted("q", "t", f"type{number}", "r", 1.0))
    found = samples(metrics)
    lengths = {key: value for key, value in found.items() if key[0] == "trio_runner_broker_queue_length"}
    assert len(lengths) == 51
    assert lengths["trio_runner_broker_queue_length", "other"] == 950
    assert found["trio_runner_broker_request_wait_seconds_count", "other"] == 950
