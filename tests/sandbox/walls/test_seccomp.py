"""The filter of system calls, alone, and its programs for both kinds of processor."""

from __future__ import annotations

import errno
import os

import pytest

from trio_runner.sandbox.walls import seccomp
from trio_runner.sandbox.walls.kernel import AARCH64, MACHINE, X86_64, KernelRefused

from .children import run

PREPARE = (
    "basics.forbid_new_privileges()\nseccomp.install(seccomp.build(network={network}, programs={programs}))\n"
)
users = pytest.mark.parametrize(
    "nobody", [False, pytest.param(True, marks=pytest.mark.skipif(os.getuid() != 0, reason="needs root"))]
)


@users
def test_what_it_refuses(nobody: bool) -> None:
    found = run(
        PREPARE.format(network=False, programs=False)
        + """
import socket, threading
call = lambda number, *a: refused(kernel.syscall, 'x', number, *a)
x86 = kernel.MACHINE == kernel.X86_64
thread = threading.Thread(target=int); thread.start(); thread.join()
result = {
    'unshare': refused(kernel.unshare, kernel.CLONE_NEWUSER),
    'mount': refused(kernel.mount, 'x', '/', 'tmpfs', 0),
    'ptrace': call(101 if x86 else 117, 0, 0, 0, 0),
    'bpf': call(321 if x86 else 280, 0, None, 0),
    'io_uring': call(425, 1, None),
    'keyctl': call(250 if x86 else 219, 0, -3, 0),
    'clone3': call(435, None, 0),
    'namespace by clone': call(56 if x86 else 220, kernel.CLONE_NEWUSER, 0),
    'inet': refused(socket.socket, socket.AF_INET),
    'vsock': refused(socket.socket, 40),
    'unix': refused(lambda: socket.socketpair()[0].close()),
    'exec': refused(os.execv, '/bin/true', ['true']),
    'fork': os.waitpid(pid, 0)[1] if (pid := os.fork()) else os._exit(0),
}""",
        nobody=nobody,
    )
    assert found.pop("clone3") == errno.ENOSYS  # the C library then uses clone
    assert (found.pop("unix"), found.pop("fork")) == (0, 0)
    assert set(found.values()) == {errno.EPERM}, found


def test_with_network_and_programs() -> None:
    found = run(
        PREPARE.format(network=True, programs=True)
        + """
import socket, subprocess
result = [
    refused(lambda: socket.socket(socket.AF_INET).close()),
    refused(lambda: socket.socket(16, socket.SOCK_RAW, 0).close()),
    refused(socket.socket, 16, socket.SOCK_RAW, 9),
    subprocess.run([sys.executable, '-I', '-S', '-c', 'print(1)'], capture_output=True).stdout.decode(),
]""",
    )
    assert found == [0, 0, errno.EPERM, "1\n"]


@pytest.mark.parametrize("machine", [X86_64, AARCH64])
def test_programs_are_sound(machine: str) -> None:
    code = seccomp.build(network=True, programs=False, machine=machine).code
    lines = [code[place : place + 8] for place in range(0, len(code), 8)]
    assert len(code) % 8 == 0
    assert len(lines) < 4096  # the most that the kernel takes
    for place, line in enumerate(lines):
        operation, then, otherwise = int.from_bytes(line[:2], "little"), line[2], line[3]
        if operation & 7 == 5:  # a jump: forward, and not past the end
            assert place + 1 + max(then, otherwise) < len(lines)


def test_an_unknown_processor_has_none() -> None:
    with pytest.raises(KernelRefused, match="seccomp on this kind of processor"):
        seccomp.build(network=True, programs=True, machine="")


@pytest.mark.skipif(not MACHINE, reason="no system calls are known")
def test_a_machine_can_be_played_that_lacks_something() -> None:
    found = run(
        "basics.forbid_new_privileges(); seccomp.install(seccomp.refuse_only('unshare'))\n"
        "result = [refused(kernel.unshare, kernel.CLONE_NEWUSER), refused(os.listdir, '/')]"
    )
    assert found == [errno.EPERM, 0]
