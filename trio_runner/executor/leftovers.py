"""The last resort when a zygote was killed: find what its tasks left running, and kill it.

While the zygote lives it inherits every orphan and nothing escapes. If it is killed, daemons of its tasks
become children of init and can only be told by a mark: the path of their scratch directory. It is in the
environment and the arguments that the zygote and every process forked from it were started with (only the
arguments can be seen of a process that keeps its memory private), and above the working directory of every
program that did not leave it.
"""

from __future__ import annotations

import os
import select
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

__all__ = ["kill_leftovers"]

# Seconds for all passes together. Each pass kills what the one before saw being born.
_LIMIT = 3.0


def kill_leftovers(mark: str) -> int:
    """Kill every process whose arguments, environment or working directory hold `mark`.

    Blocks for some milliseconds: to be called in a thread.

    Args:
        mark: the path of a directory whose name nobody else has.

    Returns:
        How many were killed. Always 0 on systems without procfs and pidfds.
    """
    if sys.platform != "linux" or not hasattr(os, "pidfd_open"):
        return 0
    killed = 0
    deadline = time.monotonic() + _LIMIT
    while time.monotonic() < deadline:
        found = [pidfd for entry in Path("/proc").iterdir() if (pidfd := _marked(entry, mark)) is not None]
        if not found:
            break
        killed += len(found)
        _kill_and_wait(found, deadline)
    return killed


def _marked(entry: Path, mark: str) -> int | None:
    """Return a pidfd if `entry` is that of a process that carries the mark.

    The descriptor is opened first: if the number changes hands before the mark is read, a signal to
    the descriptor reaches nobody.
    """
    if not entry.name.isdecimal() or int(entry.name) == os.getpid():
        return None
    try:
        pidfd = os.pidfd_open(int(entry.name))
    except OSError:
        return None
    if any(_holds(entry, mark)):
        return pidfd
    os.close(pidfd)
    return None


def _holds(entry: Path, mark: str) -> Iterator[bool]:
    for name in ("cmdline", "environ"):
        with suppress(OSError):  # ended, or not ours
            yield mark.encode() in (entry / name).read_bytes()
    with suppress(OSError):
        yield mark in str((entry / "cwd").readlink())


def _kill_and_wait(pidfds: list[int], deadline: float) -> None:
    for pidfd in pidfds:
        try:
            signal.pidfd_send_signal(pidfd, signal.SIGKILL)
        except OSError:
            continue
    for pidfd in pidfds:
        poll = select.poll()
        poll.register(pidfd, select.POLLIN)
        poll.poll(max(0.0, deadline - time.monotonic()) * 1000)
        os.close(pidfd)
