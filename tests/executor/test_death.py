"""What a person reads about a worker's end."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

import trio_runner.sandbox
from trio_runner.executor.death import describe_death
from trio_runner.executor.worker import Worker
from trio_runner.sandbox.config import Limits
from trio_runner.scheduling.outcome import WorkerDied

from .tasks import Keeper


@pytest.fixture
def worker() -> Iterator[Worker]:
    """A worker whose end of things the test holds."""
    made = Worker(1, Keeper())
    yield made
    made.end(0) if not made.ended.is_set() else None
    made.release()


def die(
    worker: Worker, exit_code: int | None, *, words: bytes = b"", epitaph: str = "", hung_up: bool = False
) -> WorkerDied:
    channel, stderr = worker.hand_over()
    os.write(stderr, words)
    os.close(channel)
    os.close(stderr)
    worker.end(exit_code, epitaph=epitaph)
    return describe_death(worker, hung_up=hung_up)


@pytest.mark.parametrize(
    ("exit_code", "description"),
    [
        (0, "The code ended its process with exit status 0 before there was a result."),
        (3, "The code ended its process with exit status 3 before there was a result."),
        (-9, "The process was killed from outside the runner, most likely because memory ran out."),
        (-15, "The process was ended by SIGTERM (Terminated) before there was a result."),
    ],
)
def test_the_cause(worker: Worker, exit_code: int, description: str) -> None:
    assert die(worker, exit_code) == WorkerDied(exit_code, description)


def test_what_the_runner_knows_better(worker: Worker) -> None:
    assert die(worker, None, epitaph="It was lost.") == WorkerDied(-signal.SIGKILL, "It was lost.")


def test_the_memory_of_all_processes_together(worker: Worker) -> None:
    channel, stderr = worker.hand_over()
    os.close(channel)
    os.close(stderr)
    worker.end(-signal.SIGKILL, limit="memory")
    outcome = describe_death(worker, hung_up=False, limits=Limits(memory=1024**3))
    assert outcome.description.splitlines() == [
        "The code and the processes it started used more memory than they may.",
        "The limit for memory is 1 GiB (TRIO_RUNNER_TASK_MEMORY).",
    ]


def test_hanging_up(worker: Worker) -> None:
    outcome = die(worker, -9, hung_up=True)
    assert outcome.description == "The code closed its connection to the runner and was stopped."


def test_last_words_without_lines_about_the_sandbox(worker: Worker) -> None:
    sandbox = Path(trio_runner.sandbox.__file__).parent
    words = f"""\
Fatal Python error: Segmentation fault

Current thread 0x1 (most recent call first):
  File "<code>", line 2 in <code>
  File "{sandbox}/task.py", line 57 in perform
  File "<string>", line 5 in <module>
"""
    assert die(worker, -11, words=words.encode()).description.splitlines()[1:] == [
        "Fatal Python error: Segmentation fault",
        "",
        "Current thread 0x1 (most recent call first):",
        '  File "<code>", line 2 in <code>',
    ]


def test_only_the_end_of_many_words(worker: Worker) -> None:
    outcome = die(worker, 1, words=b"x" * 10_000 + b"\xff the end\n")
    assert len(outcome.description) < 4200
    assert outcome.description.endswith("\ufffd the end")
