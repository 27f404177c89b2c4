"""The walls between a task and the machine, raised before the first byte of its code runs.

Walls only ever rise: none of these can be lowered again by a process that stands behind them. Those that
every worker inherits are raised once, in the zygote; the others in each worker, between its fork and its
task. What a system lacks is left out, and the functions tell which walls stand, so that nobody believes in
one that is missing.
"""

from __future__ import annotations

import os
import resource

from . import linux

__all__ = ["raise_shared_walls", "raise_walls"]

# The kernel ends the process with the highest score first when memory runs out: a task, not its host.
_OOM_SCORE = "1000"


def raise_shared_walls() -> tuple[str, ...]:
    """Raise, in the zygote, the walls that its workers inherit.

    Returns:
        The names of those that stand: ``no-new-privileges`` (set-user-id programs have no effect),
        ``no-core-dumps``.
    """
    walls = {"no-new-privileges": linux.forbid_new_privileges, "no-core-dumps": _forbid_core_dumps}
    return tuple(name for name, wall in walls.items() if wall())


def raise_walls() -> tuple[str, ...]:
    """Raise, in a worker, the walls that are its own.

    Returns:
        The names of those that stand: ``first-out-of-memory`` (the kernel kills tasks before anything else).
    """
    walls = {"first-out-of-memory": _volunteer_for_oom}
    return tuple(name for name, wall in walls.items() if wall())


def _forbid_core_dumps() -> bool:
    try:
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    except (OSError, ValueError):
        return False
    return True


def _volunteer_for_oom() -> bool:
    try:
        descriptor = os.open("/proc/self/oom_score_adj", os.O_WRONLY)
    except OSError:
        return False
    try:
        os.write(descriptor, _OOM_SCORE.encode())
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return True
