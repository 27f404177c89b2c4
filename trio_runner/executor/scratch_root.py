"""The directory that holds the scratch directories of one zygote's workers.

The zygote removes it in the end, the runner if the zygote cannot. If both are killed at one moment, nobody
does. So each of them holds a lock on it while it lives, and a later runner removes what is not locked.
"""

from __future__ import annotations

import fcntl
import os
import tempfile
import time
from contextlib import ExitStack, suppress
from pathlib import Path

from ..errors import ConfigError
from ..sandbox.scratch import remove_tree
from ..sandbox.walls.groups import remove_abandoned_groups

__all__ = ["clear_abandoned", "make_scratch_root"]

_PREFIX = "trio-runner-"
# Seconds for which a directory is left alone although nobody has locked it yet.
_YOUNG = 60.0


def make_scratch_root() -> tuple[str, int]:
    """Make a directory, private to this user.

    Returns:
        Its path, and a descriptor that keeps it from being cleared as abandoned while it is open.

    Raises:
        ConfigError: there is no place for temporary files.
    """
    with ExitStack() as undo:
        try:
            path = tempfile.mkdtemp(prefix=_PREFIX)
            undo.callback(os.rmdir, path)
            lock = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
            undo.callback(os.close, lock)
            fcntl.flock(lock, fcntl.LOCK_SH)
        except OSError as exc:
            raise ConfigError(
                f"no directory for temporary files: {exc.strerror or exc}; set TMPDIR to a writable one"
            ) from exc
        undo.pop_all()
    return path, lock


def clear_abandoned() -> int:
    """Remove the directories of this user's runners that are gone with their zygotes. For a thread.

    Returns:
        How many there were.
    """
    remove_abandoned_groups(_PREFIX, time.time() - _YOUNG)
    return sum(_clear(path) for path in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"))


def _clear(path: Path) -> bool:
    try:
        found = path.lstat()
        if found.st_uid != os.geteuid() or time.time() - found.st_mtime < _YOUNG:
            return False
        lock = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError:
        return False
    try:
        with suppress(OSError):  # somebody holds it
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return remove_tree(str(path))
        return False
    finally:
        os.close(lock)
