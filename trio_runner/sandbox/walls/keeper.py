"""The first process of a PID namespace, which only has to exist: it runs no Python and has hardly any memory.

Theory of operation. A fork of the zygote would hold on to every page that the zygote writes to later. So a
keeper begins with `pause(2)`, on a stack of its own, in a copy of the address space that lacks everything but
the C library. What has to be different about it, it inherits from its *maker*: a child of the zygote that has
blocked all signals, has the kernel reap what falls to it, and ends when there is a keeper. The two share one
table of descriptors, which the maker empties before it ends; the zygote is the parent of both. Most of what
that costs is the fork of the maker, so one makes several.
"""

from __future__ import annotations

import errno
import mmap
import os
import signal
import socket
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, NamedTuple

from .. import linux
from . import kernel

if TYPE_CHECKING:
    from typing import NoReturn

__all__ = ["Keeper", "make_keepers"]

# Not by the pidfd of a keeper: nobody may look into one whose memory is private.
_OWN, _OF_CHILDREN = "/proc/self/ns/pid", "/proc/self/ns/pid_for_children"

_STACK = 16384  # bytes: the one function that runs there takes less than a hundred
_LONGEST = 1024  # bytes of the maker's answer
_CHANNEL = 3  # the maker's one descriptor beside the standard three


class Keeper(NamedTuple):
    """A keeper that lives: its process id, and a descriptor of its namespace."""

    pid: int
    namespace: int


def make_keepers(count: int, prepare: Callable[[], object]) -> list[Keeper]:
    """Make PID namespaces, each with a keeper in it that is a child of this process.

    Args:
        count: how many, 100 at most; several together cost little more than one.
        prepare: called before, in a process whose limits the keepers inherit.

    Raises:
        OSError: the system refuses.
    """
    before = linux.children()
    ours, theirs = socket.socketpair()
    with ours:
        with theirs:
            maker = os.fork()
            if maker == 0:
                _be_maker(theirs.fileno(), count, prepare)
        os.waitpid(maker, 0)
        ours.shutdown(socket.SHUT_RD)  # if it was killed, a keeper may hold the other end
        answer, namespaces, flags, _ = socket.recv_fds(ours, _LONGEST, count, _CLOSE_ON_EXEC)
    if len(namespaces) == count:
        return list(map(Keeper, map(int, answer.split()), namespaces))
    for namespace in namespaces:
        os.close(namespace)
    for child in linux.children() - before:
        os.kill(child, signal.SIGKILL)
    if flags & socket.MSG_CTRUNC:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
    raise OSError(answer.decode("utf-8", "replace") or "what makes process namespaces was killed")


def _be_maker(channel: int, count: int, prepare: Callable[[], object]) -> NoReturn:
    """Make the keepers and answer with their numbers and namespaces, or with what went wrong."""
    try:
        os.dup2(channel, _CHANNEL)
        linux.close_descriptors_above(_CHANNEL)
        answers = socket.socket(fileno=_CHANNEL)
        try:
            keepers = list(_make(count, prepare))
            numbers = " ".join(str(keeper.pid) for keeper in keepers)
            socket.send_fds(answers, [numbers.encode()], [keeper.namespace for keeper in keepers])
        except OSError as exc:
            answers.send(str(exc).encode("utf-8", "replace")[:_LONGEST])
        linux.close_descriptors_above(-1)
    finally:
        os._exit(0)


def _make(count: int, prepare: Callable[[], object]) -> Iterator[Keeper]:
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())  # no handler of ours must run in them
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    prepare()
    own = os.open(_OWN, os.O_RDONLY)
    stack = mmap.mmap(-1, _STACK, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    needed = (kernel.address_of("pause"), kernel.thread_pointer(), kernel.address_of(stack))
    _keep_from_children(needed)
    for _ in range(count):
        kernel.unshare(kernel.CLONE_NEWPID)
        keeper = kernel.clone("pause", stack, kernel.CLONE_FILES | kernel.CLONE_PARENT)
        yield Keeper(keeper, os.open(_OF_CHILDREN, os.O_RDONLY))
        kernel.setns(own, kernel.CLONE_NEWPID)


# --- the address space ------------------------------------------------------------------------------


def _keep_from_children(needed: tuple[int, ...]) -> None:
    """Have children lack what no function of the C library needs that only waits.

    Args:
        needed: addresses in what it needs; of a file, all is needed, and the variables that follow it.
    """
    mappings = list(_mappings())
    files = {mapping.file for mapping in mappings if mapping.file and mapping.holds(needed)}
    before = _Mapping(0, 0, "")
    for mapping in mappings:
        follows = not mapping.file and before.end == mapping.begin and before.file in files
        if mapping.file not in files and not follows and not mapping.holds(needed):
            kernel.keep_from_children(mapping.begin, mapping.end - mapping.begin)
        before = mapping


class _Mapping(NamedTuple):
    """A part of the address space of this process, and the file that it maps, if there is one."""

    begin: int
    end: int
    file: str

    def holds(self, addresses: tuple[int, ...]) -> bool:
        """Whether one of these lies in it."""
        return any(self.begin <= address < self.end for address in addresses)


def _mappings() -> Iterator[_Mapping]:
    for line in linux.contents("/proc/self/maps").decode("utf-8", "replace").splitlines():
        area, _, _, _, _, *file = line.split(maxsplit=5)
        begin, end = (int(address, 16) for address in area.split("-"))
        yield _Mapping(begin, end, file[0] if file else "")


_CLOSE_ON_EXEC = getattr(socket, "MSG_CMSG_CLOEXEC", 0)
