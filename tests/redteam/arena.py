"""A place of its own for hostile code: namespaces around the whole test, so that nothing outside can be hit.

The walls under test are raised inside it. It is here for the case that they do not stand, as when one is
switched off on purpose: a task that then kills every process it sees, or fills every disk it finds, must find
nothing of the machine. Run as a program, it becomes the arena's first process and starts the command in it.

Part of the tree of control groups is delegated to whoever runs in it, where root may do that.

An unprivileged user needs a Python that it can read. Where that lies below a directory that is closed to
others, the arena puts an open one in its place, in its own view of the file system only.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import signal
import socket
import stat
import struct
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from trio_runner.sandbox.walls.hierarchies import LEAF, group_of_controller, own_group
from trio_runner.sandbox.walls.tree import CONTROLLERS

ROOT = Path(__file__).resolve().parents[2]
NOBODY = 65534
METADATA = "169.254.169.254"
"""The address at which clouds hand out credentials; in the arena, one of its own interface."""

_NAMESPACES = 0x00020000 | 0x04000000 | 0x08000000 | 0x20000000 | 0x40000000  # mount, uts, ipc, pid, network
_NEWUSER = 0x10000000
_MS_BIND, _MS_REC, _MS_PRIVATE = 4096, 16384, 1 << 18
_MNT_DETACH = 2
_SIOCSIFADDR, _SIOCSIFFLAGS, _IFF_UP = 0x8916, 0x8914, 1
_PR_SET_PDEATHSIG = 1
_FIRST_PID = 5000
# Bytes and files of everything that is written in the arena.
_TMPFS = "mode=1777,size=400m,nr_inodes=40000"
# Places that everybody may write to: the arena has its own, if nothing that it needs is below them.
_SHARED_PLACES = ("/tmp", "/var/tmp", "/dev/shm")

_libc = ctypes.CDLL(None, use_errno=True)


def command(user: str, arguments: Sequence[str]) -> list[str]:
    """Return the command that runs a module of the tests in an arena.

    Args:
        user: ``self``, or ``nobody`` where the caller is root.
        arguments: module and arguments.
    """
    return [sys.executable, "-B", "-m", "tests.redteam.arena", user, *arguments]


def obstacle(user: str) -> str:
    """Return why there can be no arena for a user on this machine; empty if there can."""
    if sys.platform != "linux":
        return "the walls are those of Linux"
    if user == "nobody" and os.geteuid() != 0:
        return "the tests are run by an unprivileged user already"
    words = command(user, ["trio_runner", "--version"])
    tried = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    if tried.returncode == 0:
        return ""
    return f"no arena for the tests here: {(tried.stderr.strip().splitlines() or ['it ended at once'])[-1]}"


def main() -> None:
    """Enter an arena and run a module in it; its exit status is that of the module."""
    user, *arguments = sys.argv[1:]
    place = tempfile.mkdtemp(prefix="arena-")
    groups = _delegate_groups(Path(place).name, user) if os.geteuid() == 0 else []
    try:
        _enter(user, place)
        first = os.fork()
    except OSError:
        Path(place).rmdir()
        _remove_groups(groups)
        raise
    if first:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: os.kill(first, signal.SIGKILL))
        status = os.waitstatus_to_exitcode(os.waitpid(first, 0)[1])
        _call("umount2", place.encode(), _MNT_DETACH)
        Path(place).rmdir()
        _remove_groups(groups)
        sys.exit(status if status >= 0 else 128 - status)
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    for group in groups:
        leaf = group / LEAF
        ((leaf if leaf.is_dir() else group) / "cgroup.procs").write_text("0")
    _mount("proc", "/proc", "proc")
    with contextlib.suppress(OSError):  # numbers that no process of a task has in a namespace of its own
        Path("/proc/sys/kernel/ns_last_pid").write_text(str(_FIRST_PID))
    sys.exit(_be_init(user, place, arguments))


def _enter(user: str, place: str) -> None:
    identity = os.geteuid(), os.getegid()
    if identity[0] != 0:
        _call("unshare", _NEWUSER)
        Path("/proc/self/setgroups").write_text("deny")
        for kind, number in zip(("uid", "gid"), identity, strict=True):
            Path(f"/proc/self/{kind}_map").write_text(f"{number} {number} 1")
    _call("unshare", _NAMESPACES)
    _mount("none", "/", None, _MS_REC | _MS_PRIVATE)
    needed = [ROOT, Path(sys.prefix), Path(sys.base_prefix), Path(sys.executable)]
    if user == "nobody":
        _open_up(needed)
    _mount("tmpfs", place, "tmpfs", data=_TMPFS)
    for shared in map(Path, _SHARED_PLACES):
        if shared.is_dir() and not any(shared in path.resolve().parents for path in (*needed, Path(place))):
            _mount("tmpfs", str(shared), "tmpfs", data=_TMPFS)
    _bring_up_network()


def _delegate_groups(name: str, user: str) -> list[Path]:
    """Make control groups that a user may divide; none where that is impossible."""
    groups: list[Path] = []
    owner = NOBODY if user == "nobody" else 0
    with contextlib.suppress(OSError):
        for controller in CONTROLLERS:
            parent = group_of_controller(controller)
            group = Path(parent or own_group(), name)
            if group not in groups:
                group.mkdir()
                groups.append(group)
            if parent is None:
                (group.parent / "cgroup.subtree_control").write_text(f"+{controller}")
                (group / LEAF).mkdir(exist_ok=True)
        for group in groups:
            for path in (group, *group.rglob("cgroup.*")):
                os.chown(path, owner, owner)
        return groups
    _remove_groups(groups)
    return []


def _remove_groups(groups: Sequence[Path]) -> None:
    """Remove them with those below them: whoever was in them is gone."""
    for group in groups:
        for below in sorted((path for path in group.rglob("*") if path.is_dir()), reverse=True):
            below.rmdir()
        group.rmdir()


def _be_init(user: str, place: str, arguments: list[str]) -> int:
    """Start the module as the user; reap what falls to us, and wake the module if somebody stops it."""
    stops = Path(place) / "stops"
    stops.touch(0o666)
    child = os.fork()
    if child == 0:
        if user == "nobody":
            os.setgroups([])
            os.setgid(NOBODY)
            os.setuid(NOBODY)
        environment = os.environ | {"TMPDIR": place, "REDTEAM_ARENA": str(stops), "HOME": "/"}
        os.chdir(ROOT)
        os.execve(sys.executable, [sys.executable, "-B", "-m", *arguments], environment)
    while True:
        pid, status = os.waitpid(-1, os.WUNTRACED)
        if os.WIFSTOPPED(status):
            with stops.open("a") as log:
                log.write("stopped\n")
            os.kill(pid, signal.SIGCONT)
        elif pid == child:
            return os.waitstatus_to_exitcode(status) & 0xFF


def _open_up(needed: list[Path]) -> None:
    """Replace the closed directories above some paths by open ones that hold only the way there."""
    for path in needed:
        for place in (path, path.resolve()):
            closed = next((above for above in reversed(place.parents) if not _open_to_others(above)), None)
            if closed is not None:
                _replace(closed, needed)


def _replace(closed: Path, needed: list[Path]) -> None:
    places = (place for path in needed for place in (path, path.resolve()) if closed in place.parents)
    # What lies one level below the closed one, so that whole installations come along.
    trees = {closed / place.relative_to(closed).parts[0] for place in places}
    held = {tree: os.open(tree, os.O_PATH) for tree in trees}
    _mount("tmpfs", str(closed), "tmpfs", data="mode=755")
    for tree, descriptor in held.items():
        tree.mkdir(parents=True)
        _mount(f"/proc/self/fd/{descriptor}", str(tree), None, _MS_BIND | _MS_REC)
        os.close(descriptor)


def _open_to_others(directory: Path) -> bool:
    return bool(directory.stat().st_mode & stat.S_IXOTH)


def _bring_up_network() -> None:
    """Give the loopback interface its addresses, and let everybody listen on low ports."""
    with socket.socket() as control:
        for name, address in (("lo", "127.0.0.1"), ("lo:1", METADATA)):
            request = struct.pack("16sHH4s8x", name.encode(), socket.AF_INET, 0, socket.inet_aton(address))
            fcntl.ioctl(control, _SIOCSIFADDR, request)
        fcntl.ioctl(control, _SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", _IFF_UP))
    Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").write_text("0")


def _mount(source: str, target: str, kind: str | None, flags: int = 0, data: str = "") -> None:
    encoded = None if kind is None else kind.encode()
    _call("mount", source.encode(), target.encode(), encoded, ctypes.c_ulong(flags), data.encode())


def _call(name: str, *arguments: object) -> None:
    if getattr(_libc, name)(*arguments) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")


if __name__ == "__main__":
    main()
