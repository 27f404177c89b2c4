"""The drawing: well-formed, everything in it inside the frame."""

from __future__ import annotations

from xml.etree import ElementTree

from bench.figures import Figure, Report, ScenarioReport, Target
from bench.plot import draw

from .reports import sample_report

SVG = "{http://www.w3.org/2000/svg}"


def parsed(report: Report) -> ElementTree.Element:
    return ElementTree.fromstring(draw(report))


def texts(report: Report) -> list[str]:
    return [element.text or "" for element in parsed(report).iter(f"{SVG}text")]


def test_names_and_figures_are_drawn() -> None:
    drawn = texts(sample_report())
    assert "latency: p50" in drawn
    assert "25.0 ms, limit ≤ 12.0 ms" in drawn
    assert "0.300 × (300/s), limit ≥ 0.500 ×" in drawn
    assert "41.0 MiB after 20.0 tasks" in drawn


def test_a_figure_without_a_target_has_no_bar() -> None:
    assert not any("size" in text for text in texts(sample_report()))


def test_bars_are_coloured_by_verdict() -> None:
    bars = {
        (bar.findtext(f"{SVG}title") or "").partition(":")[2].strip().partition(":")[0]: bar.get("fill")
        for bar in parsed(sample_report()).iter(f"{SVG}rect")
        if (bar.findtext(f"{SVG}title") or "").startswith("latency")
    }
    assert bars["p50"] != bars["p99"] == bars["rate"]


def test_everything_stays_in_the_frame_however_far_off_a_figure_is() -> None:
    report = sample_report()
    wild = ScenarioReport("wild", "Wild")
    for value in (0.0, 1e-9, 1e9):
        wild.figures.append(Figure(f"at {value:g}", value, "ms", target=Target.value_at_most(1)))
    report.scenarios.append(wild)
    root = parsed(report)
    width, height = float(root.get("width", 0)), float(root.get("height", 0))
    for bar in root.iter(f"{SVG}rect"):
        x, y = float(bar.get("x", 0)), float(bar.get("y", 0))
        assert 0 <= x <= x + float(bar.get("width", 0)) <= width
        assert 0 <= y <= y + float(bar.get("height", 0)) <= height


def test_a_report_of_nothing_is_still_a_drawing() -> None:
    assert parsed(Report("partial", "2026-01-02", {}, [])).tag == f"{SVG}svg"
