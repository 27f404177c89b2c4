"""What Linux tells about processes: time, memory, descriptors, descent. Those that are gone count nothing."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path

import attrs

__all__ = [
    "ProcessTimes",
    "anonymous_memory",
    "descendants",
    "open_descriptors",
    "peak_memory",
    "proportional_memory",
    "reset_peak_memory",
    "times",
    "zombies",
    "zygotes",
]

_TICK = 1 / os.sysconf("SC_CLK_TCK")
_KIB = 1024


@attrs.frozen
class ProcessTimes:
    """Processor time in seconds, user and system together.

    Attributes:
        own: of the process.
        reaped: of the children that it has waited for, and of theirs.
    """

    own: float = 0.0
    reaped: float = 0.0


@attrs.frozen
class _Stat:
    pid: int
    parent: int
    state: str
    times: ProcessTimes


def times(pid: int) -> ProcessTimes:
    """Return the times of a process."""
    stat = _stat(pid)
    return stat.times if stat is not None else ProcessTimes()


def descendants(pid: int) -> list[int]:
    """Return the children of a process, their children and so on."""
    children = _children()
    found = list(children.get(pid, ()))
    for entry in found:  # grows while it is walked
        found.extend(children.get(entry, ()))
    return found


def zygotes(runner: int) -> list[int]:
    """Return the processes that fork a runner's workers."""
    return _children().get(runner, [])[:1]


def zombies(pids: Iterable[int]) -> int:
    """Count those of the processes that are dead and not waited for."""
    return sum(1 for pid in pids if (stat := _stat(pid)) is not None and stat.state == "Z")


def proportional_memory(pids: Iterable[int]) -> float:
    """Return MiB of memory, each shared page divided among those that share it (PSS)."""
    return sum(_field(pid, "smaps_rollup", "Pss") for pid in pids) / _KIB


def anonymous_memory(pids: Iterable[int]) -> float:
    """Return MiB of memory that is no file's, shared as in `proportional_memory`.

    It does not change when other programs begin or end that happen to use the same libraries.
    """
    return sum(_field(pid, "smaps_rollup", "Pss_Anon") for pid in pids) / _KIB


def peak_memory(pid: int) -> float:
    """Return the most memory, in MiB, that the process had in use since the peak was reset."""
    return _field(pid, "status", "VmHWM") / _KIB


def reset_peak_memory(pid: int) -> None:
    """Let `peak_memory` begin anew.

    Raises:
        OSError: the system does not allow it.
    """
    Path(f"/proc/{pid}/clear_refs").write_text("5", encoding="ascii")


def open_descriptors(pid: int) -> int:
    """Count the open file descriptors of a process."""
    try:
        return len(os.listdir(f"/proc/{pid}/fd"))  # noqa: PTH208 - names only, and many of them
    except OSError:
        return 0


def _field(pid: int, file: str, name: str) -> float:
    """Return a field of a file of a process, in KiB."""
    try:
        text = Path(f"/proc/{pid}/{file}").read_text(encoding="ascii", errors="replace")
    except OSError:
        return 0.0
    for line in text.splitlines():
        if line.startswith(f"{name}:"):
            return float(line.split()[1])
    return 0.0


def _children() -> Mapping[int, list[int]]:
    children: dict[int, list[int]] = defaultdict(list)
    for entry in os.listdir("/proc"):  # noqa: PTH208 - names only, and many of them
        if entry.isdecimal() and (stat := _stat(int(entry))) is not None:
            children[stat.parent].append(stat.pid)
    return children


def _stat(pid: int) -> _Stat | None:
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    # The name in parentheses may hold anything, spaces and parentheses too.
    fields = text.rpartition(")")[2].split()
    user, system, reaped_user, reaped_system = (int(field) * _TICK for field in fields[11:15])
    return _Stat(pid, int(fields[1]), fields[0], ProcessTimes(user + system, reaped_user + reaped_system))
