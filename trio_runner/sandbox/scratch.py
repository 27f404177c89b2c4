"""Scratch directories: one per worker, empty at first, gone with everything in it afterwards."""

from __future__ import annotations

import os
from collections.abc import Callable

__all__ = ["remove_tree"]


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
