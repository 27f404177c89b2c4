"""Scratch directories: one per worker, empty at first, gone with everything in it afterwards.

To make a directory and to remove it costs as much as to fork. So one that its worker has left untouched, as
most do, is given to another one.
"""

from __future__ import annotations

import os
from collections.abc import Callable

__all__ = ["ScratchDirectories", "remove_tree"]

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

    def take(self, worker: int) -> str:
        """Return the path of an empty directory for a worker.

        Raises:
            OSError: it cannot be made.
        """
        if not self._spare:
            self._made += 1
            path = os.path.join(self.root, str(self._made))
            os.mkdir(path, 0o700)
            self._spare.append((path, _state(path)))
        self._taken[worker] = self._spare.pop()
        return self._taken[worker][0]

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
