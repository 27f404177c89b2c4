"""What to tell a person whose task's process ended without a result."""

from __future__ import annotations

import signal
from pathlib import Path

import trio

from ..sandbox.config import Limits
from ..sandbox.walls.limits import describe
from ..scheduling.outcome import WorkerDied
from .worker import Worker

_SANDBOX = str(Path(__file__).parents[1] / "sandbox")
_BOOTSTRAP_LINE = '  File "<string>", line 5 in <module>'

__all__ = ["describe_death", "wait_for_end"]

_CPU_LIMIT = signal.SIGXCPU
# Seconds between the end of a worker's stream and its death, if the stream ended because it dies.
_HANG_UP_GRACE = 0.5


async def wait_for_end(worker: Worker) -> bool:
    """Wait for a worker that has hung up, and kill it if it has not ended: then the code did it, and True."""
    with trio.move_on_after(_HANG_UP_GRACE):
        await worker.ended.wait()
        return False
    worker.kill()
    await worker.ended.wait()
    return True


def describe_death(worker: Worker, *, hung_up: bool, limits: Limits | None = None) -> WorkerDied:
    """Say how a worker ended that nobody asked to end.

    Args:
        worker: a worker that has ended.
        hung_up: the code closed its connection to the runner and was stopped for it.
        limits: those of its task.
    """
    exit_code = -signal.SIGKILL if worker.exit_code is None else worker.exit_code
    name = worker.limit or ("cpu" if exit_code == -_CPU_LIMIT else "")
    cause = "The code closed its connection to the runner and was stopped." if hung_up else _cause(exit_code)
    if worker.limit == "memory":
        cause = "The code and the processes it started used more memory than they may."
    limit = describe(name, limits) if name and limits else ""
    parts = [worker.epitaph or cause, limit, _own_lines(worker.last_words())]
    return WorkerDied(exit_code, "\n".join(part for part in parts if part), name)


def _own_lines(words: str) -> str:
    """Leave out the lines of a crash report that are about the sandbox: the person's code is above them."""
    lines = words.splitlines()
    return "\n".join(line for line in lines if _SANDBOX not in line and line != _BOOTSTRAP_LINE)


def _cause(exit_code: int) -> str:
    if exit_code == -_CPU_LIMIT:
        return "The code used more processor time than it may."
    if exit_code >= 0:
        return f"The code ended its process with exit status {exit_code} before there was a result."
    if exit_code == -signal.SIGKILL:
        return "The process was killed from outside the runner, most likely because memory ran out."
    try:
        name = signal.Signals(-exit_code).name
    except ValueError:
        name = f"signal {-exit_code}"
    meaning = signal.strsignal(-exit_code)
    return f"The process was ended by {name}{f' ({meaning})' if meaning else ''} before there was a result."
