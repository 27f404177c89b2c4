"""The demo's work against a scripted broker, and what a person sees of it."""

from __future__ import annotations

import io
import re
import textwrap
from collections.abc import Callable
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from trio_runner.protocol import messages as m
from trio_runner.requester.client import Requester
from trio_runner.scheduling.observer import TaskEnded
from trio_runner.service.demo import tasks as demo_tasks
from trio_runner.service.demo.data import load_orders
from trio_runner.service.demo.run import verdict
from trio_runner.service.demo.screen import DemoScreen, DemoTask
from trio_runner.service.demo.tasks import plain_totals
from trio_runner.service.demo.work import DemoWork
from trio_runner.service.terminal import PersonConsole

from ...requester.fake_broker import FakeBroker, fake_broker

Change = Callable[[str, Any], Any]


class Stage:
    """The demo on a screen of 80 columns, its broker and runner played by this test.

    Args:
        terminal: the screen is one.
        change: is given the code and the result of each task, and returns the result to report.
        kills: the runner kills what is cancelled.
    """

    def __init__(
        self, *, terminal: bool = False, change: Change = lambda _, result: result, kills: bool = True
    ) -> None:
        self.output = io.StringIO()
        console = PersonConsole(file=self.output, force_terminal=terminal, width=80, highlight=False)
        self.screen = DemoScreen(console)
        self.work = DemoWork(self.screen, load_orders())
        self._change = change
        self._kills = kills

    @property
    def lines(self) -> list[str]:
        return self.output.getvalue().splitlines()

    async def perform(self) -> None:
        """Do all the work."""
        async with fake_broker() as (requester, broker), trio.open_nursery() as nursery:
            nursery.start_soon(self._serve, broker)
            await self.work.do(requester)
            self._requester: Requester = requester
            nursery.cancel_scope.cancel()

    async def _serve(self, broker: FakeBroker) -> None:
        while True:
            message = await broker.link.receive()
            if isinstance(message, m.TaskRequest):
                broker.ready(message)
            elif isinstance(message, m.RequesterTaskSettings):
                self._run(broker, message.task_id, message.settings.decode())
            elif isinstance(message, m.RequesterTaskCancel) and self._kills:
                self.work.observe(TaskEnded("broker", message.task_id, "cancelled", "", 1.0, 0))

    def _run(self, broker: FakeBroker, task_id: str, settings: dict[str, Any]) -> None:
        """Do what a runner does with the code, or pretend to where it must not be done here."""
        code = settings["code"]
        if code == demo_tasks.LOOP_FOR_EVER:
            broker.prints(task_id, "'this will take a while'")
        elif code == demo_tasks.CONVERT_BLINDLY and self._change(code, None) is None:
            broker.failed(task_id, "could not convert string to float: '54,05'", lineNumber=4)
        elif code == demo_tasks.CONVERT_BLINDLY:
            broker.done(task_id, self._change(code, None))
        else:
            broker.prints(task_id, "'working'")
            broker.done(task_id, self._change(code, _perform(code, settings)))


def _perform(code: str, settings: dict[str, Any]) -> Any:
    scope: dict[str, Any] = {"print": lambda *_: None}
    exec(f"def body(_item=None, _items=None):\n{textwrap.indent(code, '    ')}", scope)
    if settings["nodeMode"] == "runOnceForAllItems":
        return scope["body"](_items=settings["items"])
    results = [scope["body"](_item=item) for item in settings["items"]]
    return [{"json": result} for result in results if result is not None]


async def test_the_answer_is_the_one_of_a_plain_loop(autojump_clock: MockClock) -> None:
    stage = Stage()
    await stage.perform()
    assert stage.work.totals == plain_totals(stage.work.orders.rows)
    tasks = stage.work.tasks
    assert [task.name for task in tasks[:2]] == ["clean 1", "clean 2"]
    assert [task.name for task in tasks[-3:]] == ["add up 5", "convert blindly", "loop for ever"]
    assert len(tasks) == 17
    assert all(task.as_planned for task in tasks)
    assert {task.mode for task in tasks} == {"all", "each"}
    assert tasks[-2].outcome == "failed in line 4: could not convert string to float: '54,05'"
    assert tasks[-1].outcome.startswith("cancelled, dead ")
    assert tasks[-1].seconds == pytest.approx(1.0)
    assert stage.work.unusable > 0
    assert stage.work.doubled > 0
    assert verdict(stage.screen, stage.work, processes=9, left=0, seconds=3.21) == 0
    assert "ok  The same answer as a plain loop over the rows here." in stage.lines
    assert "ok  Nothing is left of the runner's 9 processes." in stage.lines


async def test_a_wrong_answer_is_said_and_is_a_failure(autojump_clock: MockClock) -> None:
    def lose_the_south(code: str, result: Any) -> Any:
        return {**result, "South": {"orders": 0, "cents": 0}} if code == demo_tasks.ADD_UP else result

    stage = Stage(change=lose_the_south)
    await stage.perform()
    assert verdict(stage.screen, stage.work, processes=9, left=0, seconds=1) == 1
    assert "NOT OK  A plain loop over the rows differs!" in stage.lines


async def test_a_task_that_ends_otherwise_than_planned_is_a_failure(autojump_clock: MockClock) -> None:
    stage = Stage(change=lambda code, result: 5 if code == demo_tasks.CONVERT_BLINDLY else result)
    await stage.perform()
    assert [task.outcome for task in stage.work.tasks if not task.as_planned] == ["did not fail"]
    assert verdict(stage.screen, stage.work, processes=9, left=0, seconds=1) == 1
    assert "NOT OK  1 tasks did not end as planned!" in stage.lines


async def test_a_cancelled_task_that_lives_on_is_a_failure(autojump_clock: MockClock) -> None:
    stage = Stage(kills=False)
    await stage.perform()
    assert stage.work.tasks[-1].outcome == "cancelled, still alive 5 s later"
    assert verdict(stage.screen, stage.work, processes=9, left=0, seconds=1) == 1


async def test_processes_that_are_left_are_a_failure(autojump_clock: MockClock) -> None:
    stage = Stage()
    await stage.perform()
    assert verdict(stage.screen, stage.work, processes=9, left=2, seconds=1) == 1
    assert "NOT OK  2 of the runner's 9 processes are still there!" in stage.lines


@pytest.mark.parametrize("terminal", [False, True])
async def test_everything_fits_on_80_columns(autojump_clock: MockClock, terminal: bool) -> None:
    stage = Stage(terminal=terminal)
    await stage.perform()
    stage.screen.tasks([*stage.work.tasks, DemoTask("a", "all", 1, 2, "failed: " + "x" * 200, False, 1234.5)])
    stage.screen.answer(stage.work.totals)
    escapes = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]")
    text = stage.output.getvalue()
    assert bool(escapes.search(text)) == terminal
    assert max(len(escapes.sub("", line)) for line in re.split(r"[\r\n]+", text)) <= 80


async def test_where_nothing_moves_each_stage_is_one_line(autojump_clock: MockClock) -> None:
    stage = Stage()
    await stage.perform()
    assert sorted(stage.lines) == [
        "  add up           5 of 5 tasks",
        "  clean            10 of 10 tasks",
        "  fail, cancel     2 of 2 tasks",
    ]
