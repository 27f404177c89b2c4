"""Processes that are there although their task is not: found by the mark that every attack gives its own."""

from __future__ import annotations

import contextlib
import os
import signal
from pathlib import Path

import trio

# Seconds for what is left of a task to be gone once its end has been reported.
_GONE_WITHIN = 10.0


async def survivors(mark: str) -> list[str]:
    """Return the process ids of those that carry a mark and do not go away; they are killed.

    Args:
        mark: the name that the attack gave itself, which its children inherit, or an argument of theirs.
    """
    with trio.move_on_after(_GONE_WITHIN):
        while pids := _marked(mark):
            for pid in pids:
                await _wait_gone(pid)
    left = []
    while pids := _marked(mark):
        left += [str(pid) for pid in pids]
        for pid in pids:
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
            await _wait_gone(pid)
    return left


async def _wait_gone(pid: int) -> None:
    try:
        descriptor = os.pidfd_open(pid)
    except OSError:
        return
    try:
        await trio.lowlevel.wait_readable(descriptor)
    finally:
        os.close(descriptor)


def _marked(mark: str) -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdecimal():
            continue
        with contextlib.suppress(OSError):
            stat = (entry / "stat").read_text(errors="replace")
            name, _, rest = stat.partition("(")[2].rpartition(")")
            command = (entry / "cmdline").read_bytes().decode(errors="replace")
            if rest.split()[0] not in "ZX" and (name == mark or mark in command.split("\0")):
                found.append(int(entry.name))
    return found
