"""The local socket of a daemon: whoever may open it asks how the daemon does, and tells it what to do.

Theory of operation. The socket is readable and writable for its owner alone, and that is all of its security.
A request is one line of JSON such as ``{"command": "statistics"}``, its answer one line as well:
``{"ok": true, "result": …}`` or ``{"ok": false, "error": "…"}``. A connection may ask as often as it likes,
and ends when the daemon does; so whoever waits for the end of a daemon waits for the end of its connection.
"""

from __future__ import annotations

import contextlib
import os
import socket
import stat
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import msgspec
import trio

from ...errors import ConfigError
from ..logs.logger import LOG
from .places import is_answered

__all__ = ["Command", "serve_control"]

# Bytes of one request: a command and an argument.
_LONGEST_REQUEST = 4096
# Connections at a time: each is a person, or a script.
_MOST_CONNECTIONS = 50
_OWNER_ONLY = 0o600
_DIRECTORY_OF_OWNER = 0o700

Command = Callable[[Mapping[str, object]], object]
"""Carries out one command, given the whole request; returns what JSON can hold, or raises ValueError."""


async def serve_control(
    path: Path,
    commands: Mapping[str, Command],
    *,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Answer on a local socket until cancelled.

    Args:
        path: of the socket. A stale one is replaced, one that somebody answers at is not.
        commands: by name.
        task_status: started once connections are accepted.

    Raises:
        ConfigError: another daemon answers there, or the socket cannot be made.

    Cancellation:
        Closes all connections and removes the socket.
    """
    bound = _bind(path)
    inode = _inode(path)
    listener = trio.SocketListener(trio.socket.from_stdlib_socket(bound))
    connections = _Connections(commands)
    try:
        async with trio.open_nursery() as nursery:
            task_status.started()
            await trio.serve_listeners(connections.serve, [listener], handler_nursery=nursery)
    finally:
        _remove(path, inode)


def _inode(path: Path) -> int:
    return path.lstat().st_ino


def _remove(path: Path, inode: int) -> None:
    """Remove our socket; a later daemon may have put its own there."""
    with contextlib.suppress(OSError):
        if _inode(path) == inode:
            path.unlink()


def _bind(path: Path) -> socket.socket:
    """Make the socket.

    Raises:
        ConfigError: that is impossible.
    """
    bound = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        path.parent.mkdir(mode=_DIRECTORY_OF_OWNER, parents=True, exist_ok=True)
        if path.parent.stat().st_uid not in (0, os.geteuid()):
            raise ConfigError(
                f"control socket: {str(path.parent)!r} belongs to another user; name a path in a directory of"
                " yours [TRIO_RUNNER_CONTROL_SOCKET]"
            )
        _make_room(path)
        with _mask(0o777 & ~_OWNER_ONLY):
            bound.bind(str(path))
        bound.listen(16)
    except OSError as exc:
        bound.close()
        raise ConfigError(
            f"control socket: cannot make {str(path)!r}: {exc.strerror or exc};"
            " name another path or 'none' [TRIO_RUNNER_CONTROL_SOCKET]"
        ) from exc
    except ConfigError:
        bound.close()
        raise
    bound.setblocking(False)
    return bound


def _make_room(path: Path) -> None:
    """Remove a socket at which nobody answers any more."""
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise ConfigError(
            f"control socket: {str(path)!r} is there already, and is no socket; name another path"
        )
    if not is_answered(path):
        path.unlink(missing_ok=True)
        return
    raise ConfigError(
        f"control socket: another daemon answers at {str(path)!r}; give this one an id or a path of its own"
        " [TRIO_RUNNER_CONTROL_SOCKET]"
    )


@contextlib.contextmanager
def _mask(mask: int) -> Iterator[None]:
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


class _Connections:
    """Serves connections; none of them can end the daemon."""

    def __init__(self, commands: Mapping[str, Command]) -> None:
        self._commands = commands
        self._open = 0

    async def serve(self, stream: trio.SocketStream) -> None:
        """Answer one connection until it ends."""
        if self._open >= _MOST_CONNECTIONS:
            await trio.aclose_forcefully(stream)
            return
        self._open += 1
        try:
            await self._converse(stream)
        except* (trio.BrokenResourceError, trio.ClosedResourceError):
            pass  # whoever asked is gone
        finally:
            self._open -= 1
            with trio.CancelScope(shield=True):
                await trio.aclose_forcefully(stream)

    async def _converse(self, stream: trio.SocketStream) -> None:
        rest = b""
        async for data in stream:
            *lines, rest = (rest + bytes(data)).split(b"\n")
            for line in lines:
                await stream.send_all(self._answer(line) + b"\n")
            if len(rest) > _LONGEST_REQUEST:
                return

    def _answer(self, line: bytes) -> bytes:
        try:
            request = msgspec.json.decode(line, type=dict[str, object])
            name = request.get("command")
            command = self._commands.get(name) if isinstance(name, str) else None
            if command is None:
                raise ValueError(f"no such command; there are {', '.join(sorted(self._commands))}")
            return msgspec.json.encode({"ok": True, "result": command(request)})
        except (ValueError, msgspec.MsgspecError) as exc:
            return msgspec.json.encode({"ok": False, "error": str(exc)})
        except Exception as exc:  # a task boundary: a fault of a snapshot must not end the daemon
            LOG.error(f"A request on the control socket failed: {exc!r}", remedy="please report this line")
            return msgspec.json.encode({"ok": False, "error": f"a fault of the daemon: {exc!r}"})
