"""The work of the demo: orders cleaned and added up in many tasks, one that fails, one that is cancelled."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any

import attrs
import trio

from ...errors import TaskError, UserCodeError
from ...requester.output import PrintedOutput
from ...requester.requester import Requester
from ...requester.settings import Mode
from ...scheduling.observer import Event, TaskEnded
from . import tasks as demo_tasks
from .data import Orders
from .screen import DemoScreen, DemoTask

__all__ = ["DemoWork"]

_ROWS_PER_TASK = {"each": 500, "all": 1_000}
_CANCEL_AFTER = 1.0
_KILL_SECONDS = 5
_CLEAN = "clean"
_ADD_UP = "add up"
_OTHERS = "fail, cancel"

OnPrint = Callable[[PrintedOutput], None]


@attrs.frozen
class _Ending:
    """How a task ended, in words, and whether it was meant to end so."""

    words: str
    as_planned: bool = True


Send = Callable[[OnPrint], Awaitable[_Ending]]
"""Sends one task, hands on what it prints, and tells how it ended."""


class DemoWork:
    """All tasks of the demo, and what came of them. As the runner's observer it sees when tasks are dead.

    Args:
        screen: is told how far the work is.
        orders: the rows to work on.

    Attributes:
        tasks: how each task ended, in the order in which they were sent.
        totals: the answer.
        unusable: rows that the cleaning dropped.
        doubled: rows that had been exported twice.
    """

    def __init__(self, screen: DemoScreen, orders: Orders) -> None:
        self.orders = orders
        self.totals: dict[str, dict[str, int]] = {}
        self.unusable = 0
        self.doubled = 0
        self._screen = screen
        self._ended: dict[tuple[str, int], DemoTask] = {}
        self._killed = trio.Event()

    @property
    def tasks(self) -> list[DemoTask]:
        """How the tasks ended, stage by stage."""
        stages = [_CLEAN, _ADD_UP, _OTHERS]
        return [
            self._ended[key] for key in sorted(self._ended, key=lambda key: (stages.index(key[0]), key[1]))
        ]

    def observe(self, event: Event) -> None:
        """Note that the runner has killed the task that was cancelled."""
        if isinstance(event, TaskEnded) and event.outcome == "cancelled":
            self._killed.set()

    async def do(self, requester: Requester) -> None:
        """Send every task; the failing and the cancelled one beside the others.

        Args:
            requester: connected to the demo's broker.
        """
        rows: Sequence[Any] = self.orders.rows
        self._screen.stage(_CLEAN, _tasks_for(rows, "each"))
        self._screen.stage(_ADD_UP, _tasks_for(rows, "all"))  # or less, if many rows are left out
        self._screen.stage(_OTHERS, 2)
        async with trio.open_nursery() as moving:
            with self._screen.moving(moving):
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._fail, requester)
                    nursery.start_soon(self._cancel, requester)
                    await self._clean_and_add_up(requester, rows)
            moving.cancel_scope.cancel()

    async def _clean_and_add_up(self, requester: Requester, rows: Sequence[Any]) -> None:
        cleaned = await self._in_pieces(requester, _CLEAN, demo_tasks.CLEAN, rows, "each")
        items = [item for piece in cleaned for item in piece]
        orders = demo_tasks.without_duplicates(items)
        self.unusable, self.doubled = len(rows) - len(items), len(items) - len(orders)
        totals = await self._in_pieces(requester, _ADD_UP, demo_tasks.ADD_UP, orders, "all")
        self.totals = demo_tasks.merged(totals)

    async def _in_pieces(
        self, requester: Requester, stage: str, code: str, rows: Sequence[Any], mode: Mode
    ) -> list[Any]:
        """Send a task for every few rows, and return their results in order."""
        size = _ROWS_PER_TASK[mode]
        pieces = [rows[start : start + size] for start in range(0, len(rows), size)]
        results: list[Any] = [()] * len(pieces)  # a failed task adds nothing; its outcome is in the table
        self._screen.stage(stage, len(pieces))

        async def send(index: int, on_print: OnPrint) -> _Ending:
            results[index] = await requester.run(code, pieces[index], mode=mode, on_print=on_print)
            return _Ending("done")

        async with trio.open_nursery() as nursery:
            for index, piece in enumerate(pieces):
                name = f"{stage} {index + 1}"
                nursery.start_soon(self._note, stage, index, name, mode, len(piece), partial(send, index))
        return results

    async def _fail(self, requester: Requester) -> None:
        rows = self.orders.rows[: _ROWS_PER_TASK["each"]]

        async def send(on_print: OnPrint) -> _Ending:
            try:
                await requester.run(demo_tasks.CONVERT_BLINDLY, rows, on_print=on_print)
            except UserCodeError as exc:
                return _Ending(f"failed in line {exc.line_number}: {exc}")
            return _Ending("did not fail", as_planned=False)

        await self._note(_OTHERS, 0, "convert blindly", "all", len(rows), send)

    async def _cancel(self, requester: Requester) -> None:
        async def send(on_print: OnPrint) -> _Ending:
            async with requester.start(demo_tasks.LOOP_FOR_EVER) as running:
                on_print(await anext(running.output))  # it runs: only now there is something to cancel
                with trio.move_on_after(_CANCEL_AFTER):
                    await running.result()
            return await self._death_notice()

        await self._note(_OTHERS, 1, "loop for ever", "all", 0, send)

    async def _death_notice(self) -> _Ending:
        cancelled_at = trio.current_time()
        with trio.move_on_after(_KILL_SECONDS):
            await self._killed.wait()
            return _Ending(f"cancelled, dead {1000 * (trio.current_time() - cancelled_at):.0f} ms later")
        return _Ending(f"cancelled, still alive {_KILL_SECONDS} s later", as_planned=False)

    async def _note(self, stage: str, index: int, name: str, mode: str, rows: int, send: Send) -> None:
        """Send a task and note how it ended."""
        printed = 0

        def on_print(line: PrintedOutput) -> None:
            nonlocal printed
            printed += 1 + line.missed
            self._screen.printed(line.text)

        started = trio.current_time()
        try:
            ending = await send(on_print)
        except TaskError as exc:
            ending = _Ending(str(exc), as_planned=False)
        seconds = trio.current_time() - started
        self._ended[stage, index] = DemoTask(
            name, mode, rows, printed, ending.words, ending.as_planned, seconds
        )
        self._screen.task_ended(stage)


def _tasks_for(rows: Sequence[Any], mode: Mode) -> int:
    return -(-len(rows) // _ROWS_PER_TASK[mode])
