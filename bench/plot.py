"""A report as one drawing: how much of each target is used up, where the processor time goes, what grows."""

from __future__ import annotations

import math

from . import svg, wording
from .figures import Figure, Load, Report, ScenarioReport, Series
from .table import KINDS

__all__ = ["draw"]

_WIDTH = 1080.0
_LEFT = 430.0
_RIGHT = 190.0
_ROW = 20.0
# Milliseconds: loads above are of another kind, and beside them the others would not be seen.
_LARGE = 40.0
_GAP = 46.0
_COLOURS = dict(zip(KINDS, ("#4e79a7", "#f28e2b", "#b07aa1", "#76b7b2", "#9c755f", "#bab0ac"), strict=True))
_MET, _MISSED, _GREY = "#59a14f", "#e15759", "#888888"
# Bars beyond this multiple of the limit are cut off.
_LOWEST, _HIGHEST = 0.02, 20.0


def draw(report: Report) -> str:
    """Return the drawing as SVG."""
    parts = [
        svg.text(20, 32, "trio_runner against the bare operations it cannot do without", size=18),
        svg.text(20, 52, _about(report), size=11, fill=_GREY),
    ]
    height = 70.0
    for panel in (_targets, _loads, _growth):
        drawn, height = panel(report, height)
        parts += drawn
    return svg.document(_WIDTH, height + 20, parts)


def _about(report: Report) -> str:
    facts = report.machine
    names = ("processor", "cores", "kernel", "python")
    told = [f"{facts[name]} cores" if name == "cores" else facts[name] for name in names if name in facts]
    return f"{report.kind} run, {report.date[:10]} · {' · '.join(told)}"


# --- targets --------------------------------------------------------------------------------------------


def _targets(report: Report, top: float) -> tuple[list[str], float]:
    rows = [
        (scenario, figure)
        for scenario in report.scenarios
        for figure in scenario.figures
        if figure.share_of_limit is not None
    ]
    if not rows:
        return [], top
    parts = [svg.text(20, top + 24, "Measured / limit (less is better; logarithmic)", size=14)]
    top += 40
    bottom = top + _ROW * len(rows)
    for mark in (0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10):
        x = _logarithmic(mark)
        parts.append(svg.line(x, top, x, bottom, "#222222" if mark == 1 else "#dddddd", dashed=mark != 1))
        parts.append(svg.text(x, bottom + 14, f"{mark:g}", size=10, anchor="middle", fill=_GREY))
    for row, (scenario, figure) in enumerate(rows):
        parts += _target_bar(scenario, figure, top + row * _ROW)
    return parts, bottom + _GAP


def _target_bar(scenario: ScenarioReport, figure: Figure, y: float) -> list[str]:
    share = figure.share_of_limit or 0.0
    end = _logarithmic(share)
    colour = _MET if figure.verdict == "met" else _MISSED
    measured = wording.amount(figure.value, figure.unit)
    if figure.target is not None and figure.target.of == "ratio":
        measured = f"{wording.ratio_text(figure)} ({measured})"
    label = f"{scenario.name}: {figure.name}"
    told = f"{measured}, limit {wording.target_text(figure.target, figure.unit)}"
    return [
        svg.text(_LEFT - 8, y + 14, label, size=11, anchor="end"),
        svg.rectangle(_LEFT, y + 3, end - _LEFT, _ROW - 6, colour, f"{label}: {told}"),
        svg.text(max(end, _logarithmic(1)) + 6, y + 14, told, size=10, fill="#444444"),
    ]


def _logarithmic(share: float) -> float:
    width = _WIDTH - _LEFT - _RIGHT
    clamped = min(max(share, _LOWEST), _HIGHEST)
    return _LEFT + width * math.log(clamped / _LOWEST) / math.log(_HIGHEST / _LOWEST)


# --- processor time -------------------------------------------------------------------------------------


def _loads(report: Report, top: float) -> tuple[list[str], float]:
    rows = [
        (scenario, load)
        for scenario in report.scenarios
        for load in scenario.loads
        if sum(load.cpu_ms_per_task.values()) < _LARGE
    ]
    if not rows:
        return [], top
    parts = [svg.text(20, top + 24, "Processor time per task, milliseconds", size=14)]
    x = 320.0
    for kind in KINDS:
        parts += [
            svg.rectangle(x, top + 13, 12, 12, _COLOURS[kind]),
            svg.text(x + 17, top + 24, kind, size=11),
        ]
        x += 95
    top += 40
    most = max(sum(load.cpu_ms_per_task.values()) for _, load in rows)
    for row, (scenario, load) in enumerate(rows):
        parts += _load_bar(scenario, load, top + row * _ROW, most)
    return parts, top + _ROW * len(rows) + _GAP / 2


def _load_bar(scenario: ScenarioReport, load: Load, y: float, most: float) -> list[str]:
    width = _WIDTH - _LEFT - _RIGHT
    parts = [svg.text(_LEFT - 8, y + 14, f"{scenario.name}: {load.name}", size=11, anchor="end")]
    x = _LEFT
    for kind in KINDS:
        spent = load.cpu_ms_per_task.get(kind, 0.0)
        length = width * spent / most if most else 0.0
        if length:
            title = f"{kind}: {wording.amount(spent, 'ms')}"
            parts.append(svg.rectangle(x, y + 3, length, _ROW - 6, _COLOURS[kind], title))
        x += length
    total = sum(load.cpu_ms_per_task.values())
    return [*parts, svg.text(x + 6, y + 14, wording.amount(total, "ms"), size=10, fill="#444444")]


# --- growth ---------------------------------------------------------------------------------------------


def _growth(report: Report, top: float) -> tuple[list[str], float]:
    rows = [
        series for scenario in report.scenarios for series in scenario.series if max(series.values, default=0)
    ]
    if not rows:
        return [], top
    parts = [
        svg.text(
            20, top + 24, "In the course of the soak (each line from zero to its largest value)", size=14
        )
    ]
    top += 34
    for series in rows:
        parts += _course(series, top)
        top += 54
    return parts, top + 10


def _course(series: Series, top: float) -> list[str]:
    width, height = _WIDTH - _LEFT - _RIGHT, 40.0
    most, last = max(series.values), max(series.at)
    points = [
        (_LEFT + width * at / last, top + height - height * value / most)
        for at, value in zip(series.at, series.values, strict=True)
    ]
    end = f"{wording.amount(series.values[-1], series.unit)} after {wording.number(last)} tasks"
    return [
        svg.line(_LEFT, top + height, _LEFT + width, top + height, "#cccccc"),
        svg.text(_LEFT - 8, top + height / 2 + 4, series.name, size=11, anchor="end"),
        svg.polyline(points, _COLOURS["broker"]),
        svg.text(_LEFT + width + 6, top + 14, end, size=10, fill="#444444"),
    ]
