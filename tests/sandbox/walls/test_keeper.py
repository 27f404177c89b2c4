"""Keepers of PID namespaces: they are there, and have nothing."""

from __future__ import annotations

from typing import Any

import pytest

from .children import run

pytestmark = pytest.mark.process

# The right to make PID namespaces, if it is to be had.
_BEGIN = """\
from trio_runner.sandbox import linux
from trio_runner.sandbox.walls.keeper import make_keepers
if not kernel.MACHINE:
    print('null')
    sys.exit()
try:
    kernel.unshare(0 if namespaces.is_privileged() else kernel.CLONE_NEWUSER)
except OSError:
    print('null')
    sys.exit()
lives = lambda pid: os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None
def inside(namespace, act):
    own = os.open('/proc/self/ns/pid', os.O_RDONLY)
    kernel.setns(namespace, kernel.CLONE_NEWPID)
    child = os.fork()
    if child == 0:
        act()
        os._exit(0)
    kernel.setns(own, kernel.CLONE_NEWPID)
    os.close(own)
    return child
"""


def _run(code: str) -> Any:
    result = run(_BEGIN + code)
    if result is None:
        pytest.skip("no PID namespaces here")
    return result


def test_a_keeper_has_no_descriptors_and_hardly_any_memory() -> None:
    code = """
here, there = os.pipe()
found = make_keepers(3, basics.forbid_core_dumps)
os.close(there)
hung_up = os.read(here, 1) == b''  # who else held the other end would keep this waiting
result = [hung_up, len(os.listdir('/proc/self/fd')) - 3 - 1 - 1 - len(found)]
for keeper in found:
    resident = int(linux.contents(f'/proc/{keeper.pid}/statm').split()[1]) * resource.getpagesize()
    result.append([os.listdir(f'/proc/{keeper.pid}/fd'), lives(keeper.pid), resident < 1024**2])
    os.kill(keeper.pid, signal.SIGKILL)
"""
    assert _run(code) == [True, 0, *[[[], True, True]] * 3]


def test_a_keeper_is_what_its_maker_was_made_to_be() -> None:
    code = """
resource.setrlimit(resource.RLIMIT_CORE, (4096, 4096))
secrets.hide_memory()
(keeper,) = make_keepers(1, basics.forbid_core_dumps)
status = dict(line.split(':', 1) for line in open(f'/proc/{keeper.pid}/status').read().splitlines())
open_to = ~int(status['SigBlk'], 16) & sum(1 << number - 1 for number in (1, 2, 15, 17, 31, 64))
reaps = bool(int(status['SigIgn'], 16) & 1 << signal.SIGCHLD - 1)
core = resource.prlimit(keeper.pid, resource.RLIMIT_CORE)
hidden = os.geteuid() == 0 or refused(open, f'/proc/{keeper.pid}/maps', 'rb')
result = [open_to, reaps, core, int(status['PPid']) == os.getpid(), bool(hidden)]
os.kill(keeper.pid, signal.SIGKILL)
"""
    assert _run(code) == [0, True, [0, 0], True, True]


def test_signals_from_inside_do_not_reach_a_keeper_and_all_inside_dies_with_it() -> None:
    code = """
(keeper,) = make_keepers(1, basics.forbid_core_dumps)
here, there = os.pipe()
def attack():
    for name in 'TERM INT SEGV CHLD STOP KILL'.split():
        os.kill(1, getattr(signal, 'SIG' + name))
    os.write(there, b'x%d' % os.getpid())
    signal.pause()
child = inside(keeper.namespace, attack)
said = os.read(here, 10).decode()
living = [lives(keeper.pid), lives(child)]
os.kill(keeper.pid, signal.SIGKILL)
_, status = os.waitpid(child, 0)
result = [said, living, os.waitstatus_to_exitcode(status), os.waitpid(keeper.pid, 0)[1]]
"""
    assert _run(code) == ["x2", [True, True], -9, 9]


def test_what_falls_to_a_keeper_is_reaped() -> None:
    code = """
(keeper,) = make_keepers(1, basics.forbid_core_dumps)
here, there = os.pipe()
def orphan():
    if os.fork() == 0:
        os.write(there, b'x')
        os.close(there)
        signal.pause()
os.waitpid(inside(keeper.namespace, orphan), 0)
os.read(here, 1)
listing = f'/proc/{keeper.pid}/task/{keeper.pid}/children'
(fallen,) = map(int, linux.contents(listing).split())
os.kill(fallen, signal.SIGKILL)
while linux.contents(listing).strip():  # not even a zombie stays
    os.sched_yield()
result = lives(keeper.pid)
os.kill(keeper.pid, signal.SIGKILL)
"""
    assert _run(code) is True


def test_faults_are_told_and_leave_nothing() -> None:
    code = """
def fail():
    raise OSError(1, 'not today')
def tried(count, prepare):
    try:
        make_keepers(count, prepare)
    except OSError as error:
        return str(error)
result = [tried(1, fail), tried(1, lambda: os.kill(os.getpid(), signal.SIGKILL))]
really, made = kernel.clone, []
def clone(*arguments):  # the second keeper is one too many
    if made:
        os.kill(os.getpid(), signal.SIGKILL)
    made.append(1)
    return really(*arguments)
kernel.clone = clone
result.append(tried(2, basics.forbid_core_dumps))
_, status = os.waitpid(-1, 0)  # the first has been killed
result += [status, bool(linux.children())]
"""
    killed = "what makes process namespaces was killed"
    assert _run(code) == ["[Errno 1] not today", killed, killed, 9, False]


def test_where_there_are_not_descriptors_for_all_of_them_none_stays() -> None:
    code = """
others = [os.open('/dev/null', os.O_RDONLY) for _ in range(40)]
resource.setrlimit(resource.RLIMIT_NOFILE, (others[-1] + 4, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
try:
    made = make_keepers(6, basics.forbid_core_dumps)
except OSError as error:
    made = error.strerror
os.close(others.pop())
statuses = []
while linux.children():  # those that were made end
    statuses.append(os.waitpid(-1, 0)[1] if isinstance(made, str) else os._exit(1))
result = made, statuses, len(os.listdir('/proc/self/fd')) - len(others)
"""
    made, statuses, descriptors = _run(code)
    assert made == "Too many open files"
    assert set(statuses) == {9}
    assert descriptors == 4  # the standard three, and that of the list
