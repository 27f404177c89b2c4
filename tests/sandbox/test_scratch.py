"""Removing whatever a task left in its directory, and nothing else."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from trio_runner.sandbox.scratch import remove_tree


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The directory to remove."""
    directory = tmp_path / "root"
    directory.mkdir()
    return directory


def test_an_empty_directory(root: Path) -> None:
    assert remove_tree(str(root))
    assert not root.exists()


def test_what_is_not_there_is_removed(root: Path) -> None:
    assert remove_tree(str(root / "missing"))


def test_files_directories_and_special_files(root: Path) -> None:
    for name in ("a", "a/b", "a/b/c", "remove-1", "remove-2"):
        (root / name).mkdir()
        (root / name / "file").write_text("x")
    os.mkfifo(root / "pipe")
    assert remove_tree(str(root))
    assert not root.exists()


def test_deeper_than_any_recursion_or_path(root: Path) -> None:
    here = Path.cwd()
    try:
        os.chdir(root)
        for _ in range(3000):
            Path("directory").mkdir()
            os.chdir("directory")
    finally:
        os.chdir(here)
    assert remove_tree(str(root))
    assert not root.exists()


def test_modes_that_forbid_it(root: Path) -> None:
    (root / "closed" / "inner").mkdir(parents=True)
    (root / "closed" / "file").write_text("x")
    (root / "closed" / "inner").chmod(0)
    (root / "closed").chmod(0)
    root.chmod(0o500)
    assert remove_tree(str(root))
    assert not root.exists()


def test_links_are_removed_not_followed(root: Path, tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "file").write_text("x")
    mode = precious.stat().st_mode
    (root / "link").symlink_to(precious)
    (root / "inner").mkdir()
    (root / "inner" / "link").symlink_to(precious / "file")
    assert remove_tree(str(root))
    assert (precious / "file").read_text() == "x"
    assert precious.stat().st_mode == mode


@pytest.mark.parametrize("directory", [True, False])
def test_a_root_that_was_replaced_by_a_link(root: Path, tmp_path: Path, directory: bool) -> None:
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "file").write_text("x")
    root.rmdir()
    root.symlink_to(precious if directory else precious / "file")
    assert remove_tree(str(root))
    assert not os.path.lexists(root)
    assert (precious / "file").read_text() == "x"


def test_a_root_that_was_replaced_by_a_file(root: Path) -> None:
    root.rmdir()
    root.write_text("x")
    assert remove_tree(str(root))
    assert not root.exists()
