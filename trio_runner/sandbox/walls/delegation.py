"""Making room in the control group that is delegated to a runner, so that its tasks get groups of theirs.

In the tree of version 2 a group that shares its resources out must have no processes of its own. So the
runner moves into a leaf, which is for the program to decide and not for a library: whoever embeds a runner
calls this, or is started in such a leaf.
"""

from __future__ import annotations

import os

from .hierarchies import LEAF, group_of_controller, own_group
from .tree import CONTROLLERS

__all__ = ["divide_control_group"]

_DELEGATED = ("user.delegate", "trusted.delegate")


def divide_control_group() -> bool:
    """Move this process, where its control group has been delegated to it alone, into a leaf of that group.

    It has been if an unprivileged user may divide it, if systemd says so, or if it is all that a container
    sees.

    Returns:
        Whether this process is in such a leaf now.
    """
    try:
        wanted = [name for name in CONTROLLERS if group_of_controller(name) is None]
        if not wanted:
            return False  # those of version 1 need no room
        group = own_group()
        if os.path.basename(group) == LEAF:
            return True
        if not _is_delegated(group, wanted) or _others(group):
            return False
        leaf = os.path.join(group, LEAF)
        os.makedirs(leaf, exist_ok=True)
        _write(f"{leaf}/cgroup.procs", str(os.getpid()))
    except OSError:
        return False
    try:
        _write(f"{group}/cgroup.subtree_control", " ".join(f"+{name}" for name in wanted))
    except OSError:  # somebody has come in meanwhile
        _move_back(group, leaf)
        return False
    return True


def _is_delegated(group: str, controllers: list[str]) -> bool:
    with open(f"{group}/cgroup.controllers", encoding="ascii") as file:
        if not set(controllers) <= set(file.read().split()):
            return False
    if not all(os.access(f"{group}/cgroup.{name}", os.W_OK) for name in ("procs", "subtree_control")):
        return False
    if os.geteuid() != 0 or _is_top_of_container():
        return True
    return any(_attribute(group, name) == b"1" for name in _DELEGATED)


def _is_top_of_container() -> bool:
    """Whether this group is the topmost that is seen, and not that of the whole machine."""
    with open("/proc/self/cgroup", encoding="utf-8") as file:
        at_top = "0::/\n" in file.readlines()
    return at_top and os.path.exists(f"{own_group()}/cgroup.type")


def _attribute(path: str, name: str) -> bytes:
    try:
        return os.getxattr(path, name)
    except OSError:
        return b""


def _others(group: str) -> bool:
    """Whether there are processes in a group beside this one."""
    with open(f"{group}/cgroup.procs", encoding="ascii") as file:
        return set(file.read().split()) - {str(os.getpid())} != set()


def _move_back(group: str, leaf: str) -> None:
    try:
        _write(f"{group}/cgroup.procs", str(os.getpid()))
        os.rmdir(leaf)
    except OSError:
        pass


def _write(path: str, value: str) -> None:
    with open(path, "w", encoding="ascii") as file:
        file.write(value)
