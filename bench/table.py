"""A report on the terminal."""

from __future__ import annotations

from collections.abc import Iterable

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from . import wording
from .figures import Figure, Load, Report, ScenarioReport

__all__ = ["load_table", "print_report", "print_scenario"]

_STYLES = {"met": "green", "missed": "bold red", "no target": "dim"}
KINDS = ("broker", "runner", "zygote", "workers", "fleet", "requester")
"""Kinds of process, in the order in which a task meets them."""


def print_scenario(console: Console, report: ScenarioReport) -> None:
    """Show what one scenario found."""
    console.print()
    console.print(Text(f"{report.title}  ({report.seconds:.0f} s)", style="bold"))
    if report.figures:
        console.print(figure_table(report.figures))
    if report.loads:
        console.print(load_table(report.loads))
    for note in report.notes:
        console.print(Text(f"  {note}", style="red" if report.failed else "dim"))


def print_report(console: Console, report: Report) -> None:
    """Show the end of a whole run: how many targets are met, and which are not."""
    figures = [figure for scenario in report.scenarios for figure in scenario.figures]
    missed = [figure for figure in figures if figure.verdict == "missed"]
    met = sum(figure.verdict == "met" for figure in figures)
    console.print()
    console.print(Text(f"{met} targets met, {len(missed)} missed", style="bold"))
    for scenario in report.scenarios:
        for figure in scenario.figures:
            if figure.verdict == "missed":
                console.print(Text(f"  missed  {scenario.name}: {_short(figure)}", style="red"))
        if scenario.failed:
            console.print(Text(f"  failed  {scenario.name}: {scenario.notes[-1]}", style="bold red"))


def figure_table(figures: Iterable[Figure]) -> Table:
    """Return the table of figures, with their ceilings, targets and verdicts."""
    table = Table(box=box.SIMPLE, pad_edge=False)
    table.add_column("figure", min_width=30, max_width=60)
    for heading in ("value", "ceiling", "ratio", "target"):
        table.add_column(
            heading, justify="left" if heading == "ceiling" else "right", no_wrap=heading != "ceiling"
        )
    table.add_column("verdict")
    for figure in figures:
        name = Text(figure.name)
        if figure.note:
            name.append(f"\n  {figure.note}", style="dim")
        table.add_row(
            name,
            wording.amount(figure.value, figure.unit),
            wording.ceiling_text(figure),
            wording.ratio_text(figure),
            wording.target_text(figure.target, figure.unit),
            Text("" if figure.verdict == "no target" else figure.verdict, style=_STYLES[figure.verdict]),
        )
    return table


def load_table(loads: Iterable[Load]) -> Table:
    """Return the table of where the processor time went, and how long event loops were busy at most."""
    loads = list(loads)
    kinds = [kind for kind in KINDS if any(kind in load.cpu_ms_per_task for load in loads)]
    lags = [kind for kind in KINDS if any(kind in load.lag_ms for load in loads)]
    table = Table(box=box.SIMPLE, pad_edge=False, header_style="dim", style="dim")
    table.add_column("load", min_width=30)
    table.add_column("tasks", justify="right")
    for kind in kinds:
        table.add_column(f"{kind}\nCPU ms", justify="right")
    for kind in lags:
        table.add_column(f"{kind}\nlag ms", justify="right")
    for load in loads:
        spent = [wording.number(load.cpu_ms_per_task[k]) if k in load.cpu_ms_per_task else "" for k in kinds]
        lag = [wording.number(load.lag_ms[kind]) if kind in load.lag_ms else "" for kind in lags]
        table.add_row(load.name, str(load.tasks), *spent, *lag)
    return table


def _short(figure: Figure) -> str:
    measured = wording.amount(figure.value, figure.unit)
    ratio = f" = {wording.ratio_text(figure)}" if figure.ratio is not None else ""
    return f"{figure.name}: {measured}{ratio}, target {wording.target_text(figure.target, figure.unit)}"
