"""Trying something in a throw-away child, because it cannot be undone."""

from __future__ import annotations

import os
import select
import signal
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import NoReturn

__all__ = ["attempt"]

# Seconds for a trial, which takes milliseconds: a kernel that hangs in one must not hang the runner.
_LIMIT = 10.0
_LONGEST = 65536


def attempt(trial: Callable[[int], object], *, fork: Callable[[], int] = os.fork) -> str:
    """Call `trial` in a child.

    Args:
        trial: is given the descriptor that it may write its findings to; what it raises becomes one.
        fork: makes the child.

    Returns:
        What was found; empty: nothing.
    """
    findings, end = os.pipe()
    try:
        child = fork()
    except OSError as exc:
        os.close(findings)
        os.close(end)
        return str(exc)
    if child == 0:
        _try(trial, end)
    os.close(end)
    found = _read(findings, child)
    os.close(findings)
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    if found or code == 0:
        return found
    return f"the trial was ended by {signal.Signals(-code).name}" if code < 0 else "the trial failed"


def _try(trial: Callable[[int], object], end: int) -> NoReturn:
    code = 1
    try:
        trial(end)
        code = 0
    except Exception as exc:
        os.write(end, str(exc).encode("utf-8", "replace")[:_LONGEST])
        code = 0
    finally:
        os._exit(code)


def _read(findings: int, child: int) -> str:
    data = b""
    poll = select.poll()
    poll.register(findings, select.POLLIN)
    while poll.poll(_LIMIT * 1000):
        part = os.read(findings, _LONGEST)
        if not part:
            return data.decode("utf-8", "replace")
        data += part
    os.kill(child, signal.SIGKILL)
    return "the trial took too long"
