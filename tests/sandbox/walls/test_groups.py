"""Control groups of tasks, made for real. Takes root, because only root gives away the right to make any.

On a system whose controllers are all in trees of version 1 the tree of version 2 has none for memory. There
one that no task has use for stands in: groups are made, entered and removed in the same way, whatever their
limits.
"""

from __future__ import annotations

import contextlib
import os
import select
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from trio_runner.sandbox.walls.groups import kill_groups, remove_abandoned_groups, remove_groups
from trio_runner.sandbox.walls.hierarchies import LEAF, group_of_controller, own_group, parents
from trio_runner.sandbox.walls.tree import CONTROLLERS

from .children import run

pytestmark = [
    pytest.mark.process,
    pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="takes root"),
]

MIB = 1024**2
# Defines `taken`, in which task 7 has a group, and `where`, which tells the groups of this process.
_START = """
from trio_runner.sandbox import linux
from trio_runner.sandbox.walls import groups, hierarchies, tree
base, controllers = sys.argv[2], sys.argv[3]
if controllers:
    groups.CONTROLLERS = tree.CONTROLLERS = tuple(controllers.split())
def where():
    return [line.split(':', 2)[2].strip() for line in open('/proc/self/cgroup')]
def in_child(act):
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.write(writer, json.dumps(act()).encode())
        finally:
            os._exit(0)
    os.close(writer)
    found = os.read(reader, 9999)
    return json.loads(found or 'null'), os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
def reap_all():
    # Until then those that were killed may be in the groups still.
    while linux.children():
        os.wait()
held = []
def use_up(mebibytes):
    data = bytearray(mebibytes * 1024**2)
    data[::4096] = b'x' * len(range(0, len(data), 4096))
    held.append(data)
"""
_TAKEN = """
taken = groups.TaskGroups(base, Limits(memory=48 * 1024**2, processes=20))
"""
_ENTER = """
taken.take(7)
def act():
    taken.enter(7)
    return [path for path in where() if base[1:] in path]
result = [path for path in where() if base[1:] in path], *in_child(act), taken.vacate(7, empty=False)
"""


@pytest.fixture
def base(request: pytest.FixtureRequest) -> Iterator[str]:
    """A name for groups, which are removed at the end."""
    name = f"/trio-runner-test-{os.getpid()}-{request.node.name.split('[')[0][5:]}"
    yield name
    remove_groups(name)
    assert found(name) == []


def found(base: str) -> list[Path]:
    return [path for parent in parents(CONTROLLERS) if (path := Path(parent + base)).exists()]


def stand_in() -> str:
    """Return a controller of the tree of version 2."""
    try:
        listed = Path(own_group(), "cgroup.controllers").read_text().split()
    except OSError:
        listed = []
    wanted = [name for name in ("memory", "pids", "hugetlb", "misc", "rdma") if name in listed]
    if not wanted:
        pytest.skip("no controllers in a tree of version 2")
    return wanted[0]


def attempted(code: str, base: str, controllers: str = "") -> Any:
    if not controllers and not (all(map(group_of_controller, CONTROLLERS)) or stand_in() == "memory"):
        pytest.skip("no controllers for memory and processes")
    return run(_START + _TAKEN + code, base, controllers)


def test_a_worker_is_moved_into_a_group_of_its_own(base: str) -> None:
    zygote, worker, status, starved = attempted(_ENTER, base)
    assert status == 0
    assert not starved
    assert zygote
    assert worker == [path.removesuffix("zygote") + "0" for path in zygote]
    assert found(base)


def test_the_same_in_the_tree_of_version_two(base: str) -> None:
    zygote, worker, status, _ = attempted(_ENTER, base, stand_in())
    assert (status, len(zygote)) == (0, 1)
    assert worker == [path.removesuffix("zygote") + "0" for path in zygote]
    # Nothing that is set up there is lost on the groups below.
    group = Path(own_group() + base)
    assert stand_in() in (group / "cgroup.subtree_control").read_text().split()


def test_groups_are_used_again_once_they_are_empty(base: str) -> None:
    names = attempted(
        """
def names():
    return sorted(name for name in os.listdir(taken._trees[0].path) if name.isdecimal())
for worker in (1, 2):
    taken.take(worker)
first = names()
taken.vacate(1, empty=True)
taken.take(3)
second = names()
child = os.fork()
if child == 0:
    taken.enter(3); signal.pause()
while not taken._trees[0].is_used(taken._used[3]): pass
taken.vacate(3, empty=False)
taken.take(4)  # something is left in it: another one
third = names()
os.kill(child, 9); os.waitpid(child, 0)
taken.vacate(2, empty=True)
taken.take(5); taken.take(6)
result = first, second, third, names()
""",
        base,
    )
    assert names == [["0", "1"], ["0", "1"], ["0", "1", "2"], ["0", "1", "2"]]


