"""The local socket: who may, what is answered, and who gets the place."""

from __future__ import annotations

import socket
import stat
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import pytest
import trio

from trio_runner.errors import ConfigError
from trio_runner.service.status.client import NoDaemon, open_daemon
from trio_runner.service.status.document import Document
from trio_runner.service.status.server import Command, serve_control

from .samples import runner

pytestmark = pytest.mark.process


def refuse(request: Mapping[str, object]) -> object:
    raise ValueError(f"not {request.get('what')}")


def fail(request: Mapping[str, object]) -> object:
    raise RuntimeError("broken")


COMMANDS: dict[str, Command] = {
    "statistics": lambda _: Document(runner=runner()),
    "echo": lambda request: request.get("what"),
    "refuse": refuse,
    "fail": fail,
}


@asynccontextmanager
async def served(path: Path) -> AsyncIterator[None]:
    async with trio.open_nursery() as nursery:
        await nursery.start(partial(serve_control, path, COMMANDS))
        yield
        nursery.cancel_scope.cancel()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "below" / "s.sock"


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def is_there(path: Path) -> bool:
    return path.exists()


def bind(path: Path) -> None:
    """Put the socket of somebody there who is gone."""
    path.unlink(missing_ok=True)
    path.parent.mkdir(exist_ok=True)
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(path))


async def test_questions_and_answers(path: Path) -> None:
    async with served(path), open_daemon(path) as daemon:
        assert (await daemon.document()).runner == runner()
        assert await daemon.ask("echo", what="é\n") == '"é\\n"'.encode()


async def test_only_the_owner_may(path: Path) -> None:
    async with served(path):
        assert (mode(path), mode(path.parent)) == (0o600, 0o700)


@pytest.mark.parametrize(
    ("command", "error"),
    [
        ("refuse", "did not do it: not 7"),
        ("nonsense", "no such command; there are echo, fail, refuse, statistics"),
        ("fail", "a fault of the daemon: RuntimeError"),
    ],
)
async def test_what_cannot_be_done_is_one_clear_line(path: Path, command: str, error: str) -> None:
    async with served(path), open_daemon(path) as daemon:
        with pytest.raises(NoDaemon, match=error):
            await daemon.ask(command, what=7)
        assert await daemon.ask("echo", what=1) == b"1"


@pytest.mark.parametrize("line", [b"\xff", b"[]", b"{}", b'{"command": 7}', b"x" * 4000])
async def test_nonsense_is_answered_and_harms_nobody(path: Path, line: bytes) -> None:
    async with served(path):
        async with await trio.open_unix_socket(str(path)) as stream:
            await stream.send_all(line + b"\n")
            assert b'"ok":false' in await stream.receive_some()
        async with open_daemon(path) as daemon:
            assert await daemon.ask("echo", what=1) == b"1"


async def test_an_endless_line_ends_the_connection(path: Path) -> None:
    async with served(path), await trio.open_unix_socket(str(path)) as stream:
        await stream.send_all(b"x" * 10_000)
        with trio.fail_after(30):
            assert await stream.receive_some() == b""


async def test_the_connection_ends_with_the_daemon(path: Path) -> None:
    async with trio.open_nursery() as nursery:
        await nursery.start(partial(serve_control, path, COMMANDS))
        async with open_daemon(path) as daemon:
            await daemon.ask("echo")
            nursery.cancel_scope.cancel()
            with trio.CancelScope(shield=True):
                await daemon.ended()
    assert not is_there(path)


async def test_a_stale_socket_is_replaced(path: Path) -> None:
    bind(path)
    async with served(path), open_daemon(path) as daemon:
        assert await daemon.ask("echo", what=1) == b"1"


async def test_a_live_one_is_not(path: Path) -> None:
    async with served(path):
        with pytest.raises(ConfigError, match=r"another daemon answers at .*s\.sock"):
            await serve_control(path, COMMANDS)
        async with open_daemon(path) as daemon:
            assert await daemon.ask("echo", what=1) == b"1"


def test_nor_is_a_file_that_is_no_socket(path: Path) -> None:
    path.parent.mkdir()
    path.write_text("precious")
    with pytest.raises(ConfigError, match="is no socket; name another path"):
        trio.run(serve_control, path, COMMANDS)
    assert path.read_text() == "precious"


async def test_the_socket_of_a_later_daemon_is_left_alone(path: Path) -> None:
    async with served(path):
        bind(path)
    assert is_there(path)
