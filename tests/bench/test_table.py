"""The report on the terminal."""

from __future__ import annotations

import io

from rich.console import Console

from bench.table import print_report, print_scenario

from .reports import sample_report


def shown() -> str:
    output = io.StringIO()
    console = Console(file=output, width=160, highlight=False)
    report = sample_report()
    for scenario in report.scenarios:
        print_scenario(console, scenario)
    print_report(console, report)
    return output.getvalue()


def line_of(text: str, start: str) -> str:
    return next(line for line in text.splitlines() if line.strip().startswith(start))


def test_a_figure_stands_beside_its_ceiling_ratio_target_and_verdict() -> None:
    assert line_of(shown(), "p50").split("  ")[0].strip() == "p50"
    for part in ("3.50 ms", "1.75 ms (round trips)", "2.00 ×", "≤ 4.00 ms", "met"):
        assert part in line_of(shown(), "p50")
    assert "missed" in line_of(shown(), "rate")


def test_a_load_shows_where_the_time_went() -> None:
    assert line_of(shown(), "idle").split() == ["idle", "100", "1.50", "4.25", "3.00"]


def test_the_end_counts_verdicts_and_names_what_is_missed_or_failed() -> None:
    assert "1 targets met, 2 missed" in shown()
    assert line_of(shown(), "missed  latency: p99") == "  missed  latency: p99: 25.0 ms, target ≤ 12.0 ms"
    assert "not done within 3 seconds" in line_of(shown(), "failed  soak")
