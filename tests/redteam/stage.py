"""What there is to steal and to break: bait around a runner, and a look at what has become of it."""

from __future__ import annotations

import contextlib
import os
import secrets
import select
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import attrs
import trio
import trio.testing

from .arena import METADATA
from .attack import NEEDLE
from .survivors import survivors

TOKEN_VARIABLE = "N8N_RUNNERS_AUTH_TOKEN"
_LONG_AGO = 10.0**9  # seconds: no file is older, unless somebody says so
_VICTIM = "import signal\nprint('ready', flush=True)\nwhile True: signal.pause()\n"


def new_token() -> str:
    """Return a secret."""
    return f"{NEEDLE}-{secrets.token_hex(8)}"


@attrs.define
class Listener:
    """A socket that is not the task's to reach."""

    name: str
    socket: socket.socket
    contacts: int = 0

    async def answer(self) -> None:
        """Count who comes, and hand a secret to whoever connects."""
        while True:
            await trio.lowlevel.wait_readable(self.socket)
            self.contacts += 1
            with contextlib.suppress(OSError):
                if self.socket.type == socket.SOCK_DGRAM:
                    self.socket.recvfrom(2000)
                    continue
                connection, _ = self.socket.accept()
                with connection:
                    connection.setblocking(False)
                    connection.sendall(new_token().encode())


class Stage:
    """The bait of one executor: files, sockets, a process. Opened by `open_stage`."""

    def __init__(self, directory: Path, victim: subprocess.Popen[bytes]) -> None:
        directory.chmod(0o755)
        self.directory = directory
        self.loot = directory / "loot"
        self.private = directory / "tokens"
        self.public = directory / "readable"
        self.victim = victim
        self.listeners = [
            Listener("tcp", _socket(socket.AF_INET, ("127.0.0.1", 0))),
            Listener("tcp6", _socket(socket.AF_INET6, ("::1", 0))),
            Listener("udp", _socket(socket.AF_INET, ("127.0.0.1", 0), socket.SOCK_DGRAM)),
            Listener("abstract", _socket(socket.AF_UNIX, "\0" + directory.name)),
            Listener("unix", _socket(socket.AF_UNIX, str(directory / "socket"))),
        ]
        with contextlib.suppress(OSError):  # another stage has it, or there is no such address here
            self.listeners.append(Listener("metadata", _socket(socket.AF_INET, (METADATA, 80))))
        (directory / "socket").chmod(0o777)
        self.loot.mkdir()
        self.loot.chmod(0o777)
        self._tokens = {self.private: (0o600, new_token()), self.public: (0o644, new_token())}
        for path, (mode, token) in self._tokens.items():
            _put(path, mode, token)
        self._stops = _runner_stops()

    def facts(self, mark: str, zygote: int) -> dict[str, object]:
        """Return what an attacker is told."""
        tcp, tcp6, udp, *_ = self.listeners
        return {
            "mark": mark,
            "private": str(self.private),
            "public": str(self.public),
            "loot": str(self.loot / mark),
            "source": str(Path(__file__).resolve().parents[2]),
            "tcp": tcp.socket.getsockname()[1],
            "tcp6": tcp6.socket.getsockname()[1],
            "udp": udp.socket.getsockname()[1],
            "abstract": self.directory.name,
            "unix": str(self.directory / "socket"),
            "metadata": METADATA,
            "runner": os.getpid(),
            "zygote": zygote,
            "victim": self.victim.pid,
            "variable": TOKEN_VARIABLE,
        }

    async def damage(self, mark: str) -> list[str]:
        """Return what has happened to the stage since the last look, and make it good."""
        await trio.testing.wait_all_tasks_blocked(0.005)  # the listeners have counted who came
        found = [*self._visitors(), *self._written(mark), *self._changed(), *self._hurt()]
        found += [f"left a process running: {name}" for name in await survivors(mark)]
        return found

    def _visitors(self) -> Iterator[str]:
        for listener in self.listeners:
            if listener.contacts:
                yield f"reached the {listener.name} listener"
            listener.contacts = 0

    def _written(self, mark: str) -> Iterator[str]:
        places = (self.directory, self.loot, *map(Path, ("/tmp", "/var/tmp", "/dev/shm", "/")))
        for path in [path for place in places if place.is_dir() for path in place.glob(f"*{mark}*")]:
            yield f"wrote {path.name} outside its directory"
            with contextlib.suppress(OSError):
                path.rmdir() if path.is_dir() else path.unlink()

    def _changed(self) -> Iterator[str]:
        for path, (mode, token) in self._tokens.items():
            with contextlib.suppress(OSError):
                found = path.stat()
                same = (found.st_mode & 0o7777, found.st_uid, found.st_nlink) == (mode, os.getuid(), 1)
                if same and path.read_text() == token and found.st_mtime > _LONG_AGO:
                    continue
            yield f"changed the file {path.name}"
            path.unlink(missing_ok=True)
            _put(path, mode, token)

    def _hurt(self) -> Iterator[str]:
        stops = _runner_stops()
        if stops > self._stops:
            yield "stopped the runner"
        self._stops = stops
        state = self.victim.poll()
        if state is not None:
            yield f"ended the victim ({state})"
            self.victim = _new_victim()
        elif Path(f"/proc/{self.victim.pid}/stat").read_text().rpartition(")")[2].split()[0] == "T":
            yield "stopped the victim"
            self.victim.send_signal(signal.SIGCONT)

    def close(self) -> None:
        """Take everything away."""
        for listener in self.listeners:
            listener.socket.close()
        self.victim.kill()
        self.victim.wait()


@contextlib.asynccontextmanager
async def open_stage() -> AsyncIterator[Stage]:
    """Set up the bait, and keep its listeners answering."""
    with tempfile.TemporaryDirectory(prefix="stage-") as name:
        stage = Stage(Path(name), _new_victim())
        try:
            async with trio.open_nursery() as nursery:
                for listener in stage.listeners:
                    nursery.start_soon(listener.answer)
                yield stage
                nursery.cancel_scope.cancel()
        finally:
            stage.close()


def _put(path: Path, mode: int, token: str) -> None:
    path.write_text(token)
    path.chmod(mode)


def _runner_stops() -> int:
    """Return how often the arena has had to wake its runner."""
    path = os.environ.get("REDTEAM_ARENA")
    return len(Path(path).read_text().splitlines()) if path else 0


def _new_victim() -> subprocess.Popen[bytes]:
    victim = subprocess.Popen(
        [sys.executable, "-I", "-S", "-B", "-c", _VICTIM], stdout=subprocess.PIPE, start_new_session=True
    )
    assert victim.stdout is not None
    assert select.select([victim.stdout], [], [], 30)[0]
    victim.stdout.readline()
    return victim


def _socket(
    family: socket.AddressFamily, address: Any, kind: socket.SocketKind = socket.SOCK_STREAM
) -> socket.socket:
    bound = socket.socket(family, kind)
    try:
        bound.setblocking(False)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(address)
        if kind == socket.SOCK_STREAM:
            bound.listen(16)
    except OSError:
        bound.close()
        raise
    return bound
