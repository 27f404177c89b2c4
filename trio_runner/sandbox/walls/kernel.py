"""System calls that Python does not wrap, each raising `OSError` when the kernel refuses.

`os.unshare` and `os.setns` come with Python 3.12, so they are here as well. Nothing here decides anything.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import platform
import signal
import sys

__all__ = [
    "AARCH64",
    "CLONE_FILES",
    "CLONE_NEWIPC",
    "CLONE_NEWNET",
    "CLONE_NEWNS",
    "CLONE_NEWPID",
    "CLONE_NEWUSER",
    "CLONE_NEWUTS",
    "CLONE_PARENT",
    "MACHINE",
    "X86_64",
    "KernelRefused",
    "add_rule",
    "address_of",
    "clone",
    "fork_sibling",
    "keep_from_children",
    "mount",
    "pivot_root",
    "prctl",
    "set_hostname",
    "setns",
    "syscall",
    "thread_pointer",
    "unmount",
    "unshare",
]

CLONE_FILES = 0x00000400
CLONE_PARENT = 0x00008000
CLONE_NEWNS = 0x00020000
CLONE_NEWUTS = 0x04000000
CLONE_NEWIPC = 0x08000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000

X86_64, AARCH64 = "x86_64", "aarch64"
_NAMES = {"x86_64": X86_64, "amd64": X86_64, "aarch64": AARCH64, "arm64": AARCH64}
MACHINE = (
    _NAMES.get(platform.machine().lower(), "") if sys.platform == "linux" and sys.maxsize > 2**32 else ""
)
"""The kind of processor, where its system calls are known; else empty."""

_CLONE = {X86_64: 56, AARCH64: 220}
_MADV_DONTFORK = 10
_ADD_RULE, _PATH_BENEATH = 445, 1
_PIVOT_ROOT = {X86_64: 155, AARCH64: 41}

_libc = ctypes.CDLL(None, use_errno=True)
_python = ctypes.PyDLL(None, use_errno=True)  # the same, and the interpreter's; holding its lock in calls


class KernelRefused(OSError):
    """A system call failed; `str()` says which one and why."""

    def __init__(self, number: int, what: str) -> None:
        super().__init__(number, os.strerror(number), what)

    def __str__(self) -> str:
        return f"{self.filename}: {self.strerror}"


def syscall(what: str, number: int, *arguments: object) -> int:
    """Make a system call by its number.

    Args:
        what: its name, for the error.
        number: its number on this machine.
        arguments: integers, or ctypes objects and bytes passed by their address.

    Raises:
        KernelRefused: it failed.
    """
    return _checked(what, _libc.syscall(ctypes.c_long(number), *map(_argument, arguments)))


def add_rule(ruleset: int, rule: ctypes.Array[ctypes.c_char]) -> None:
    """Add a rule about a path to a ruleset of Landlock; apart, because each worker does it thirty times."""
    if _libc.syscall(_ADD_RULE, ruleset, _PATH_BENEATH, rule, 0) < 0:
        raise KernelRefused(ctypes.get_errno(), "landlock_add_rule")


def unshare(flags: int) -> None:
    """Leave the namespaces of these kinds for new ones."""
    _checked("unshare", _function("unshare")(flags))


def setns(descriptor: int, flags: int) -> None:
    """Enter the namespace that a descriptor stands for."""
    _checked("setns", _function("setns")(descriptor, flags))


def clone(function: str, stack: mmap.mmap, flags: int) -> int:
    """Make a child that calls a function of the C library, without arguments, and ends when that returns.

    Args:
        function: its name.
        stack: private memory for the child to run in.
        flags: what it shares with this process, which must not be memory.

    Returns:
        The process id of the child.
    """
    top = address_of(stack) + len(stack)  # on every processor that we know it grows downwards
    return _checked(
        "clone",
        _function("clone")(
            ctypes.c_void_p(address_of(function)), ctypes.c_void_p(top), flags | signal.SIGCHLD, None
        ),
    )


def fork_sibling() -> int:
    """Fork, like `os.fork`, a process that is not a child of this one but another child of its parent.

    Must be called in a process of one thread, which is not the first of a PID namespace.
    """
    _python.PyOS_BeforeFork()
    flags = ctypes.c_ulong(CLONE_PARENT | signal.SIGCHLD)
    pid = _python.syscall(ctypes.c_long(_CLONE[MACHINE]), flags, *[ctypes.c_long(0)] * 4)
    error = ctypes.get_errno()
    (_python.PyOS_AfterFork_Parent if pid else _python.PyOS_AfterFork_Child)()
    if pid < 0:
        raise KernelRefused(error, "clone")
    return int(pid)


def address_of(what: str | mmap.mmap) -> int:
    """Return the address of a function of the C library, or of memory."""
    if isinstance(what, mmap.mmap):
        return ctypes.addressof(ctypes.c_char.from_buffer(what))
    return ctypes.cast(_function(what), ctypes.c_void_p).value or 0


def thread_pointer() -> int:
    """Return the address of what the C library knows of this thread."""
    function = _function("pthread_self")
    function.restype = ctypes.c_void_p
    return int(function())


def keep_from_children(address: int, size: int) -> None:
    """Have children lack a part of the address space; what the kernel has put there itself may stay."""
    _function("madvise")(ctypes.c_void_p(address), ctypes.c_size_t(size), _MADV_DONTFORK)


def mount(source: str | None, target: str, kind: str | None, flags: int, data: str | None = None) -> None:
    """Mount a file system, or change a mount."""
    encoded = [None if text is None else os.fsencode(text) for text in (source, target, kind, data)]
    call = _function("mount")
    _checked(f"mount {target}", call(*encoded[:3], ctypes.c_ulong(flags), encoded[3]))


def unmount(target: str, flags: int) -> None:
    """Take a mount away."""
    _checked(f"umount {target}", _function("umount2")(os.fsencode(target), flags))


def pivot_root(new: str, old: str) -> None:
    """Make `new` the root directory, and put the one before at `old`."""
    syscall("pivot_root", _PIVOT_ROOT[MACHINE], os.fsencode(new), os.fsencode(old))


def prctl(what: str, option: int, *arguments: int) -> int:
    """Change something about this process; the arguments after those that are given are 0."""
    padded = [ctypes.c_ulong(value) for value in (*arguments, 0, 0, 0, 0)[:4]]
    return _checked(what, _function("prctl")(option, *padded))


def set_hostname(name: str) -> None:
    """Name the machine, as far as the current UTS namespace goes."""
    encoded = name.encode()
    _checked("sethostname", _function("sethostname")(encoded, ctypes.c_size_t(len(encoded))))


def _function(name: str) -> ctypes._FuncPointer:
    """Return a function of the C library.

    Raises:
        KernelRefused: this is not Linux.
    """
    if sys.platform != "linux":
        raise KernelRefused(_ENOSYS, name)
    function: ctypes._FuncPointer = getattr(_libc, name)
    return function


def _checked(what: str, result: int) -> int:
    if result < 0:
        raise KernelRefused(ctypes.get_errno(), what)
    return result


def _argument(value: object) -> object:
    if isinstance(value, int):
        return ctypes.c_long(value)
    if value is None or isinstance(value, bytes):
        return ctypes.c_char_p(value)
    return ctypes.byref(value)  # type: ignore[arg-type]  # buffers of ctypes; there is no name for all of them


_ENOSYS = 38
if sys.platform == "linux":
    _libc.syscall.restype = _python.syscall.restype = ctypes.c_long
