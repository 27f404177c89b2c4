"""Asking a daemon: every way in which that can fail is one line that says what to do."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from trio_runner.service.status.client import NoDaemon, choose_socket, open_daemon

pytestmark = pytest.mark.process


def make(directory: Path, *names: str) -> dict[str, str]:
    """Make sockets that are answered, and return an environment in which they are found."""
    (directory / "trio-runner").mkdir(exist_ok=True)
    for name in names:
        LISTENING.append(socket.socket(socket.AF_UNIX))
        LISTENING[-1].bind(str(directory / "trio-runner" / f"{name}.sock"))
        LISTENING[-1].listen()
    return {"XDG_RUNTIME_DIR": str(directory)}


LISTENING: list[socket.socket] = []


@pytest.fixture(autouse=True)
def stop_listening() -> Iterator[None]:
    yield
    while LISTENING:
        LISTENING.pop().close()


@pytest.fixture(autouse=True)
def nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    """Daemons of this machine are none of our business."""
    find = "trio_runner.service.status.places._directories"
    monkeypatch.setattr(find, lambda environ: iter([Path(environ["XDG_RUNTIME_DIR"]) / "trio-runner"]))


def test_the_only_one_is_meant(tmp_path: Path) -> None:
    environ = make(tmp_path, "runner-a")
    assert choose_socket("", "", environ).name == "runner-a.sock"
    assert choose_socket("/elsewhere", "", environ) == Path("/elsewhere")


def test_one_of_several_is_named(tmp_path: Path) -> None:
    environ = make(tmp_path, "runner-a", "runner-b", "broker-5679")
    assert choose_socket("", "broker", environ).name == "broker-5679.sock"
    assert choose_socket("", "runner-b", environ).name == "runner-b.sock"
    with pytest.raises(NoDaemon, match="several daemons run here; name one: broker-5679, runner-a, runner-b"):
        choose_socket("", "", environ)
    with pytest.raises(NoDaemon, match="several daemons run here; name one: runner-a, runner-b"):
        choose_socket("", "runner", environ)
    with pytest.raises(NoDaemon, match="no daemon is called 'x'; there are broker-5679, runner-a, runner-b"):
        choose_socket("", "x", environ)


def test_those_that_were_killed_do_not_count(tmp_path: Path) -> None:
    environ = make(tmp_path, "runner-a", "runner-killed")
    LISTENING.pop().close()
    assert choose_socket("", "", environ).name == "runner-a.sock"


def test_none(tmp_path: Path) -> None:
    with pytest.raises(NoDaemon, match="no daemon of this user runs here; start one"):
        choose_socket("", "", make(tmp_path))


async def test_nobody_answers(tmp_path: Path) -> None:
    make(tmp_path, "stale")
    LISTENING.pop().close()
    for path in (tmp_path / "trio-runner" / "stale.sock", tmp_path / "nothing.sock"):
        with pytest.raises(NoDaemon, match="no daemon answers at"):
            async with open_daemon(path):
                pass


@pytest.mark.skipif(os.geteuid() == 0, reason="root may ask everybody")
async def test_no_permission(tmp_path: Path) -> None:
    path = tmp_path / "s.sock"
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(path))
        path.chmod(0)
        with pytest.raises(NoDaemon, match="permission denied"):
            async with open_daemon(path):
                pass


async def test_one_that_does_not_answer(tmp_path: Path, autojump_clock: MockClock) -> None:
    path = tmp_path / "s.sock"
    with socket.socket(socket.AF_UNIX) as deaf:
        deaf.bind(str(path))
        deaf.listen()
        async with open_daemon(path) as daemon:
            with pytest.raises(NoDaemon, match="has not answered for 5 s: it is stopped, or its event loop"):
                await daemon.ask("statistics")


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (b"hello\n", "is no trio-runner daemon"),
        (
            b'{"ok": true, "result": {"runner": 7}}\n',
            "not the status of a trio-runner daemon of this version",
        ),
        (b"", "has ended"),
    ],
)
async def test_somebody_else_answers(tmp_path: Path, answer: bytes, error: str) -> None:
    path = tmp_path / "s.sock"

    async def other(stream: trio.SocketStream) -> None:
        await stream.receive_some()
        await stream.send_all(answer)

    listener = trio.socket.socket(socket.AF_UNIX)
    await listener.bind(str(path))
    listener.listen()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.serve_listeners, other, [trio.SocketListener(listener)])
        async with open_daemon(path) as daemon:
            with pytest.raises(NoDaemon, match=error):
                await daemon.document()
        nursery.cancel_scope.cancel()
