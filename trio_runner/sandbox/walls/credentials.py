"""Who a task is: nobody, with none of root's special rights."""

from __future__ import annotations

import contextlib
import ctypes
import os
import struct

from .kernel import AARCH64, MACHINE, X86_64, KernelRefused, prctl, syscall

__all__ = [
    "CAP_SETPCAP",
    "CAP_SYS_ADMIN",
    "become_user",
    "drop_bounding_set",
    "drop_capabilities",
    "has_capability",
    "user_for",
]

CAP_SETPCAP = 8
"""Needed to give up special rights for programs that are started."""
CAP_SYS_ADMIN = 21
"""Needed to make namespaces without a user namespace."""

# Below the range that systemd gives away, and reserved by Debian: no account has these numbers.
_FIRST_USER = 65000
_USERS = 500

_CAPSET = {X86_64: 126, AARCH64: 91}
_VERSION_3 = 0x20080522
_NOTHING = ctypes.create_string_buffer(24)  # two times effective, permitted, inheritable
_SELF = ctypes.create_string_buffer(struct.pack("=Ii", _VERSION_3, 0), 8)
_PR_CAPBSET_READ, _PR_CAPBSET_DROP, _PR_CAP_AMBIENT = 23, 24, 47
_AMBIENT_CLEAR_ALL = 4
_LAST_POSSIBLE = 63


def user_for(worker: int) -> int:
    """Return a user and group id for a worker: different ones for those that live at one time."""
    return _FIRST_USER + worker % _USERS


def become_user(user: int) -> None:
    """Give up being root, for good.

    Raises:
        OSError: that is impossible: this process may not, or the number means nobody here.
    """
    os.setgroups([])
    os.setresgid(user, user, user)
    os.setresuid(user, user, user)


def drop_capabilities() -> None:
    """Give up all special rights, for good where programs give no new ones."""
    with contextlib.suppress(KernelRefused):  # none before Linux 4.3
        prctl("ambient capabilities", _PR_CAP_AMBIENT, _AMBIENT_CLEAR_ALL)
    if not MACHINE:
        raise KernelRefused(38, "capset")  # ENOSYS
    syscall("capset", _CAPSET[MACHINE], _SELF, _NOTHING)


def drop_bounding_set() -> None:
    """See to it that no program that is started can have special rights.

    Raises:
        KernelRefused: this process has no right to do that.
    """
    for capability in range(_LAST_POSSIBLE + 1):
        try:
            if not prctl("", _PR_CAPBSET_READ, capability):
                continue
        except KernelRefused:  # the kernel knows no more of them
            return
        prctl("bounding set", _PR_CAPBSET_DROP, capability)


def has_capability(number: int) -> bool:
    """Whether this process has a special right in effect now."""
    try:
        with open("/proc/self/status", encoding="ascii", errors="replace") as status:
            effective = next(line for line in status if line.startswith("CapEff:"))
    except (OSError, StopIteration):
        return False
    return bool(int(effective.split()[1], 16) >> number & 1)
