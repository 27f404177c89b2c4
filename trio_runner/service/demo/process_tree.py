"""The processes below this one, so that a command can check that it leaves none behind."""

from __future__ import annotations

import os
from pathlib import Path

import attrs

__all__ = ["Process", "descendants", "still_alive"]

_STATE, _PARENT, _START = 0, 1, 19
"""Fields of ``/proc/{pid}/stat`` after the name; see proc(5)."""


@attrs.frozen
class Process:
    """A process that cannot be mistaken for a later one with the same number.

    Attributes:
        pid: its number.
        started: clock ticks from the machine's start to its own.
    """

    pid: int
    started: int


def descendants(root: int | None = None) -> set[Process]:
    """Return all processes below `root`, by default below this process."""
    table = {pid: fields for pid in _pids() if (fields := _stat(pid)) is not None}
    found: set[Process] = set()
    parents = {os.getpid() if root is None else root}
    while parents:
        children = {pid for pid, fields in table.items() if int(fields[_PARENT]) in parents}
        found |= {Process(pid, int(table[pid][_START])) for pid in children}
        parents = children
    return found


def still_alive(processes: set[Process]) -> set[Process]:
    """Return those of `processes` that have not ended; a zombie has."""
    return {process for process in processes if _is_alive(process)}


def _is_alive(process: Process) -> bool:
    fields = _stat(process.pid)
    return fields is not None and int(fields[_START]) == process.started and fields[_STATE] != "Z"


def _pids() -> list[int]:
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdecimal()]


def _stat(pid: int) -> list[str] | None:
    """Return the fields of a process after its name, which may hold anything; None: no such process."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    return text.rpartition(")")[2].split()
