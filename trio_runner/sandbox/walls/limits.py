"""Upper bounds on what the processes of a task use, and which of them an error is about."""

from __future__ import annotations

import ctypes
import errno
import resource

from ..config import LIMIT_SETTINGS, Limits

__all__ = ["bound_resources", "describe", "describe_limit", "few_arenas"]

_M_ARENA_MAX = -8  # of mallopt(3)
_ARENAS = 4


def few_arenas() -> None:
    """Have threads share heaps: each heap takes 64 MiB of address space, whatever is in it."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_ARENA_MAX, _ARENAS)


_in_force: list[Limits] = []  # of this process, once they are set


def bound_resources(limits: Limits, *, uncounted: int = 0) -> None:
    """Set the limits of this process and its descendants, for good.

    Args:
        limits: what is wanted.
        uncounted: processes that count against the limit of processes although they are not the task's.
    """
    processes = limits.processes + uncounted if limits.processes else 0
    wanted = [
        (resource.RLIMIT_AS, limits.memory, 0),
        # At the first the kernel sends a signal that tells why; code that ignores it gets a second more.
        (resource.RLIMIT_CPU, limits.cpu, 1),
        (resource.RLIMIT_NPROC, processes, 0),
        (resource.RLIMIT_NOFILE, limits.open_files, 0),
        (resource.RLIMIT_FSIZE, limits.file_size, 0),
    ]
    for kind, soft, more in wanted:
        if soft:
            _bound(kind, soft, soft + more)
    _bound(getattr(resource, "RLIMIT_MSGQUEUE", None), 0, 0)
    _in_force[:] = [limits]


def _bound(kind: int | None, soft: int, hard: int) -> None:
    if kind is None:
        return
    _, most = resource.getrlimit(kind)
    if most != resource.RLIM_INFINITY:
        soft, hard = min(soft, most), min(hard, most)
    resource.setrlimit(kind, (soft, hard))


_OF_ERRORS = {
    errno.EMFILE: "open_files",
    errno.EFBIG: "file_size",
    errno.ENOSPC: "scratch",
    errno.EDQUOT: "scratch",
    errno.EAGAIN: "processes",
    errno.ENOMEM: "memory",
}
_WORDS = {
    "memory": "memory",
    "cpu": "seconds of processor time",
    "processes": "processes and threads",
    "open_files": "open files of a process",
    "file_size": "the size of a file",
    "scratch": "all files of a task together",
}


def describe_limit(error: BaseException) -> str:
    """Say which limit of this process an error is about, and how to change it; empty: about none."""
    name = ""
    if isinstance(error, MemoryError):
        name = "memory"
    elif isinstance(error, OSError):
        name = _OF_ERRORS.get(error.errno or 0, "")
    elif isinstance(error, RuntimeError) and "can't start new thread" in str(error):
        name = "processes"
    limits = _in_force[0] if _in_force else None
    return describe(name, limits) if name and limits is not None else ""


def describe(name: str, limits: Limits) -> str:
    """Say how much a limit is and which setting changes it; empty if there is no such limit."""
    amount = getattr(limits, name)
    if not amount:
        return ""
    shown = _size(amount) if name in ("memory", "file_size", "scratch") else str(amount)
    return f"The limit for {_WORDS[name]} is {shown} ({LIMIT_SETTINGS[name]})."


def _size(amount: int) -> str:
    for unit, size in (("GiB", 1024**3), ("MiB", 1024**2), ("KiB", 1024)):
        if amount % size == 0:
            return f"{amount // size} {unit}"
    return f"{amount} bytes"
