"""Asking a daemon over its local socket: finding it, and saying what is wrong in one line if that fails."""

from __future__ import annotations

import errno
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import trio

from ...errors import TrioRunnerError
from .document import Document, decode
from .places import find_sockets

__all__ = ["Daemon", "NoDaemon", "choose_socket", "open_daemon"]

# Seconds for one answer: a daemon whose loop stands still must not hold up who asks how it does.
_ANSWER_LIMIT = 5.0
_LARGEST_ANSWER = 64 * 1024 * 1024


class NoDaemon(TrioRunnerError):
    """There is no daemon to ask, or it does not answer. The message says what to do."""


class _Answer(msgspec.Struct):
    ok: bool
    result: msgspec.Raw = msgspec.Raw(b"null")
    error: str = ""


class Daemon:
    """A connection to a daemon. `open_daemon` makes it.

    Attributes:
        path: of its socket.
    """

    def __init__(self, path: Path, stream: trio.SocketStream) -> None:
        self.path = path
        self._stream = stream
        self._rest = b""

    async def ask(self, command: str, **arguments: object) -> bytes:
        """Have a command carried out, and return the JSON of its result.

        Raises:
            NoDaemon: it does not answer, or will not do it.
        """
        request = msgspec.json.encode({"command": command, **arguments}) + b"\n"
        try:
            with trio.fail_after(_ANSWER_LIMIT):
                await self._stream.send_all(request)
                line = await self._read_line()
        except trio.TooSlowError:
            raise NoDaemon(
                f"the daemon at {self.path} has not answered for {_ANSWER_LIMIT:g} s: it is stopped, or its"
                " event loop is blocked; see its log"
            ) from None
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            raise NoDaemon(f"the daemon at {self.path} has ended") from None
        answer = _decoded(line, self.path)
        if not answer.ok:
            raise NoDaemon(f"the daemon at {self.path} did not do it: {answer.error}")
        return bytes(answer.result)

    async def document(self) -> Document:
        """Return the snapshot of the daemon.

        Raises:
            NoDaemon: it does not answer, or in another way than this version understands.
        """
        try:
            return decode(await self.ask("statistics"))
        except ValueError as exc:
            raise NoDaemon(f"the answer of {self.path} cannot be read: {exc}") from exc

    async def ended(self) -> None:
        """Wait until the daemon has ended."""
        try:
            while await self._stream.receive_some(4096):
                pass
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            return

    async def _read_line(self) -> bytes:
        while b"\n" not in self._rest:
            data = await self._stream.receive_some(256 * 1024)
            if not data or len(self._rest) > _LARGEST_ANSWER:
                raise trio.BrokenResourceError
            self._rest += bytes(data)
        line, _, self._rest = self._rest.partition(b"\n")
        return line


@asynccontextmanager
async def open_daemon(path: Path) -> AsyncIterator[Daemon]:
    """Connect to a daemon for the time of a block.

    Args:
        path: of its socket.

    Raises:
        NoDaemon: nobody answers there, or one may not ask.
    """
    try:
        stream = await trio.open_unix_socket(str(path))
    except OSError as exc:
        raise NoDaemon(_why_not(path, exc)) from exc
    async with stream:
        yield Daemon(path, stream)


def choose_socket(given: str, identity: str, environ: Mapping[str, str]) -> Path:
    """Return the socket of the daemon that is meant.

    Args:
        given: its path, if it was given.
        identity: the id of the runner, or ``broker`` or ``runner``, or a part of either; may be empty.
        environ: the environment.

    Raises:
        NoDaemon: there is none, or more than one.
    """
    if given:
        return Path(given)
    found = find_sockets(environ)
    meant = [path for path in found if identity in path.stem]
    if len(meant) == 1:
        return meant[0]
    if not found:
        raise NoDaemon("no daemon of this user runs here; start one, or name its socket with --socket PATH")
    if not meant:
        raise NoDaemon(f"no daemon is called {identity!r}; there are {_listed(found)}")
    raise NoDaemon(f"several daemons run here; name one: {_listed(meant)}")


def _listed(paths: Sequence[Path]) -> str:
    return ", ".join(path.stem for path in paths)


def _decoded(line: bytes, path: Path) -> _Answer:
    try:
        return msgspec.json.decode(line, type=_Answer)
    except msgspec.MsgspecError as exc:
        raise NoDaemon(f"what answers at {path} is no trio-runner daemon: {exc}") from exc


def _why_not(path: Path, error: OSError) -> str:
    if error.errno in (errno.ENOENT, errno.ECONNREFUSED):
        return f"no daemon answers at {path}: it has ended, or puts its socket elsewhere"
    if error.errno in (errno.EACCES, errno.EPERM):
        return f"permission denied for {path}: only the user whose daemon it is, and root, may ask"
    return f"cannot ask at {path}: {error.strerror or error}"
