"""The few system calls that Python does not wrap. Where a system lacks one, the answer says so."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from collections.abc import Iterator

__all__ = [
    "all_children",
    "become_subreaper",
    "children",
    "close_descriptors_above",
    "contents",
    "die_with_parent",
    "open_pidfd",
]

# Numbers of prctl(2), from linux/prctl.h.
_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_LISTING = "/proc/thread-self/children"  # a kernel without CONFIG_PROC_CHILDREN has none


def become_subreaper() -> bool:
    """Make orphaned descendants children of this process instead of init's. False: not on this system."""
    return _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def die_with_parent(parent: int) -> bool:
    """Have the kernel kill this process when the thread that forked it ends. False: not on this system.

    Args:
        parent: process id the parent had at the fork: if it is gone already, this process ends here.
    """
    done = _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)
    return done


def open_pidfd(pid: int) -> int | None:
    """Return a descriptor for a child that has not been reaped, or None where the system has no pidfds."""
    if sys.platform != "linux" or not hasattr(os, "pidfd_open"):
        return None
    try:
        return os.pidfd_open(pid)
    except OSError:
        return None


def children() -> set[int]:
    """Return the process ids of this process's children, zombies included; empty without procfs.

    Reliable in a process of one thread that alone reaps: no child can leave the list while it is read.
    """
    try:
        return set(map(int, contents(_LISTING).split()))
    except OSError:
        return all_children()


def all_children() -> set[int]:
    """Return the process ids of all children of this process, whichever thread made them. A slow scan."""
    return set(_children_by_scan(os.getpid()))


def close_descriptors_above(highest_kept: int) -> None:
    """Close every descriptor of this process with a number above `highest_kept`."""
    if _close_range is not None and _close_range(highest_kept + 1, _HIGHEST, 0) == 0:
        return
    try:
        open_now = [int(name) for name in os.listdir("/dev/fd")]
    except OSError:
        open_now = list(range(os.sysconf("SC_OPEN_MAX")))
    os.closerange(highest_kept + 1, max(open_now, default=highest_kept) + 1)


def _prctl(option: int, argument: int) -> bool:
    if sys.platform != "linux":
        return False
    return bool(_libc.prctl(option, argument, 0, 0, 0) == 0)


def contents(path: str) -> bytes:
    """Read a file of procfs, in fewer system calls than a file object takes."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        chunks = []
        while chunk := os.read(descriptor, _READ_SIZE):
            chunks.append(chunk)
        return b"".join(chunks)
    finally:
        os.close(descriptor)


def _children_by_scan(parent: int) -> Iterator[int]:
    try:
        names = os.listdir("/proc")
    except OSError:
        return
    for name in names:
        if not name.isdecimal():
            continue
        try:
            status = contents(f"/proc/{name}/stat")
        except OSError:
            continue  # ended meanwhile
        # pid (name) state parent …: the name may hold anything, parentheses included.
        if int(status.rpartition(b")")[2].split()[1]) == parent:
            yield int(name)


_READ_SIZE = 65536
_HIGHEST = 0xFFFFFFFF

_libc = ctypes.CDLL(None)
_close_range = getattr(_libc, "close_range", None) if sys.platform == "linux" else None
if sys.platform == "linux":
    _libc.prctl.argtypes = (ctypes.c_int, *[ctypes.c_ulong] * 4)
if _close_range is not None:
    _close_range.argtypes = (ctypes.c_uint, ctypes.c_uint, ctypes.c_int)
