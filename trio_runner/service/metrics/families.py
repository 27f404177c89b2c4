"""Metric families that are made from a snapshot when somebody asks for them: they cost nothing until then."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

__all__ = ["SnapshotCollector", "counter", "gauge", "info"]

Labelled = Mapping[tuple[str, ...], float]


class SnapshotCollector(Collector):
    """Gives a registry the families of one snapshot at a time.

    Args:
        families: makes them from the snapshot of this moment.
        described: the same with nothing in them: the names that the registry must know beforehand.
    """

    def __init__(self, families: Callable[[], Iterable[Metric]]) -> None:
        self._families = families

    def collect(self) -> Iterator[Metric]:
        """Yield the families of this moment."""
        yield from self._families()


def gauge(name: str, about: str, values: float | Labelled, labels: Sequence[str] = ()) -> GaugeMetricFamily:
    """Return a gauge; with labels, one value for each combination of theirs."""
    family = GaugeMetricFamily(name, about, labels=labels)
    _fill(family, values)
    return family


def counter(
    name: str, about: str, values: float | Labelled, labels: Sequence[str] = ()
) -> CounterMetricFamily:
    """Return a counter, whose name ends in ``_total``; with labels, one value for each combination."""
    family = CounterMetricFamily(name.removesuffix("_total"), about, labels=labels)
    _fill(family, values)
    return family


def info(name: str, about: str, facts: Mapping[str, str]) -> GaugeMetricFamily:
    """Return a gauge that is always 1 and has facts for labels."""
    return gauge(name, about, {tuple(facts.values()): 1}, list(facts))


def _fill(family: GaugeMetricFamily | CounterMetricFamily, values: float | Labelled) -> None:
    if isinstance(values, Mapping):
        for labels, value in values.items():
            family.add_metric(list(labels), value)
    else:
        family.add_metric([], values)