def test_processes_that_use_up_memory_together_are_told_of(base: str) -> None:
    code = """
import select
linux.become_subreaper()
def act():
    taken.enter(7)
    for _ in range(3):
        if os.fork() == 0:
            use_up(30); signal.pause()
    signal.pause()
taken.take(7)
child = os.fork()
if child == 0:
    os.setsid()
    try: act()
    finally: os._exit(1)
starving = []
if not taken._trees[0].unified:  # where the kernel ends all of it, nobody needs to be told
    poll = select.poll(); poll.register(taken.alarms, select.POLLIN)
    assert poll.poll(20000)
    starving = taken.starving()
    os.killpg(child, 9)
status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
reap_all()
result = starving, status, taken.vacate(7, empty=False), taken.vacate(7, empty=False)
"""
    starving, status, starved, again = attempted(code, base)
    assert starving in ([7], [])
    assert status == -9
    assert starved
    assert not again


def test_the_alarm_of_a_worker_is_not_put_down_to_the_next(base: str) -> None:
    code = """
taken.take(7)
child = os.fork()
if child == 0:
    try: taken.enter(7); use_up(90)
    finally: os._exit(1)
status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
starved = taken.vacate(7, empty=True)
taken.take(8)
result = status, starved, taken._used[8], taken.starving(), taken.vacate(8, empty=True)
"""
    assert attempted(code, base) == [-9, True, "0", [], False]


def test_memory_that_a_group_above_lacks_is_not_put_down_to_a_task(base: str) -> None:
    code = """
taken = groups.TaskGroups(base, Limits(memory=200 * 1024**2, processes=20))
children = []
def start(worker, mebibytes):
    taken.take(worker)
    there, ready = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            open('/proc/self/oom_score_adj', 'w').write('1000')
            taken.enter(worker); use_up(mebibytes); os.write(ready, b'x'); signal.pause()
        finally: os._exit(1)
    os.close(ready)
    os.read(there, 1)  # it is done, or dead
    children.append((worker, child))
for worker, mebibytes in (1, 0), (2, 60), (3, 60):
    start(worker, mebibytes)
starving = taken.starving()
signal.alarm(20)  # what is not killed would wait for ever
killed = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOWAIT).si_pid in (children[1][1], children[2][1])
for _, child in children:
    os.kill(child, 9); os.waitpid(child, 0)
result = starving, killed, [taken.vacate(worker, empty=True) for worker, _ in children]
"""
    with _group_above(base, 100 * MIB) as above:
        enter = f"for path in {above}: open(path + '/cgroup.procs', 'w').write('0')\n"
        assert run(_START + enter + code, base, "") == [[], True, [False, False, False]]


@contextlib.contextmanager
def _group_above(base: str, memory: int) -> Iterator[list[str]]:
    """Make a group with so much memory, and below it what a runner's groups are made beside."""
    if all(map(group_of_controller, CONTROLLERS)):
        made = Path(f"{group_of_controller('memory')}{base}-above")
        limit, enter = made / "memory.limit_in_bytes", made
    elif stand_in() == "memory":
        made = Path(f"{own_group()}{base}-above")
        try:
            (made.parent / "cgroup.subtree_control").write_text("+memory +pids")
        except OSError:
            pytest.skip("this group is not ours to divide")
        limit, enter = made / "memory.max", made / LEAF
    else:
        pytest.skip("no controllers for memory and processes")
    enter.mkdir(parents=True)
    try:
        limit.write_text(str(memory))
        yield [str(enter)]
    finally:
        for place in sorted((path for path in made.rglob("*") if path.is_dir()), reverse=True):
            place.rmdir()
        made.rmdir()


_REFUSING = """
before, descriptors = where(), os.listdir('/proc/self/fd')
real = getattr(tree.Tree, METHOD)
def refuse(self, *arguments):
    if CONDITION:
        raise OSError(28, 'No space left on device')
    return real(self, *arguments)
setattr(tree.Tree, METHOD, refuse)
try:
    groups.TaskGroups(base, Limits())
except OSError as error:
    result = str(error), where() == before, os.listdir('/proc/self/fd') == descriptors
"""


