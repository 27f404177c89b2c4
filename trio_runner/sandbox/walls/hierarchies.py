"""Where in the trees of control groups this process is, and below which of them it may make others.

There is one tree of version 2, and on older systems one of version 1 for each controller beside it. In the
former a group has processes or shares its resources out to groups below it, not both. So a runner whose group
is to be divided moves into a leaf of it (see `delegation`), and other groups are made beside that leaf.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

from .kernel import KernelRefused

__all__ = ["LEAF", "group_of_controller", "own_group", "parent_of_groups", "parents"]

LEAF = "trio-runner"
"""Name of the group that a runner moves into so that the one above can be divided."""

_OWN, _MOUNTS = "/proc/self/cgroup", "/proc/self/mountinfo"
_NOT_FOUND = 2  # ENOENT


def own_group() -> str:
    """Return the directory of the group of version 2 that this process is in.

    Raises:
        OSError: there are none.
    """
    found = _find("cgroup2", "")
    if found is None:
        raise KernelRefused(_NOT_FOUND, "control groups of version 2")
    return found


def group_of_controller(controller: str) -> str | None:
    """Return the directory of the group of version 1 that this process is in; None if there is none.

    Args:
        controller: ``memory``, for instance.

    Raises:
        OSError: this system does not tell.
    """
    return _find("cgroup", controller)


def parent_of_groups() -> str:
    """Return the directory of the group of version 2 below which this process and its like make theirs.

    Raises:
        OSError: there are none.
    """
    own = own_group()
    return os.path.dirname(own) if os.path.basename(own) == LEAF else own


def parents(controllers: tuple[str, ...]) -> Iterator[str]:
    """Yield all directories below which this process may have made groups.

    Args:
        controllers: those of version 1 to look for.
    """
    with contextlib.suppress(OSError):
        yield parent_of_groups()
    for controller in controllers:
        with contextlib.suppress(OSError):
            if (found := group_of_controller(controller)) is not None:
                yield found


def _find(kind: str, controller: str) -> str | None:
    with open(_OWN, encoding="utf-8") as file:
        lines = [line.rstrip("\n").split(":", 2) for line in file]
    own = next((path for _, names, path in lines if controller in names.split(",")), None)
    with open(_MOUNTS, encoding="utf-8") as file:
        mounts = [line.split() for line in file if f" - {kind} " in line]
    for mount in mounts:
        if own is not None and (not controller or controller in mount[-1].split(",")):
            found = _below(_unescaped(mount[4]), own, root=_unescaped(mount[3]))
            if found is not None:
                return found
    return None


def _below(mount_point: str, path: str, *, root: str) -> str | None:
    """Return where a group is found in a mount that may show a part of the tree only."""
    if path.startswith("/.."):  # it lies outside of what this process may see
        return None
    if root != "/":
        if path != root and not path.startswith(f"{root}/"):
            return None
        path = path[len(root) :]
    return (mount_point + path).rstrip("/")


def _unescaped(field: str) -> str:
    return field.replace("\\040", " ").replace("\\011", "\t").replace("\\012", "\n").replace("\\134", "\\")
