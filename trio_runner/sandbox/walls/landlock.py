"""Landlock: a process gives up, for itself and its descendants, all files but those below some directories.

With newer kernels also TCP, signals to processes outside, and their abstract Unix sockets. Files that were
opened before stay usable, so the task's socket does.
"""

from __future__ import annotations

import ctypes
import os
import struct
from collections.abc import Sequence

from .kernel import MACHINE, KernelRefused, add_rule, syscall

__all__ = ["Landlock", "interface_version"]

# The same on all architectures.
_CREATE_RULESET, _RESTRICT_SELF = 444, 446
_VERSION = 1  # flag of landlock_create_ruleset

_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
_MAKE_CHAR, _MAKE_BLOCK = 1 << 6, 1 << 11
_TRUNCATE, _IOCTL_DEV = 1 << 14, 1 << 15
_OF_FILES = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE | _IOCTL_DEV
# Rights to files that each version of the interface knows; a later version knows at least as many.
_RIGHTS = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1, 4: (1 << 15) - 1, 5: (1 << 16) - 1}
_TCP = 0b11  # bind, connect: from version 4
_SCOPES = 0b11  # abstract Unix sockets, signals: from version 6

_Rule = tuple["ctypes.Array[ctypes.c_char]", int]


def interface_version() -> int:
    """Return the version of the kernel's Landlock interface, 1 or more.

    Raises:
        KernelRefused: there is none, and why.
    """
    if not MACHINE:
        raise KernelRefused(38, "landlock")  # ENOSYS
    return syscall("landlock_create_ruleset", _CREATE_RULESET, None, 0, _VERSION)


class Landlock:
    """The rules of a runner's tasks, made once; each worker adds its scratch directory and submits to them.

    Args:
        readable: paths that may be read, and programs in them started.
        usable: paths of files, such as devices, that may be read and written.
        network: whether TCP stays open.

    Raises:
        KernelRefused: there is no Landlock.
        OSError: a path cannot be opened.
    """

    def __init__(self, readable: Sequence[str], usable: Sequence[str], *, network: bool) -> None:
        version = interface_version()
        self._all = _RIGHTS[min(version, max(_RIGHTS))]
        words = (self._all, 0 if network else _TCP, _SCOPES)
        self._attributes = struct.pack("=3Q", *words)[: 8 if version < 4 else 16 if version < 6 else 24]
        reading = _EXECUTE | _READ_FILE | _READ_DIR
        using = _READ_FILE | _WRITE_FILE | _TRUNCATE
        self._rules = [self._rule(path, reading) for path in _uncovered(readable)]
        self._rules += [self._rule(path, using) for path in usable]

    def submit(self, scratch: str, readable: Sequence[str] = ()) -> None:
        """Restrict this process for good. It must have given up new privileges.

        Args:
            scratch: directory in which everything is allowed but making devices.
            readable: paths that only now exist and may be read.

        Raises:
            OSError: that is impossible.
        """
        size = len(self._attributes)
        ruleset = syscall("landlock_create_ruleset", _CREATE_RULESET, self._attributes, size, 0)
        own = [self._rule(scratch, self._all & ~(_MAKE_CHAR | _MAKE_BLOCK | _IOCTL_DEV))]
        own += [self._rule(path, _READ_FILE | _READ_DIR) for path in readable]
        try:
            for rule, _ in (*self._rules, *own):
                add_rule(ruleset, rule)
            syscall("landlock_restrict_self", _RESTRICT_SELF, ruleset, 0)
        finally:
            os.close(ruleset)
            for _, descriptor in own:
                os.close(descriptor)

    @property
    def descriptors(self) -> list[int]:
        """The descriptors that must stay open until a process has submitted."""
        return [descriptor for _, descriptor in self._rules]

    def _rule(self, path: str, rights: int) -> _Rule:
        """Return a rule as the kernel takes it, and the descriptor that it is about."""
        descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
        if not os.path.isdir(f"{path}/."):
            rights &= _OF_FILES
        packed = struct.pack("=Qi", rights & self._all, descriptor)
        return ctypes.create_string_buffer(packed, len(packed)), descriptor


def _uncovered(paths: Sequence[str]) -> list[str]:
    """Leave out, and symbolic links too, what is below another one: each rule costs each worker time."""
    kept: list[str] = []
    for path in sorted({os.path.realpath(path) for path in paths}, key=len):
        if not any(f"{path}/".startswith(f"{other}/") for other in kept):
            kept.append(path)
    return kept
