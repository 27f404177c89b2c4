"""The page about metrics in the documentation, made from the metrics themselves.

``python -m trio_runner.service.metrics.documentation`` writes it to standard output.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import attrs
from prometheus_client.parser import text_string_to_metric_families

from ...runner.config import RunnerConfig
from ...runner.serve import Runner
from ...scheduling import observer as events
from ...scheduling.matching.matchmaker import Matchmaker
from ...scheduling.matching.statistics import LineStatistics
from .broker import BrokerMetrics
from .runner import RunnerMetrics

__all__ = ["page"]

_HEAD = """\
# Metrics

<!-- Made by `make docs` from trio_runner/service/metrics. -->

`trio-runner run --health-check` answers `GET /metrics` on its health port (5681), `trio-runner broker
--health-check` on a port of its own (5680), never on the one that runners connect to. Both in the text
format of Prometheus:

```yaml
scrape_configs:
  - job_name: trio-runner
    static_configs:
      - targets: [127.0.0.1:5680, 127.0.0.1:5681]
```

Tasks, workflows and nodes are labels of nothing: they are without number. Task types are labels of the
broker's metrics, of which the first fifty that appear get a label of their own and all others share `other`.
A histogram also has `_bucket`, `_sum` and `_count`. `contrib/grafana-dashboard.json` shows all of it,
`contrib/prometheus-alerts.yaml` says what is worth waking somebody for, and [operations.md](operations.md)
what to conclude from what.
"""


def page() -> str:
    """Return the page."""
    sections = [("Runner", _runner()), ("Broker", _broker())]
    return _HEAD + "".join(f"\n## {title}\n\n{_table(text)}" for title, text in sections)


def _table(exposition: str) -> str:
    return "\n".join(_rows(exposition)) + "\n"


def _rows(exposition: str) -> Iterable[str]:
    yield "| metric | type | labels | meaning |"
    yield "| --- | --- | --- | --- |"
    families = text_string_to_metric_families(exposition)
    for family in sorted(families, key=lambda entry: entry.name):
        if family.name.endswith("_created"):
            continue
        name = f"{family.name}_total" if family.type == "counter" else family.name
        labels = sorted({label for sample in family.samples for label in sample.labels} - {"le"})
        shown = ", ".join(f"`{label}`{_values(family.samples, label)}" for label in labels)
        yield f"| `{name}` | {family.type} | {shown} | {family.documentation} |"


def _values(samples: Iterable[object], label: str) -> str:
    """Return the words that a label may be, where they are our own."""
    if label not in ("outcome", "reason", "how", "cause"):
        return ""
    words = dict.fromkeys(getattr(sample, "labels", {}).get(label, "") for sample in samples)
    return f": {', '.join(filter(None, words))}"


def _runner() -> str:
    runner = Runner(RunnerConfig(auth_token="none"))  # noqa: S106 - none at all
    connected = attrs.evolve(runner.statistics().brokers[0], session_age=0.0, round_trip=0.0, silent_for=0.0)
    statistics = attrs.evolve(runner.statistics(), brokers=(connected,))
    metrics = RunnerMetrics(lambda: statistics)
    for event in _ends():
        metrics.observe(event)
    return metrics.exposition().decode()


def _ends() -> Iterator[events.TaskEnded]:
    for outcome, cause in (("timeout", ""), ("cancelled", ""), ("link-lost", ""), ("worker-died", "exit")):
        yield events.TaskEnded("", "", outcome, "", 0.0, 0, "python", None, None, cause)
    yield events.TaskEnded("", "", "worker-died", "", 0.0, 0, "python", None, None, "SIGKILL")


def _broker() -> str:
    empty = Matchmaker().statistics()
    statistics = attrs.evolve(empty, waiting={"python": 0}, queue={"python": LineStatistics(0, 0.0)})
    metrics = BrokerMetrics(lambda: statistics)
    metrics.observe(events.RequestAccepted("", "", "python", "", 0.0))
    metrics.observe(events.BrokerTaskEnded("", "python", "done", 0.0))
    return metrics.exposition().decode()


if __name__ == "__main__":
    print(page(), end="")
