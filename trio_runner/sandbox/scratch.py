"""Scratch directories: one per worker, empty at first, gone with everything in it afterwards.

To make a directory and to remove it costs as much as to fork. So one that its worker has left untouched, as
most do, is given to another one.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
from collections.abc import Callable
from typing import TYPE_CHECKING

from . import linux

if TYPE_CHECKING:
    from typing import NoReturn

__all__ = ["ScratchDirectories", "be_janitor", "lock_directory", "remove_tree"]

_State = tuple[int, ...]


class ScratchDirectories:
    """The scratch directories of a zygote's workers.

    Args:
        root: the directory that they are in.

    Attributes:
        root: see Args.
        litter: directories that are to be removed with what is in them.
    """

    def __init__(self, root: str) -> None:
        self.root = root
        self.litter: list[str] = []
        self._made = 0
        self._taken: dict[int, tuple[str, _State]] = {}
        self._spare: list[tuple[str, _State]] = []

    def take(self, worker: int, owner: int | None = None) -> str:
        """Return the path of an empty directory for a worker.

        Args:
            worker: its number.
            owner: user and group id that it has, if they are others than this process's.

        Raises:
            OSError: it cannot be made.
        """
        if not self._spare:
            self._made += 1
            path = os.path.join(self.root, str(self._made))
            os.mkdir(path, 0o700)
            self._spare.append((path, _state(path)))
        path, state = self._spare.pop()
        if owner is not None:
            os.chmod(self.root, 0o711)
            os.chown(path, owner, owner)
            state = _state(path)
        self._taken[worker] = path, state
        return path

    def give_back(self, worker: int) -> None:
        """Take back the directory of a worker of which nothing is left; nothing to do if it had none."""
        if worker not in self._taken:
            return
        path, state = self._taken.pop(worker)
        try:
            if _state(path) == state and not os.listdir(path):
                self._spare.append((path, state))
            else:
                os.rmdir(path)
        except FileNotFoundError:
            return
        except OSError:
            self.litter.append(path)


def _state(directory: str) -> _State:
    """Return what changes when anything is done to a directory: entries, owner, mode or attributes."""
    found = os.lstat(directory)
    return (
        found.st_dev,
        found.st_ino,
        found.st_mode,
        found.st_uid,
        found.st_gid,
        found.st_mtime_ns,
        found.st_ctime_ns,
    )


def remove_tree(root: str) -> bool:
    """Remove a directory and all below it, whatever its modes and however deep it is.

    Directories are moved up before they are emptied, so neither the recursion limit, nor the number of
    open files, nor the longest path the kernel takes, can stop it. Nothing may be working in the tree.

    Returns:
        Whether it is gone. What cannot be removed (a mount point, a file made immutable) is left.
    """
    if _attempt(os.rmdir, root) or not os.path.lexists(root):
        return True  # the usual case: nothing was written
    if os.path.islink(root) or not os.path.isdir(root):
        return _attempt(os.unlink, root)  # the code put something else in the place of its directory
    found = [root]
    token = os.urandom(8).hex()  # names that nothing in the tree has
    for directory in found:  # grows while it is walked
        _empty(directory, f"{root}/{token}", found)
    for directory in reversed(found):
        _attempt(os.rmdir, directory)
    return not os.path.lexists(root)


def _empty(directory: str, prefix: str, found: list[str]) -> None:
    """Unlink the files of a directory; move its directories to `prefix` and a number, noted in `found`."""
    _attempt(os.chmod, directory, 0o700)
    try:
        with os.scandir(directory) as entries:
            for entry in list(entries):
                if not entry.is_dir(follow_symlinks=False):
                    _attempt(os.unlink, entry.path)
                    continue
                _attempt(os.chmod, entry.path, 0o700)
                moved = f"{prefix}-{len(found)}"
                found.append(moved if _attempt(os.rename, entry.path, moved) else entry.path)
    except OSError:
        return


def _attempt(call: Callable[..., object], *arguments: object) -> bool:
    try:
        call(*arguments)
    except OSError:
        return False
    return True


def lock_directory(directory: str) -> None:
    """Mark the directory as in use until this process ends: a later runner clears those that are not."""
    with contextlib.suppress(OSError):
        fcntl.flock(os.open(directory, os.O_RDONLY), fcntl.LOCK_SH)


def be_janitor(litter: list[str], parent: int) -> NoReturn:
    """In a process forked for it, remove directories, then end. Never returns."""
    try:
        signal.set_wakeup_fd(-1)
        linux.die_with_parent(parent)
        linux.close_descriptors_above(2)
        os.nice(10)
        for directory in litter:
            remove_tree(directory)
    finally:
        os._exit(0)
