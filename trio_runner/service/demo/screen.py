"""What the demo shows: progress while it runs, tables at the end; plain lines where there is no terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import attrs
import trio
from rich import box
from rich.live import Live
from rich.progress import BarColumn, Progress, TaskID, TextColumn
from rich.table import Table
from rich.text import Text

from ..terminal import PersonConsole, plain

__all__ = ["DemoScreen", "DemoTask"]

_REFRESH_SECONDS = 0.1
# Wide enough for the tables, narrow enough for any terminal.
_WIDTH = 80
_STYLES = {"done": "green"}


@attrs.frozen
class DemoTask:
    """How one task of the demo ended.

    Attributes:
        name: what it is for.
        mode: of its code.
        rows: how many items it had.
        printed: how many lines it printed.
        outcome: for people.
        as_planned: it ended as it was meant to.
        seconds: from its request to its end, as the requester saw it.
    """

    name: str
    mode: str
    rows: int
    printed: int
    outcome: str
    as_planned: bool
    seconds: float


class DemoScreen:
    """Standard output of the demo.

    Args:
        console: where to write.
    """

    def __init__(self, console: PersonConsole) -> None:
        self._console = console
        self._progress = Progress(
            TextColumn("  {task.description:<16}"),
            BarColumn(bar_width=28),
            TextColumn("{task.completed:.0f} of {task.total:.0f} tasks"),
            console=console,
            auto_refresh=False,
        )
        self._stages: dict[str, TaskID] = {}
        self._last_line = Text()

    def say(self, text: str = "", style: str = "") -> None:
        """Write one line."""
        self._console.line(text, style)

    def facts(self, facts: Mapping[str, str]) -> None:
        """Write names and what there is to know of them."""
        for name, fact in facts.items():
            self.say(f"  {name:<8} {fact}")
        self.say()

    def stage(self, name: str, tasks: int) -> None:
        """Announce a stage of the work, or how many tasks it has after all."""
        if name in self._stages:
            self._progress.update(self._stages[name], total=tasks)
        else:
            self._stages[name] = self._progress.add_task(name, total=tasks)

    def task_ended(self, stage: str) -> None:
        """Count one task of a stage; where nothing moves on the screen, say so when all have ended."""
        self._progress.advance(self._stages[stage])
        task = self._progress.tasks[self._stages[stage]]
        if task.finished and not self._console.is_terminal:
            self.say(f"  {stage:<16} {task.total:.0f} of {task.total:.0f} tasks")

    def printed(self, line: str) -> None:
        """Show the latest line that a task printed."""
        self._last_line = Text(
            f"  a task prints:   {plain(line)}", style="dim", overflow="ellipsis", no_wrap=True
        )

    @contextmanager
    def moving(self, nursery: trio.Nursery) -> Iterator[None]:
        """Show the stages move while the block runs, if there is a terminal."""
        if not self._console.is_terminal:
            yield
            return
        with Live(console=self._console, auto_refresh=False, get_renderable=self._picture) as live:
            nursery.start_soon(_keep_fresh, live)
            yield
            self._last_line = Text()
            live.refresh()

    def check(self, passed: bool, good: str, bad: str) -> None:
        """Write the outcome of a check."""
        if passed:
            self.say(f"ok  {good}", "green")
        else:
            self.say(f"NOT OK  {bad}", "bold red")

    def tasks(self, tasks: Sequence[DemoTask]) -> None:
        """Write the table of tasks."""
        table = _table(width=min(self._console.width, _WIDTH))
        table.add_column("Task", no_wrap=True)
        table.add_column("Mode", no_wrap=True)
        table.add_column("Rows", justify="right", no_wrap=True)
        table.add_column("Prints", justify="right", no_wrap=True)
        table.add_column("Outcome", ratio=1)
        table.add_column("Time", justify="right", no_wrap=True)
        for task in tasks:
            style = _STYLES.get(task.outcome, "yellow") if task.as_planned else "bold red"
            numbers = (str(task.rows), str(task.printed))
            outcome = Text(plain(task.outcome), style=style)
            table.add_row(task.name, task.mode, *numbers, outcome, f"{task.seconds:.2f} s")
        self._print(table)

    def answer(self, totals: Mapping[str, Mapping[str, int]]) -> None:
        """Write the table of what was found out."""
        table = _table(show_footer=True)
        orders = sum(total["orders"] for total in totals.values())
        cents = sum(total["cents"] for total in totals.values())
        table.add_column("Region", footer="All", min_width=15)
        table.add_column("Orders", justify="right", footer=str(orders))
        table.add_column("Revenue", justify="right", footer=_money(cents), min_width=14)
        for region, total in sorted(totals.items()):
            table.add_row(region, str(total["orders"]), _money(total["cents"]))
        self._print(table)

    def _print(self, table: Table) -> None:
        """Write a table after a blank line."""
        self.say()
        self._console.print(table)

    def _picture(self) -> Table:
        grid = Table.grid()
        grid.add_row(self._progress)
        if self._last_line:
            grid.add_row(self._last_line)
        return grid


def _table(*, width: int | None = None, show_footer: bool = False) -> Table:
    return Table(
        box=box.SIMPLE_HEAD,
        width=width,
        show_edge=False,
        show_footer=show_footer,
        pad_edge=False,
        padding=(0, 1, 0, 0),
        header_style="bold",
        footer_style="bold",
    )


def _money(cents: int) -> str:
    return f"{cents / 100:,.2f}"


async def _keep_fresh(live: Live) -> None:
    while True:
        live.refresh()
        await trio.sleep(_REFRESH_SECONDS)
