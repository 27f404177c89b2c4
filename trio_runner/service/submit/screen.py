"""What ``trio-runner submit`` shows on standard error: prints as they come, progress, what went wrong."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import trio
from rich.live import Live
from rich.spinner import Spinner
from rich.text import Text

from ...errors import TaskError
from ...requester.output import PrintedOutput
from ...requester.running import Phase, RunningTask
from ..terminal import PersonConsole, plain
from .excerpt import excerpt
from .plan import Piece, SubmitPlan

__all__ = ["Screen"]

# Often enough to look alive, seldom enough to cost nothing.
_REFRESH_SECONDS = 0.1


class Screen:
    """Standard error of one submission.

    Args:
        console: where to write.
        plan: the work.
    """

    def __init__(self, console: PersonConsole, plan: SubmitPlan) -> None:
        self._console = console
        self._plan = plan
        self._pieces_in_all = plan.pieces_in_all
        self._pieces_done = 0
        self._items_done = 0
        self._started = trio.current_time()
        self._running: RunningTask | None = None
        self._spinner = Spinner("dots")

    def watch(self, running: RunningTask) -> None:
        """Show how far a task is, if it is the only one."""
        self._running = running

    def printed(self, piece: Piece, line: PrintedOutput) -> None:
        """Show one line that a task printed; of several tasks, which one."""
        label = f"[{piece.number}/{self._pieces_in_all}] " if self._pieces_in_all > 1 else ""
        if line.missed:
            self._console.line(
                f"{label}… {line.missed} lines lost: they came faster than they could be shown", "dim"
            )
        text = Text(label, style="dim")
        text.append(plain(line.text), style="not dim")
        self._console.line(text)

    def finished(self, piece: Piece) -> None:
        """Count a piece as done."""
        self._pieces_done += 1
        self._items_done += piece.count

    def done(self) -> None:
        """Say how much was done, to a person who watched the progress of several tasks."""
        if self._console.is_terminal and self._plan.progress and self._pieces_in_all > 1:
            self._console.line(f"Done: {self._progress()}", "green")

    def task_failed(self, piece: Piece, error: TaskError) -> None:
        """Show why a task did not complete, with the line of the person's own code."""
        where = ""
        if self._pieces_in_all > 1:
            last = piece.first + piece.count - 1
            where = f" in task {piece.number} of {self._pieces_in_all} (items {piece.first} to {last})"
        self.error(f"{error.message or type(error).__name__}", where=where)
        for line in error.description.splitlines():
            self._console.line(f"  {line}")
        if error.line_number is not None and "\n" in self._plan.code.strip():
            self._show_code(error.line_number)

    def error(self, message: str, *, where: str = "") -> None:
        """Show what went wrong, in one line unless the message has more."""
        text = Text(f"Error{where}: ", style="bold red")
        text.append(plain(message), style="not bold default")
        self._console.line(text)

    def interrupted(self) -> None:
        """Say that a signal ended it."""
        self._console.line("Interrupted; what was under way has been cancelled.")

    @contextmanager
    def progress(self, nursery: trio.Nursery) -> Iterator[None]:
        """Show progress while the block runs, if there is a terminal for it."""
        if not (self._plan.progress and self._console.is_terminal):
            yield
            return
        with Live(
            console=self._console, auto_refresh=False, transient=True, get_renderable=self._progress_line
        ) as live:
            nursery.start_soon(_keep_fresh, live)
            yield

    def _show_code(self, line_number: int) -> None:
        lines = excerpt(self._plan.code, line_number, width=max(self._console.width, 40))
        if lines:
            self._console.line()
            self._console.line(f"  {self._plan.code_name}, line {line_number}", "bold")
        for line in lines:
            self._console.line(line)

    def _progress_line(self) -> Spinner:
        self._spinner.update(text=Text(self._progress(), overflow="ellipsis", no_wrap=True))
        return self._spinner

    def _progress(self) -> str:
        seconds = f"{trio.current_time() - self._started:.1f} s"
        if self._pieces_in_all == 1:
            return f"{self._state()}, {seconds}"
        items = f"{self._items_done} of {len(self._plan.items)} items"
        return f"{self._pieces_done} of {self._pieces_in_all} tasks, {items}, {seconds}"

    def _state(self) -> str:
        if self._running is None:
            return "connecting"
        return "waiting for a runner" if self._running.phase is Phase.REQUESTED else "running"


async def _keep_fresh(live: Live) -> None:
    while True:
        live.refresh()
        await trio.sleep(_REFRESH_SECONDS)
