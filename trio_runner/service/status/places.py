"""Where the local sockets of daemons are: a directory for each user, and one for the whole system."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import socket
import stat
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from ...errors import ConfigError

__all__ = ["AUTOMATIC", "NO_SOCKET", "find_sockets", "is_answered", "remove_stale", "socket_path"]

AUTOMATIC = "auto"
"""The setting that leaves the place to us."""
NO_SOCKET = "none"
"""The setting for no socket."""

_NAME = "trio-runner"
# Bytes that the address of a Unix socket has room for, the zero byte at its end included: 104 on macOS.
_LONGEST_ADDRESS = 104
# Characters of an id that stand in a file name; of a longer one the rest is a digest.
_LONGEST_ID = 40
_SUFFIX = ".sock"
# Seconds after which a daemon that has made its socket certainly answers, by the clock of the file system.
_STARTED = 60.0


def socket_path(setting: str, kind: str, identity: str, environ: Mapping[str, str]) -> Path | None:
    """Return where a daemon puts its socket; None: it has none.

    Args:
        setting: a path, `AUTOMATIC` or `NO_SOCKET`.
        kind: ``runner`` or ``broker``.
        identity: tells daemons of one kind apart that run side by side.
        environ: the environment: ``RUNTIME_DIRECTORY`` of systemd, then ``XDG_RUNTIME_DIR``.

    Raises:
        ConfigError: the path is too long for a socket.
    """
    if setting == NO_SOCKET:
        return None
    if setting == AUTOMATIC:
        path = next(_directories(environ)) / f"{kind}-{_file_name(identity)}{_SUFFIX}"
    else:
        path = Path(setting).absolute()
    if len(os.fsencode(path)) >= _LONGEST_ADDRESS:
        raise ConfigError(
            f"control socket: {str(path)!r} is longer than the {_LONGEST_ADDRESS - 1} bytes that the system"
            " allows; name a shorter path"
        )
    return path


def find_sockets(environ: Mapping[str, str]) -> list[Path]:
    """Return the sockets at which somebody answers, in all places where a daemon puts one by itself."""
    own = list(_directories(environ))
    # Services under systemd have directories of their own beside the usual one, by their names.
    others = [path for directory in own for path in sorted(directory.parent.glob(f"{_NAME}*"))]
    found = [path for directory in dict.fromkeys([*own, *others]) for path in _sockets_in(directory)]
    return sorted(filter(is_answered, found))


def is_answered(path: Path) -> bool:
    """Tell whether somebody answers at a socket; one that may not be asked, or has no time, counts too."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        try:
            probe.connect(str(path))
        except (ConnectionRefusedError, FileNotFoundError):
            return False
        except OSError:
            return True
    return True


def remove_stale(directory: Path) -> None:
    """Remove the sockets of daemons that were killed: nobody else would."""
    for path in _sockets_in(directory):
        with contextlib.suppress(OSError):
            is_old = time.time() - path.lstat().st_mtime > _STARTED
            if is_old and not is_answered(path):
                path.unlink()


def _directories(environ: Mapping[str, str]) -> Iterator[Path]:
    """Yield the directories of sockets, the one to use first."""
    if given := environ.get("RUNTIME_DIRECTORY", "").partition(":")[0]:
        yield Path(given)
    if given := environ.get("XDG_RUNTIME_DIR", ""):
        yield Path(given) / _NAME
    if os.geteuid() != 0:
        user = Path(f"/run/user/{os.geteuid()}")
        yield user / _NAME if user.is_dir() else Path(tempfile.gettempdir()) / f"{_NAME}-{os.geteuid()}"
    yield Path("/run") / _NAME if Path("/run").is_dir() else Path("/var/run") / _NAME


def _sockets_in(directory: Path) -> Iterator[Path]:
    try:
        if directory.lstat().st_uid not in (0, os.geteuid()) and os.geteuid() != 0:
            return  # somebody else's: what answers there would be theirs
        entries = list(directory.iterdir())
    except OSError:
        return
    for path in entries:
        try:
            is_socket = stat.S_ISSOCK(path.lstat().st_mode)
        except OSError:
            continue
        if is_socket and path.suffix == _SUFFIX:
            yield path


def _file_name(identity: str) -> str:
    """Return an id as a part of a file name: short, harmless, and different for different ids."""
    plain = re.sub(r"[^A-Za-z0-9._-]", "_", identity)
    if plain == identity and len(plain) <= _LONGEST_ID:
        return plain
    digest = hashlib.sha256(identity.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return f"{plain[: _LONGEST_ID - 9]}-{digest}"
