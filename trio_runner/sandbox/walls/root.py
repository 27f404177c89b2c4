"""A root directory of the tasks' own: what they may see and nothing else, read-only.

The zygote makes it once, in a mount namespace of its own: a file system in memory, into which the readable
paths are bound at their usual places, symbolic links included. Each worker then mounts its scratch directory
and its process list in a copy of that namespace. A Python that lies in somebody's home comes along, whatever
the modes of the directories above it.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
from collections.abc import Sequence

from .kernel import KernelRefused, mount, pivot_root, syscall, unmount

__all__ = ["ACCOUNTS", "HOME", "OwnRoot", "keep_mounts_private", "mount_processes", "mount_scratch"]

HOME = "/task/tmp"
"""The scratch directory of every task, also to be found as /tmp and /dev/shm."""

_RDONLY, _NOSUID, _NODEV, _NOEXEC, _NOATIME = 1, 2, 4, 8, 1024
_REMOUNT, _BIND, _REC, _PRIVATE = 32, 4096, 16384, 1 << 18
_DETACH = 2
_MOUNT_SETATTR = 442
_AT_FDCWD, _AT_RECURSIVE = -100, 0x8000
# Files and directories that a task may make: each costs the kernel memory beside its content.
_FILES = 16384
_WITHOUT_SCRATCH_LIMIT = "50%"  # of the memory there is: the kernel's own default
_SIZE_FOR_MODULES = "64m"
# What statvfs tells, and the flag of mount: a user namespace may not take these off a mount.
_KEPT_FLAGS = ((1, _RDONLY), (2, _NOSUID), (4, _NODEV), (8, _NOEXEC), (1024, _NOATIME), (2048, 2048))
_NOBODY = 65534  # how the kernel shows a user whom a user namespace does not know
ACCOUNTS = {
    "/etc/passwd": f"task:x:{_NOBODY}:{_NOBODY}:task:/tmp:/bin/false\n",
    "/etc/group": f"task:x:{_NOBODY}:\n",
}
"""Files that are made for the tasks, with what is in them."""


class OwnRoot:
    """Builds the root directory of the tasks and moves this process into it.

    Args:
        base: an empty directory to build it on; outside, nothing of it is ever seen.
        readable: absolute paths to bind, with what is below them.
        devices: device files to bind, so that they can be used.
        own_processes: this process is in a PID namespace of its own, of which the process list is to be.
    """

    def __init__(
        self, base: str, readable: Sequence[str], devices: Sequence[str], *, own_processes: bool
    ) -> None:
        self._base = base
        self._readable = readable
        self._devices = devices
        self._own_processes = own_processes
        self._bound: list[str] = []

    def enter(self) -> None:
        """Make it the root of this process, whose mount namespace must be its own.

        Raises:
            OSError: that is impossible.
        """
        keep_mounts_private()
        mount("tmpfs", self._base, "tmpfs", _NOSUID, "mode=755,size=4m,nr_inodes=16384")
        for path in sorted(self._readable, key=len):
            self._show(path)
        for path in self._devices:
            self._bind(path)
        self._furnish()
        _make_readonly(self._base, self._bound)
        self._mount_writable()
        self._leave_old()

    def _furnish(self) -> None:
        """Add what a program expects to find and the machine's own does not belong here."""
        for path in (HOME, "/proc", "/etc", "/dev"):
            os.makedirs(self._inside(path), mode=0o755, exist_ok=True)
        for link, target in {"/tmp": HOME, "/dev/shm": HOME, "/dev/fd": "/proc/self/fd"}.items():
            if not os.path.lexists(self._inside(link)):
                os.symlink(target, self._inside(link))
        for path, line in ACCOUNTS.items():
            with open(self._inside(path), "w", encoding="ascii") as file:
                file.write(line)

    def _mount_writable(self) -> None:
        """Mount what stays writable. A process list can be had only while another one is in sight."""
        processes = self._inside("/proc")
        if self._own_processes:
            mount_processes(processes, only_processes=False)
        else:
            mount("/proc", processes, None, _BIND | _REC)
        # For modules that are loaded ahead of the tasks, which have theirs in its place.
        options = f"mode=700,size={_SIZE_FOR_MODULES}"
        mount("tmpfs", self._inside(HOME), "tmpfs", _NOSUID | _NODEV, options)

    def _leave_old(self) -> None:
        """Change the root; the one before is not to be reached any more."""
        os.chdir(self._base)
        pivot_root(".", ".")  # the old one now lies on top of the new one
        unmount(".", _DETACH)
        os.chdir("/")

    def _show(self, path: str) -> None:
        """Bind a path; where symbolic links lead to it, make the same links."""
        so_far = ""
        parts = path.strip("/").split("/")
        for place, part in enumerate(parts):
            so_far = f"{so_far}/{part}"
            if self._is_covered(so_far):
                return
            if os.path.islink(so_far):
                target = os.readlink(so_far)
                self._link(so_far, target)
                real = os.path.normpath(os.path.join(os.path.dirname(so_far), target))
                self._show(os.path.join(real, *parts[place + 1 :]))
                return
        if os.path.exists(so_far):
            self._bind(so_far)

    def _link(self, path: str, target: str) -> None:
        os.makedirs(os.path.dirname(self._inside(path)), mode=0o755, exist_ok=True)
        if not os.path.lexists(self._inside(path)):
            os.symlink(target, self._inside(path))

    def _bind(self, path: str) -> None:
        inside = self._inside(path)
        if os.path.isdir(path):
            os.makedirs(inside, mode=0o755, exist_ok=True)
        else:
            os.makedirs(os.path.dirname(inside), mode=0o755, exist_ok=True)
            os.close(os.open(inside, os.O_CREAT | os.O_WRONLY, 0o644))
        mount(path, inside, None, _BIND | _REC)
        self._bound.append(path)

    def _is_covered(self, path: str) -> bool:
        return any(path == bound or path.startswith(f"{bound}/") for bound in self._bound)

    def _inside(self, path: str) -> str:
        return self._base + path


