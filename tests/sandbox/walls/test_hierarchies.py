"""Where control groups are found, on systems of every kind."""

from __future__ import annotations

from pathlib import Path

import pytest

from trio_runner.sandbox.walls import hierarchies
from trio_runner.sandbox.walls.hierarchies import group_of_controller, own_group, parent_of_groups, parents

UNIFIED = "30 23 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n"
HYBRID = """\
25 23 0:22 / /sys/fs/cgroup rw - tmpfs tmpfs rw
26 25 0:23 / /sys/fs/cgroup/unified rw shared:9 - cgroup2 cgroup2 rw
27 25 0:24 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory
28 25 0:25 / /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids
"""
DOCKER = """\
27 25 0:24 /docker/ab /sys/fs/cgroup/memory ro master:11 - cgroup cgroup rw,memory
28 25 0:25 /docker/ab /sys/fs/cgroup/pids ro - cgroup cgroup rw,pids
"""
NAMESPACED = "30 23 0:26 / /my\\040groups rw - cgroup2 cgroup2 rw\n"


@pytest.fixture
def system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory for what the kernel tells."""
    monkeypatch.setattr(hierarchies, "_OWN", str(tmp_path / "cgroup"))
    monkeypatch.setattr(hierarchies, "_MOUNTS", str(tmp_path / "mountinfo"))
    return tmp_path


def describe(system: Path, own: str, mounts: str) -> None:
    (system / "cgroup").write_text(own)
    (system / "mountinfo").write_text(f"22 1 8:1 / / rw - ext4 /dev/vda rw\n{mounts}")


def test_one_tree(system: Path) -> None:
    describe(system, "0::/system.slice/runner.service\n", UNIFIED)
    assert own_group() == parent_of_groups() == "/sys/fs/cgroup/system.slice/runner.service"
    assert group_of_controller("memory") is None
    assert list(parents(("memory", "pids"))) == [own_group()]


def test_the_root_of_the_tree(system: Path) -> None:
    describe(system, "0::/\n", UNIFIED)
    assert own_group() == "/sys/fs/cgroup"


def test_beside_the_leaf_of_a_runner(system: Path) -> None:
    describe(system, "0::/user/runner.service/trio-runner\n", UNIFIED)
    assert own_group() == "/sys/fs/cgroup/user/runner.service/trio-runner"
    assert parent_of_groups() == "/sys/fs/cgroup/user/runner.service"


def test_trees_of_both_versions(system: Path) -> None:
    describe(system, "9:pids:/\n4:memory:/a/b\n1:name=systemd:/\n0::/c\n", HYBRID)
    assert own_group() == "/sys/fs/cgroup/unified/c"
    assert group_of_controller("memory") == "/sys/fs/cgroup/memory/a/b"
    assert group_of_controller("pids") == "/sys/fs/cgroup/pids"
    assert list(parents(("memory", "pids"))) == [
        "/sys/fs/cgroup/unified/c",
        "/sys/fs/cgroup/memory/a/b",
        "/sys/fs/cgroup/pids",
    ]


def test_a_mount_that_shows_a_part_of_the_tree(system: Path) -> None:
    describe(system, "9:pids:/docker/ab\n4:memory:/docker/ab/c\n0::/\n", DOCKER)
    assert group_of_controller("memory") == "/sys/fs/cgroup/memory/c"
    assert group_of_controller("pids") == "/sys/fs/cgroup/pids"
    with pytest.raises(OSError, match="control groups of version 2"):
        own_group()


def test_a_group_that_the_mount_does_not_show(system: Path) -> None:
    describe(system, "4:memory:/docker/abc\n0::/../other\n", DOCKER + UNIFIED)
    assert group_of_controller("memory") is None
    with pytest.raises(OSError, match="control groups of version 2"):
        own_group()


def test_a_mount_that_shows_another_part_comes_first(system: Path) -> None:
    elsewhere = "26 23 0:24 /docker/cd /inner rw - cgroup cgroup rw,memory\n"
    describe(system, "9:pids:/docker/ab\n4:memory:/docker/ab/c\n0::/\n", elsewhere + DOCKER)
    assert group_of_controller("memory") == "/sys/fs/cgroup/memory/c"


def test_a_name_with_a_space(system: Path) -> None:
    describe(system, "0::/my slice\n", NAMESPACED)
    assert own_group() == "/my groups/my slice"


def test_a_system_without_any(system: Path) -> None:
    assert list(parents(("memory",))) == []
    with pytest.raises(OSError, match="cgroup"):
        group_of_controller("memory")