@pytest.mark.parametrize(
    ("method", "condition"),
    [
        ("make", "True"),
        ("make_alarm", "self.bounds_memory"),
        # The last tree; this process is in a group of the first by then.
        ("enter", "not self.bounds_memory or len(find_places()) == 1"),
    ],
)
def test_what_cannot_be_had_shows_at_once_and_leaves_nothing(base: str, method: str, condition: str) -> None:
    if not all(map(group_of_controller, CONTROLLERS)) and stand_in() != "memory":
        pytest.skip("no controllers for memory and processes")
    code = "from trio_runner.sandbox.walls.tree import find_places\n" + _REFUSING
    code = code.replace("METHOD", repr(method)).replace("CONDITION", condition)
    said, in_place, closed = run(_START + code, base, "")
    assert said.endswith("No space left on device")
    assert "not the runner's to divide" in said
    assert (in_place, closed) == (True, True)
    assert found(base) == []


def test_alarms_that_are_refused_leave_no_descriptors(base: str) -> None:
    code = """
real = tree.Tree._put
def refuse(self, path, value):
    if path.endswith('event_control'):
        raise OSError(28, 'no')
    real(self, path, value)
taken.take(1)
tree.Tree._put = refuse
before = len(os.listdir('/proc/self/fd'))
errors = [refused(taken.take, worker) for worker in (2, 3, 4)]
result = taken._memory.unified, errors, len(os.listdir('/proc/self/fd')) - before
"""
    unified, errors, more = attempted(code, base)
    assert errors == [0 if unified else 28] * 3
    assert more == 0


def test_a_group_that_somebody_removes_is_not_used_again(base: str) -> None:
    code = """
taken.take(1)
for one in taken._trees:
    os.rmdir(one.path + '/0')
result = taken.starving(), taken.vacate(1, empty=True), taken.take(2), taken._used[2]
"""
    assert attempted(code, base) == [[], False, None, "1"]


def test_a_system_without_control_groups_says_so(base: str) -> None:
    code = """
import select
del select.epoll  # macOS
hierarchies._OWN = '/proc/none'
result = refused(groups.TaskGroups, base, Limits())
"""
    assert run(_START + code, base, "") == 2


def test_the_number_of_processes_is_bounded(base: str) -> None:
    code = """
linux.become_subreaper()
taken.take(7)
def acting():
    os.setsid()
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.setsid()
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        taken.enter(7)
        count = 1
        try:
            while True:
                if os.fork() == 0:
                    signal.pause()
                count += 1
        except OSError as error:
            os.write(writer, json.dumps([error.errno, count]).encode())
        os.killpg(0, 9)
    found = json.loads(os.read(reader, 99))
    os.waitpid(child, 0)
    return found
result = in_child(acting)[0]
reap_all()
"""
    assert attempted(code, base) == [11, 20]  # EAGAIN


def test_groups_of_a_zygote_that_lives_are_not_abandoned(base: str) -> None:
    code = """
taken.take(7); taken.vacate(7, empty=True)
groups.remove_abandoned_groups(base[1:], time.time() + 100)
paths = [tree.path for tree in taken._trees]
result = [os.path.isdir(path + '/0') for path in paths], in_child(lambda: (taken.take(8), taken.enter(8)))[1]
"""
    there, status = attempted(code, base)
    assert there
    assert all(there)
    assert status == 0
    assert found(base)
    remove_abandoned_groups(base[1:], 0)  # all of them are younger
    assert found(base)
    remove_abandoned_groups(base[1:], 2.0**40)
    assert found(base) == []


def test_what_is_left_in_the_groups_is_killed_at_one_blow(base: str) -> None:
    code = """
def act():
    os.setsid()
    if os.fork() == 0:
        taken.enter(7)
        os.write(1, b'')
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        os.close(1); os.close(2)
        signal.pause()
    while not taken._trees[0].is_used('0'): pass
taken.take(7)
in_child(act)
result = [tree.path for tree in taken._trees if tree.unified]
"""
    (path,) = attempted(code, base, stand_in())
    if not Path(path, "cgroup.kill").exists():
        remove_groups(base)
        pytest.skip("this kernel does not kill groups")
    (survivor,) = map(int, Path(path, "0", "cgroup.procs").read_text().split())
    pidfd = os.pidfd_open(survivor)
    kill_groups(base)
    assert select.select([pidfd], [], [], 10)[0]
    os.close(pidfd)


def test_without_rights_it_says_so(base: str) -> None:
    code = """
try:
    groups.TaskGroups(base, Limits())
except OSError as error:
    result = str(error)
else:
    result = None
"""
    said = run(_START + code, base, "", nobody=True)
    assert "not the runner's to divide" in said or "has been delegated" in said
    assert found(base) == []
