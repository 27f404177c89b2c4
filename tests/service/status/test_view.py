"""A snapshot on a screen: nothing runs over its edges, and what matters most is always there."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from trio_runner.runner.statistics import Readiness
from trio_runner.scheduling.trouble import Trouble
from trio_runner.service.status.document import Document, LoopStatistics
from trio_runner.service.status.view import view

from .samples import broker, runner, task

LOOP = LoopStatistics(lag=0.001, worst=0.25, checked=0.5)


def screen(document: Document, width: int, height: float = float("inf"), *, color: bool = False) -> str:
    stream = io.StringIO()
    console = Console(file=stream, width=width, force_terminal=color, no_color=not color, markup=False)
    console.print(view(document, width=width, height=height))
    return stream.getvalue()


def lines(document: Document, width: int, height: float = float("inf")) -> list[str]:
    return [line.rstrip() for line in screen(document, width, height).splitlines()]


@pytest.mark.parametrize("slots", [1, 5, 64, 1000])
@pytest.mark.parametrize(("width", "height"), [(80, 22), (40, 10), (200, 60)])
def test_it_stays_within_the_screen(slots: int, width: int, height: int) -> None:
    tasks = tuple(
        task(number, workflow_name="A very long name of a workflow " * 9) for number in range(slots)
    )
    troubles = tuple(Trouble(float(n), "broker", "http://a", "it does not answer " * 20) for n in range(20))
    shown = lines(
        Document(runner=runner(slots=slots, tasks=tasks, troubles=troubles), loop=LOOP), width, height
    )
    assert max(map(len, shown)) <= width
    assert len(shown) <= max(height, 22)


def test_a_runner_at_80_columns() -> None:
    shown = lines(Document(runner=runner(slots=5), loop=LOOP, pid=7), 80, 22)
    assert shown[0].startswith("runner runner-one") and shown[0].endswith("OFFERING")
    assert shown[1] == "slots ■□□□□ 1/5 taken"
    text = "\n".join(shown)
    assert "http://a:5679" in text and "registered" in text and "0.4 ms" in text
    assert "Invoices › Clean" in text
    assert "completed 30 · user-code 2" in text
    assert "No open task slots - runner already at capacity 3" in text
    assert "1m 05s ago  broker http://a:5679: connection refused (2×)" in text


@pytest.mark.parametrize(("slots", "cells"), [(1, 1), (64, 63)])
def test_the_bar_has_a_cell_for_each_slot_or_fills_the_line(slots: int, cells: int) -> None:
    bar = lines(Document(runner=runner(slots=slots)), 80)[1]
    assert bar.count("■") + bar.count("□") == cells
    assert bar.count("■") == 1


def test_a_list_that_is_too_long_says_how_much_is_left_out() -> None:
    tasks = tuple(task(number) for number in range(64))
    shown = lines(Document(runner=runner(slots=64, tasks=tasks)), 80, 22)
    listed = sum("Invoices › Clean" in line for line in shown)
    assert f"… and {64 - listed} more" in shown
    assert listed >= 3


def test_a_runner_that_is_not_ready_says_why() -> None:
    bad = Readiness(False, "no-broker", "not registered with any broker (http://a: refused)")
    shown = lines(Document(runner=runner(readiness=bad)), 80)
    assert shown[0].endswith("NO-BROKER")
    assert "not registered with any broker (http://a: refused)" in "\n".join(shown)


def test_a_broker() -> None:
    shown = lines(Document(broker=broker(), url="http://127.0.0.1:5679", loop=LOOP), 100)
    text = "\n".join(shown)
    assert shown[0].startswith("broker http://127.0.0.1:5679") and shown[0].endswith("SERVING")
    assert "runners 1   requesters 1   running 2   waiting 4" in text
    assert "Python Task Runner runner-one" in text
    assert "done 38 · error 2" in text
    assert "full 1" in text and "timeout 1" in text
    assert "1 ms late" in text or "1.0 ms late" in text


def test_names_are_text_and_never_markup_or_commands() -> None:
    evil = runner(tasks=(task(workflow_name="[bold]x[/bold] \x1b]0;title\x07", node_name="n\nm"),))
    text = screen(Document(runner=evil), 120)
    assert "[bold]x[/bold] \\x1b]0;title\\x07" in text
    assert "\x1b" not in text


def test_colours_only_where_they_are_wanted() -> None:
    document = Document(runner=runner())
    assert "\x1b[" in screen(document, 80, color=True)
    assert "\x1b" not in screen(document, 80)
