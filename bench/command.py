"""The command: measure, show, write."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import trio
from rich.console import Console

from .catalogue import SCENARIOS
from .context import Plan
from .figures import Report
from .page import with_section
from .plot import draw
from .processes import REPOSITORY
from .record import to_json
from .run import measure
from .table import print_report, print_scenario

__all__ = ["main"]

_RESULTS = REPOSITORY / "bench" / "results"
# Columns where there is no terminal to ask.
_PLAIN_WIDTH = 150
_PAGE = REPOSITORY / "docs" / "performance.md"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark and return the exit code: 0 if every scenario was carried through."""
    options = _parser().parse_args(arguments)
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=_PLAIN_WIDTH)
    if options.list:
        for scenario in SCENARIOS:
            console.print(f"{scenario.name:<14}{scenario.title}")
        return 0
    wanted = [scenario for scenario in SCENARIOS if not options.only or scenario.name in options.only]
    kind: Literal["full", "quick", "partial"] = (
        "partial" if options.only else "quick" if options.quick else "full"
    )
    plan = Plan(quick=options.quick, soak_tasks=options.soak)

    async def run() -> Report:
        return await measure(wanted, plan, kind, lambda report: print_scenario(console, report))

    report = trio.run(run)
    print_report(console, report)
    _write(report, options.output, console)
    return int(any(scenario.failed for scenario in report.scenarios))


def _write(report: Report, output: Path | None, console: Console) -> None:
    """Write JSON and plot; a full run to the usual place is what the documentation shows."""
    directory = output or _RESULTS
    directory.mkdir(parents=True, exist_ok=True)
    stem = "latest" if report.kind == "full" else report.kind
    (directory / f"{stem}.json").write_text(to_json(report), encoding="utf-8")
    (directory / f"{stem}.svg").write_text(draw(report), encoding="utf-8")
    written = [f"{stem}.json", f"{stem}.svg"]
    if output is None and report.kind == "full":
        _PAGE.write_text(with_section(_PAGE.read_text(encoding="utf-8"), report), encoding="utf-8")
        written.append("the section of docs/performance.md")
    console.print(f"\nWritten: {', '.join(written)}", style="dim")


def _parser() -> argparse.ArgumentParser:
    names = [scenario.name for scenario in SCENARIOS]
    parser = argparse.ArgumentParser(
        prog="python -m bench",
        description="Measure trio_runner on this machine, each figure against the bare operation it"
        " cannot beat. Starts processes of its own on the loopback interface and ends them again.",
    )
    parser.add_argument("--quick", action="store_true", help="a short look, within a minute")
    parser.add_argument(
        "--only", nargs="+", choices=names, metavar="SCENARIO", help=f"some of: {', '.join(names)}"
    )
    parser.add_argument("--soak", type=_count, metavar="TASKS", help="length of the soak [default: 5000]")
    parser.add_argument("--output", type=Path, metavar="DIR", help="where to write [default: bench/results]")
    parser.add_argument("--list", action="store_true", help="list the scenarios and end")
    return parser


def _count(text: str) -> int:
    number = int(text)
    if number < 100:
        raise argparse.ArgumentTypeError("a soak takes at least 100 tasks")
    return number
