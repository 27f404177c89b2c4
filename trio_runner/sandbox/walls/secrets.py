"""Secrets out of reach: no process can read the memory of the runner, nor what it was started with."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Iterable

from .kernel import prctl

__all__ = ["hide_memory", "wipe_secrets"]

_PR_SET_DUMPABLE = 4
# Fields of /proc/self/stat, counted from after the name of the program: where the kernel put the arguments
# and the environment of the process.
_AREAS = ((48 - 3, 49 - 3), (50 - 3, 51 - 3))
_SHORTEST = 4  # bytes; shorter texts are no secrets, and may be part of anything


def hide_memory() -> None:
    """Keep other processes of this user from reading this one: memory, environment, descriptors.

    Raises:
        KernelRefused: not on this system.
    """
    prctl("PR_SET_DUMPABLE", _PR_SET_DUMPABLE, 0)


def wipe_secrets(secrets: Iterable[str]) -> int:
    """Overwrite secrets where this process was given them: its arguments and its first environment.

    What `os.environ` no longer has is still in the block that the process was started with, which
    ``/proc/{pid}/environ`` shows, and the arguments are shown to everybody.

    Returns:
        How many places were overwritten; always 0 where the system does not tell where they are.
    """
    wanted = [secret.encode() for secret in secrets if len(secret) >= _SHORTEST]
    return sum(_wipe(begin, end, wanted) for begin, end in _areas()) if wanted else 0


def _areas() -> list[tuple[int, int]]:
    if sys.platform != "linux":
        return []
    try:
        with open("/proc/self/stat", "rb") as file:
            fields = file.read().rpartition(b") ")[2].split()
        areas = [(int(fields[begin]), int(fields[end])) for begin, end in _AREAS]
    except (OSError, ValueError, IndexError):
        return []
    return [(begin, end) for begin, end in areas if 0 < begin < end]


def _wipe(begin: int, end: int, secrets: list[bytes]) -> int:
    content = ctypes.string_at(begin, end - begin)
    found = 0
    for secret in secrets:
        place = content.find(secret)
        while place >= 0:
            ctypes.memset(begin + place, ord("x"), len(secret))
            found += 1
            place = content.find(secret, place + len(secret))
    return found
