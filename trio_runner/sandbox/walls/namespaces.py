"""Namespaces of the zygote, which its workers inherit for nothing, and those that each worker makes.

The zygote moves once into namespaces of its own. A process cannot move into a PID namespace, only processes
that it makes can be in one. So the process that the runner started makes another child of the runner, which
is the zygote from then on, and ends. It does not stay as a parent, because it would keep a copy of every page
that the zygote writes to.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Collection
from typing import TYPE_CHECKING

from .. import linux
from . import kernel
from .credentials import CAP_SYS_ADMIN, has_capability

if TYPE_CHECKING:
    from typing import NoReturn

__all__ = [
    "KINDS",
    "MOVED",
    "become_first",
    "become_first_of_trial",
    "enter_namespaces",
    "is_privileged",
    "leave_user_namespace",
]

KINDS = {
    "mount-namespace": kernel.CLONE_NEWNS,
    "pid-namespace": kernel.CLONE_NEWPID,
    "ipc-namespace": kernel.CLONE_NEWIPC,
    "network-namespace": kernel.CLONE_NEWNET,
}
"""The namespaces that the zygote moves into, by the walls that they are."""

MOVED = 75
"""Exit status of a process that goes on as another child of its parent, in the same process group."""

# What programs in it are told the machine is called.
_HOSTNAME = "task"


def is_privileged() -> bool:
    """Whether this process may make namespaces without a user namespace."""
    return os.geteuid() == 0 and has_capability(CAP_SYS_ADMIN)


def enter_namespaces(walls: Collection[str], *, user: bool) -> None:
    """Move into new namespaces of the kinds that these walls are. Only children are in the PID namespace.

    Args:
        walls: names, others than those of `KINDS` do not count.
        user: move into a user namespace first, which gives the right to make the others.

    Raises:
        OSError: the kernel refuses.
    """
    flags = sum(flag for name, flag in KINDS.items() if name in walls)
    # One of mounts whatever is asked for: nothing that is mounted from now on must show outside.
    flags |= kernel.CLONE_NEWNS | kernel.CLONE_NEWUTS
    user_id, group_id = os.geteuid(), os.getegid()
    kernel.unshare(flags | (kernel.CLONE_NEWUSER if user else 0))
    if user:
        _map_ids(user_id, group_id)
    kernel.set_hostname(_HOSTNAME)


def _map_ids(user_id: int, group_id: int) -> None:
    """Be in the user namespace who one is outside."""
    for file, text in (
        ("setgroups", "deny"),
        ("uid_map", f"{user_id} {user_id} 1"),
        ("gid_map", f"{group_id} {group_id} 1"),
    ):
        descriptor = os.open(f"/proc/self/{file}", os.O_WRONLY)
        try:
            os.write(descriptor, text.encode())
        finally:
            os.close(descriptor)


def leave_user_namespace() -> None:
    """Move this process into a user namespace that maps nobody: it has no rights over anything outside.

    Its processes are counted by themselves from then on. It has every right over what is inside, where there
    is nothing; see `drop_capabilities`.
    """
    kernel.unshare(kernel.CLONE_NEWUSER)


def become_first() -> None:
    """Return in the first process of the PID namespace, which has the parent that this process has.

    This process ends with the exit status `MOVED`.

    Raises:
        KernelRefused: the kernel does.
    """
    if kernel.fork_sibling():
        os._exit(MOVED)


def become_first_of_trial(descriptors: Collection[int]) -> None:
    """Fork, and return in the child, the first process of the PID namespace. Its parent ends as it does.

    Args:
        descriptors: are closed in the parent, so that they are the child's alone.
    """
    child = os.fork()
    if child:
        _stand_by(child, descriptors)
    linux.die_with_parent(0)


def _stand_by(child: int, descriptors: Collection[int]) -> NoReturn:
    """Wait for the child and end the way it ended."""
    for descriptor in descriptors:
        os.close(descriptor)
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    if code < 0:
        if -code not in (signal.SIGKILL, signal.SIGSTOP):
            signal.signal(-code, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [-code])
        os.kill(os.getpid(), -code)
    os._exit(code & 0xFF)
