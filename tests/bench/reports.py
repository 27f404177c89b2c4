"""A report to show, write and draw."""

from __future__ import annotations

from bench.figures import Ceiling, Figure, Load, Report, ScenarioReport, Series, Target

__all__ = ["sample_report"]


def sample_report() -> Report:
    """Make a report with everything in it that a report can hold."""
    latency = ScenarioReport("latency", "Trivial task <idle> & alone", seconds=12.3456789)
    latency.figures += [
        Figure("p50", 3.5, "ms", Ceiling("round trips", 1.75), Target.value_at_most(4)),
        Figure("p99", 25.0, "ms", None, Target.value_at_most(12), note="noisy | machine"),
        Figure("rate", 300.0, "/s", Ceiling("forks", 1000.0), Target.ratio_at_least(0.5)),
        Figure("size", 7.0, "MiB"),
    ]
    latency.loads.append(Load("idle", 100, 4.0, {"broker": 1.5, "workers": 4.25}, {"broker": 3.0}))
    soak = ScenarioReport("soak", "Many tasks", notes=["failed: not done within 3 seconds"], failed=True)
    soak.series.append(Series("memory", "MiB", [10.0, 20.0], [40.0, 41.0]))
    return Report(
        "full",
        "2026-01-02T03:04:05+00:00",
        {"cores": "2", "processor": "any", "load_before": "0.1"},
        [latency, soak],
    )
