"""A snapshot as a person reads it in a terminal: what ``status`` prints and ``top`` keeps showing.

What there is room for is decided here: the lines that matter most come first, lists are cut to what fits.
Names come from workflows and peers, so everything is text, never markup.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import attrs
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from ...runner.statistics import BrokerState, HeldTask, RunnerStatistics
from ...scheduling.matching.statistics import BrokerStatistics
from ...scheduling.trouble import Trouble
from .document import Document
from .words import counted, name, rate, since

__all__ = ["view"]

_GOOD, _BAD, _WARN, _DIM = "green", "bold red", "yellow", "dim"
# Rows of a list that are shown whatever room there is.
_LEAST = 3
# Troubles for which there is always room.
_TROUBLES = 3
_STATE_STYLES = {BrokerState.REGISTERED: _GOOD, BrokerState.DRAINING: _WARN}


@attrs.define
class _Room:
    """Lines that are left on the screen."""

    lines: float

    def rows(self, wanted: int, *, reserve: int = 0) -> int:
        """Take lines for a list, its heading and its end; return how many rows of it to show.

        Args:
            wanted: how many there are.
            reserve: lines to leave for what comes after it.
        """
        rows = int(min(wanted, max(_LEAST, self.lines - reserve - 2)))
        self.lines -= rows + 2
        return rows


def view(document: Document, *, width: int, height: float = math.inf) -> RenderableType:
    """Return what to show.

    Args:
        document: the snapshot.
        width: columns of the terminal.
        height: lines that there is room for; infinite: everything is shown.
    """
    if document.runner is not None:
        return _runner(document, document.runner, width, _Room(height - 5))
    if document.broker is not None:
        return _broker(document, document.broker, width, _Room(height - 3))
    return Text("The daemon tells nothing of itself.", style=_WARN)


# --- a runner ---------------------------------------------------------------------------------------


def _runner(document: Document, now: RunnerStatistics, width: int, room: _Room) -> RenderableType:
    readiness = now.readiness
    parts: list[RenderableType] = [
        _headline(
            f"runner {name(now.runner_id, 30)}", document, now.uptime, readiness.state, readiness.ready
        ),
        _slots(now, width),
        _verdict(now, width),
        Text(),
    ]
    brokers: list[list[str | Text]] = [
        [
            name(broker.broker),
            Text(broker.state.value, style=_STATE_STYLES.get(broker.state, _BAD)),
            since(broker.session_age),
            str(broker.open_offers),
            str(broker.held),
            since(broker.round_trip),
            str(broker.failures),
        ]
        for broker in now.brokers
    ]
    columns = ["BROKER", "STATE", ">SESSION", ">OFFERS", ">TASKS", ">PING", ">LOST"]
    room.lines -= 3  # for the figures below the lists
    rest = _lines_of(now.troubles)
    parts += _list(columns, brokers, room.rows(len(brokers), reserve=rest + _LEAST + 2))
    parts += _list(
        ["TASK", "PHASE", ">AGE", "WORKFLOW › NODE"],
        [_task(task) for task in now.tasks],
        room.rows(len(now.tasks), reserve=rest),
        empty="no task runs",
    )
    parts += [
        _labelled("ended", counted(now.outcomes, none="none yet")),
        _labelled("rejected", counted(now.ledger.rejections, none="none")),
        _loop(document),
    ]
    return Group(*parts, *_troubles(now.troubles, room))


def _task(task: HeldTask) -> list[str | Text]:
    owner = [task.workflow_name or task.workflow_id, task.node_name or task.node_id]
    return [
        name(task.task_id, 12),
        Text(task.phase, style="" if task.phase == "running" else _WARN),
        since(task.age),
        name(" › ".join(part for part in owner if part) or "–", 200),
    ]


def _slots(now: RunnerStatistics, width: int) -> Text:
    """Return the slots as a bar, a cell for each if there is room."""
    held, slots = now.ledger.held, now.ledger.slots
    figures = f" {held}/{slots} taken"
    cells = min(slots, max(8, width - len(figures) - 6))
    taken = math.ceil(cells * held / slots)
    bar = Text("slots ", no_wrap=True)
    bar.append("■" * taken, style="blue" if held < slots else _WARN)
    bar.append("□" * (cells - taken), style=_DIM)
    return bar.append(figures)


def _verdict(now: RunnerStatistics, width: int) -> Text:
    """Return why it is ready or not, and how much it does."""
    figures = (
        f"   {rate(now.rates.ten_seconds)} (10 s)  {rate(now.rates.minute)} (1 min)"
        f"   {now.executor.idle_workers} idle workers"
    )
    if now.executor.waiting:
        figures += f"   {now.executor.waiting} tasks wait for one"
    reason = name(now.readiness.reason, 500)
    between = "" if len(reason) + len(figures) <= width else "\n"
    figures = figures.lstrip() if between else figures
    return Text.assemble((reason, "" if now.readiness.ready else _BAD), between, (figures, _DIM))


# --- a broker ---------------------------------------------------------------------------------------


def _broker(document: Document, now: BrokerStatistics, width: int, room: _Room) -> RenderableType:
    state = "draining" if now.draining else "serving"
    waiting = sum(now.waiting.values())
    figures = (
        f"runners {now.runners}   requesters {now.requesters}   running {sum(now.running.values())}   "
        f"waiting {waiting}   {rate(now.rates.ten_seconds)} (10 s)  {rate(now.rates.minute)} (1 min)"
    )
    room.lines -= 4  # for the figures below the lists
    rest = _lines_of(now.troubles)
    types = sorted({*now.waiting, *now.running, *now.open_offers})
    parts: list[RenderableType] = [
        _headline(f"broker {document.url}", document, now.uptime, state, not now.draining),
        Text(figures, style=_WARN if waiting else ""),
        Text(),
    ]
    parts += _list(
        ["TASK TYPE", ">WAITING", ">OLDEST", ">OFFERS", ">RUNNING"],
        [_line(now, task_type) for task_type in types],
        room.rows(len(types), reserve=rest + _LEAST + 2),
        empty="nothing is asked for and nothing is offered",
    )
    fleet: list[list[str | Text]] = [
        [
            name(f"{runner.name} {runner.runner_id}", max(20, width - 56)),
            since(runner.age),
            since(runner.silent_for),
            str(runner.open_offers),
            str(runner.held),
            str(runner.ended),
            str(sum(runner.declined.values())),
        ]
        for runner in now.fleet
    ]
    columns = ["RUNNER", ">SESSION", ">HEARD", ">OFFERS", ">TASKS", ">ENDED", ">DECLINED"]
    parts += _list(columns, fleet, room.rows(len(fleet), reserve=rest), empty="no runner is connected")
    parts += [
        _labelled("ended", counted(now.ended, none="none yet")),
        _labelled("declined", counted(now.declined, none="none")),
        _labelled("given up", counted(now.given_up, none="none")),
        _loop(document),
    ]
    return Group(*parts, *_troubles(now.troubles, room))


def _line(now: BrokerStatistics, task_type: str) -> list[str | Text]:
    line = now.queue.get(task_type)
    waiting = line.waiting if line else 0
    return [
        name(task_type),
        Text(str(waiting), style=_WARN if waiting else ""),
        since(line.oldest) if line else "–",
        str(now.open_offers.get(task_type, 0)),
        str(now.running.get(task_type, 0)),
    ]


# --- both -------------------------------------------------------------------------------------------


def _headline(title: str, document: Document, uptime: float, state: str, good: bool) -> RenderableType:
    facts = f"  v{name(document.version, 20)}  pid {document.pid}  up {since(uptime)}"
    grid = Table.grid(expand=True)
    grid.add_column(no_wrap=True, overflow="ellipsis")
    grid.add_column(justify="right", no_wrap=True)
    grid.add_row(
        Text.assemble((title, "bold"), (facts, _DIM)), Text(state.upper(), style=_GOOD if good else _BAD)
    )
    return grid


def _labelled(label: str, text: str) -> Text:
    return Text.assemble((f"{label:<9}", _DIM), text, no_wrap=True, overflow="ellipsis")


def _loop(document: Document) -> Text:
    loop = document.loop
    if loop is None:
        return _labelled("loop", "–")
    return _labelled("loop", f"{since(loop.lag)} late, at worst {since(loop.worst)} within a minute")


def _list(
    columns: Sequence[str], rows: Sequence[Sequence[str | Text]], shown: int, *, empty: str = ""
) -> list[RenderableType]:
    """Return a list with its headings, cut to so many rows; a heading with > stands on the right."""
    if not rows:
        return [Text(empty, style=_DIM), Text()] if empty else []
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style=_DIM, show_edge=False)
    for heading in columns:
        numeric = heading.startswith(">")
        table.add_column(
            heading.removeprefix(">"),
            justify="right" if numeric else "left",
            no_wrap=True,
            overflow="ellipsis",
        )
    for row in rows[:shown]:
        table.add_row(*[Text(cell) if isinstance(cell, str) else cell for cell in row])
    rest = len(rows) - shown
    return [table, Text(f"… and {rest} more" if rest > 0 else "", style=_DIM)]


def _lines_of(troubles: Sequence[Trouble]) -> int:
    """Return the lines to keep for what went wrong, an empty one before it included."""
    return min(len(troubles), _TROUBLES) + 1 if troubles else 0


def _troubles(troubles: Sequence[Trouble], room: _Room) -> list[RenderableType]:
    if not troubles:
        return []
    shown = int(min(len(troubles), max(1, room.lines - 1)))
    lines: list[RenderableType] = [Text()]
    for trouble in troubles[:shown]:
        where = " ".join(part for part in (trouble.source, name(trouble.subject)) if part)
        times = f" ({trouble.times}×)" if trouble.times > 1 else ""
        lines.append(
            Text.assemble(
                (f"{since(trouble.age)} ago  ", _DIM),
                (f"{where}: ", _WARN),
                f"{name(trouble.message, 500)}{times}",
                no_wrap=True,
                overflow="ellipsis",
            )
        )
    return lines