def keep_mounts_private() -> None:
    """Have no mount of this process's namespace show in another one, nor the other way round."""
    mount(None, "/", None, _REC | _PRIVATE)


def mount_scratch(*, size: int, owner: int | None, programs: bool) -> None:
    """Mount a file system in memory as the scratch directory, in a namespace of this process's own.

    Args:
        size: bytes of all files together; 0: half of the memory there is.
        owner: user and group id; None: those of this process.
        programs: files in it may be started.
    """
    flags = _NOSUID | _NODEV | (0 if programs else _NOEXEC)
    ids = "" if owner is None else f",uid={owner},gid={owner}"
    room = str(size) if size else _WITHOUT_SCRATCH_LIMIT
    mount("tmpfs", HOME, "tmpfs", flags, f"mode=700,size={room},nr_inodes={_FILES}{ids}")


def mount_processes(target: str = "/proc", *, only_processes: bool) -> None:
    """Mount the process list of the PID namespace that this process is in.

    Args:
        target: where.
        only_processes: leave out what is about the machine, where the kernel can (from Linux 5.8).
    """
    flags = _NOSUID | _NODEV | _NOEXEC
    if only_processes:
        try:
            mount("proc", target, "proc", flags, "subset=pid")
        except KernelRefused:
            pass
        else:
            return
    mount("proc", target, "proc", flags)


def _make_readonly(base: str, bound: Sequence[str]) -> None:
    """Make everything read-only. Device files can be written to all the same."""
    attributes = ctypes.create_string_buffer(struct.pack("=4Q", _RDONLY | _NOSUID, 0, 0, 0), 32)
    try:
        where = os.fsencode(base)
        syscall("mount_setattr", _MOUNT_SETATTR, _AT_FDCWD, where, _AT_RECURSIVE, attributes, 32)
    except KernelRefused as exc:
        if exc.errno != errno.ENOSYS:  # it came with Linux 5.12
            raise
        for path in (*bound, ""):
            _remount_readonly(base + path)


def _remount_readonly(path: str) -> None:
    has = os.statvfs(path).f_flag
    kept = sum(flag for bit, flag in _KEPT_FLAGS if has & bit)
    mount(None, path, None, _REMOUNT | _BIND | kept | _RDONLY | _NOSUID)
