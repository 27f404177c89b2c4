"""A report as a section of a page of documentation, between two marks."""

from __future__ import annotations

from collections.abc import Iterable

from . import wording
from .figures import Figure, Load, Report, ScenarioReport
from .table import KINDS

__all__ = ["BEGIN", "END", "section", "with_section"]

BEGIN = "<!-- bench: begin -->"
END = "<!-- bench: end -->"


def with_section(page: str, report: Report) -> str:
    """Return the page with what is between the marks replaced by the report.

    Raises:
        ValueError: the page has no marks, or more than one pair of them.
    """
    head, begin, rest = page.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not begin or not end or BEGIN in tail:
        raise ValueError(f"the page must hold {BEGIN} and {END}, once each and in this order")
    return f"{head}{BEGIN}\n\n{section(report)}\n{END}{tail}"


def section(report: Report) -> str:
    """Return the report in Markdown."""
    facts = report.machine
    lines = [
        f"A {report.kind} run of {report.date[:10]} on {facts.get('cores', '?')} cores"
        f" ({facts.get('processor', '?')}), {facts.get('memory', '?')}, {facts.get('kernel', '?')},"
        f" {facts.get('python', '?')}; "
        + ", ".join(
            f"{name} {facts[name]}" for name in ("trio", "trio-websocket", "msgspec") if name in facts
        )
        + f". Load of the machine before it began: {facts.get('load_before', '?')}.",
        "",
    ]
    for scenario in report.scenarios:
        lines += _scenario(scenario)
    return "\n".join(lines)


def _scenario(report: ScenarioReport) -> list[str]:
    lines = [f"### {report.title}", ""]
    if report.figures:
        lines += [*_figures(report.figures), ""]
    if report.loads:
        lines += [*_loads(report.loads), ""]
    for note in report.notes:
        lines += [_plain(note), ""]
    return lines


def _figures(figures: Iterable[Figure]) -> list[str]:
    rows = [
        "| figure | value | ceiling | ratio | target | verdict |",
        "| --- | ---: | --- | ---: | ---: | --- |",
    ]
    for figure in figures:
        name = f"{figure.name} ({figure.note})" if figure.note else figure.name
        verdict = {"met": "met", "missed": "**missed**", "no target": ""}[figure.verdict]
        cells = (
            name,
            wording.amount(figure.value, figure.unit),
            wording.ceiling_text(figure),
            wording.ratio_text(figure),
            wording.target_text(figure.target, figure.unit),
            verdict,
        )
        rows.append(f"| {' | '.join(map(_plain, cells))} |")
    return rows


def _loads(loads: Iterable[Load]) -> list[str]:
    loads = list(loads)
    kinds = [kind for kind in KINDS if any(kind in load.cpu_ms_per_task for load in loads)]
    headings = ["load", "tasks", *(f"{kind}, CPU ms" for kind in kinds), "lag of broker / runner, ms"]
    rows = [f"| {' | '.join(headings)} |", "| --- |" + " ---: |" * (len(headings) - 1)]
    for load in loads:
        spent = [wording.number(load.cpu_ms_per_task.get(kind, 0)) for kind in kinds]
        lags = [wording.number(load.lag_ms[kind]) for kind in ("broker", "runner") if kind in load.lag_ms]
        rows.append(f"| {' | '.join([_plain(load.name), str(load.tasks), *spent, ' / '.join(lags)])} |")
    return rows


def _plain(text: str) -> str:
    """Keep a text from ending a cell of a table."""
    return " ".join(text.replace("|", "\\|").split())
