"""Walls that every Linux has: no new privileges, no core dumps, first to go when memory runs out."""

from __future__ import annotations

import os
import resource

from .kernel import prctl

__all__ = ["forbid_core_dumps", "forbid_new_privileges", "volunteer_for_oom"]

_PR_SET_DUMPABLE = 4
_PR_SET_NO_NEW_PRIVS = 38
# The kernel ends the process with the highest score first when memory runs out: a task, not its host.
_OOM_SCORE = b"1000"


def forbid_new_privileges() -> None:
    """Take the effect out of set-user-id programs, for this process and its descendants, for good."""
    prctl("no_new_privs", _PR_SET_NO_NEW_PRIVS, 1)


def forbid_core_dumps() -> None:
    """Have a crash write nothing to disk."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def volunteer_for_oom() -> None:
    """Be killed before anything else when memory runs out. Undoes `secrets.hide_memory`."""
    prctl("PR_SET_DUMPABLE", _PR_SET_DUMPABLE, 1)  # else the file is root's
    descriptor = os.open("/proc/self/oom_score_adj", os.O_WRONLY)
    try:
        os.write(descriptor, _OOM_SCORE)
    finally:
        os.close(descriptor)
