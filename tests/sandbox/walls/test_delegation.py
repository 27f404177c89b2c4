"""Making room in a control group that has been delegated, in real ones. Takes root, to delegate them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from trio_runner.sandbox.walls.hierarchies import LEAF, own_group

from .children import run

pytestmark = [
    pytest.mark.process,
    pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="takes root"),
]

# Moves into the group, becomes who it is to be, and makes room.
_CODE = """
import encodings.ascii  # Python may lie in somebody's home
from trio_runner.sandbox.walls import delegation, groups, tree
group, controller, user = sys.argv[2:5]
delegation.CONTROLLERS = groups.CONTROLLERS = tree.CONTROLLERS = (controller,)
with open(group + '/cgroup.procs', 'w') as file:
    file.write('0')
os.setresuid(int(user), int(user), int(user))
def where():
    return next(line.strip()[3:] for line in open('/proc/self/cgroup') if line.startswith('0::'))
made = delegation.divide_control_group()
divided = ''
if made:
    taken = groups.TaskGroups('/trio-runner-tasks', Limits())
    taken.take(1)
    child = os.fork()
    if child == 0:
        taken.enter(1); print(json.dumps([True, where()])); sys.stdout.flush(); os._exit(0)
    os.waitpid(child, 0); os._exit(0)
result = made, where()
"""


@pytest.fixture
def group() -> Iterator[Path]:
    """A control group of version 2, as a service manager makes it, with nobody in it."""
    try:
        parent = Path(own_group())
        controllers = (parent / "cgroup.controllers").read_text().split()
    except OSError:
        pytest.skip("no control groups of version 2")
    if not controllers:
        pytest.skip("no controllers in them")
    made = parent / f"trio-runner-delegated-{os.getpid()}"
    made.mkdir()
    try:
        (parent / "cgroup.subtree_control").write_text(f"+{controllers[0]}")
        yield made
    finally:
        for below in sorted(made.rglob("*/"), reverse=True):
            if below.is_dir():
                below.rmdir()
        made.rmdir()


def divide_control_group(group: Path, user: int = 0) -> Any:
    controller = (group / "cgroup.controllers").read_text().split()[0]
    return run(_CODE, str(group), controller, str(user))


def own(group: Path) -> str:
    """Return how the kernel calls a group, told from inside."""
    return f"/{group.relative_to(own_group())}" if own_group() != "/" else str(group)


def delegate_to_nobody(group: Path) -> None:
    for path in (group, *(group / f"cgroup.{name}" for name in ("procs", "threads", "subtree_control"))):
        os.chown(path, 65534, 65534)


def test_systemd_says_so(group: Path) -> None:
    os.setxattr(group, "user.delegate", b"1")
    assert divide_control_group(group) == [True, f"{own(group)}/trio-runner-tasks/0"]
    assert (group / LEAF).is_dir()


def test_an_unprivileged_user_may_divide_it(group: Path) -> None:
    delegate_to_nobody(group)
    assert divide_control_group(group, 65534) == [True, f"{own(group)}/trio-runner-tasks/0"]


def test_root_leaves_alone_what_nobody_has_given_away(group: Path) -> None:
    assert divide_control_group(group) == [False, own(group)]
    assert not (group / LEAF).exists()


def test_an_unprivileged_user_may_not(group: Path) -> None:
    assert divide_control_group(group, 65534) == [False, own(group)]


def test_a_group_with_others_in_it_is_left_alone(group: Path) -> None:
    os.setxattr(group, "user.delegate", b"1")
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other:
        (group / "cgroup.procs").write_text(str(other.pid))
        assert divide_control_group(group) == [False, own(group)]
        other.communicate(b"\n")
    assert not (group / LEAF).exists()


def test_without_the_controllers_there_is_nothing_to_gain(group: Path) -> None:
    os.setxattr(group, "user.delegate", b"1")
    assert run(_CODE, str(group), "none-such", "0") == [False, own(group)]


def test_whoever_is_in_such_a_leaf_stays_there(group: Path) -> None:
    delegate_to_nobody(group)
    (group / LEAF).mkdir()
    os.chown(group / LEAF, 65534, 65534)
    os.chown(group / LEAF / "cgroup.procs", 65534, 65534)
    controller = (group / "cgroup.controllers").read_text().split()[0]
    assert run(_CODE, str(group / LEAF), controller, "65534") == [True, f"{own(group)}/trio-runner-tasks/0"]
