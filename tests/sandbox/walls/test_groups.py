"""Control groups of tasks, made for real. Takes root, because only root gives away the right to make any.

On a system whose controllers are all in trees of version 1 the tree of version 2 has none for memory. There
one that no task has use for stands in: groups are made, entered and removed in the same way, whatever their
limits.
"""

from __future__ import annotations

import os
import select
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from trio_runner.sandbox.walls.groups import (
    CONTROLLERS,
    kill_groups,
    remove_abandoned_groups,
    remove_groups,
)
from trio_runner.sandbox.walls.hierarchies import group_of_controller, own_group, parents

from .children import run

pytestmark = [
    pytest.mark.process,
    pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="takes root"),
]

MIB = 1024**2
# Defines `taken`, in which task 7 has a group, and `where`, which tells the groups of this process.
_START = """
from trio_runner.sandbox import linux
from trio_runner.sandbox.walls import groups, hierarchies
base, controllers = sys.argv[2], sys.argv[3]
if controllers:
    groups.CONTROLLERS = tuple(controllers.split())
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
    return run(_START + code, base, controllers)


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
            data = bytearray(30 * 1024**2)
            data[::4096] = b'x' * len(range(0, len(data), 4096))
            signal.pause()
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
    start = _START.rpartition("taken =")[0]
    said = run(start + code, base, "", nobody=True)
    assert "not the runner's to divide" in said or "has been delegated" in said
    assert found(base) == []
