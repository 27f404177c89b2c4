"""Where sockets are: for each user, for the system, or where one is told."""

from __future__ import annotations

import os
import socket
import tempfile
from pathlib import Path

import pytest

from trio_runner.errors import ConfigError
from trio_runner.service.status.places import find_sockets, remove_stale, socket_path


def test_the_runtime_directory_of_the_service_then_of_the_user(tmp_path: Path) -> None:
    environ = {"XDG_RUNTIME_DIR": "/run/user/7"}
    assert socket_path("auto", "runner", "a", environ) == Path("/run/user/7/trio-runner/runner-a.sock")
    environ["RUNTIME_DIRECTORY"] = "/run/mine:/run/other"
    assert socket_path("auto", "broker", "5679", environ) == Path("/run/mine/broker-5679.sock")


def test_a_path_of_ones_own_and_none() -> None:
    assert socket_path("/tmp/x.sock", "runner", "a", {}) == Path("/tmp/x.sock")
    assert socket_path("none", "runner", "a", {}) is None


def test_ids_become_harmless_names_that_still_differ() -> None:
    environ = {"XDG_RUNTIME_DIR": "/r"}
    names = {str(socket_path("auto", "runner", text, environ)) for text in ("../a", "a/../a", "a" * 999, "é")}
    assert len(names) == 4
    assert all(name.startswith("/r/trio-runner/runner-") and name.count("/") == 3 for name in names)
    assert max(map(len, names)) < 80


def test_a_path_that_is_too_long_is_one_clear_line() -> None:
    with pytest.raises(ConfigError, match=r"is longer than the 103 bytes .* name a shorter path"):
        socket_path("/" + "x" * 200, "runner", "a", {})


def test_only_sockets_are_found(tmp_path: Path) -> None:
    (tmp_path / "trio-runner").mkdir()
    (tmp_path / "trio-runner" / "runner-a.sock").write_text("no socket")
    assert not any(
        str(path).startswith(str(tmp_path)) for path in find_sockets({"XDG_RUNTIME_DIR": str(tmp_path)})
    )


def test_old_sockets_that_nobody_answers_are_removed(tmp_path: Path) -> None:
    names = ("runner-old.sock", "runner-new.sock", "runner-live.sock")
    live = socket.socket(socket.AF_UNIX)
    live.bind(str(tmp_path / names[2]))
    live.listen()
    for name in names[:2]:
        with socket.socket(socket.AF_UNIX) as killed:
            killed.bind(str(tmp_path / name))
    for name in (names[0], names[2]):
        os.utime(tmp_path / name, (0, 0))
    with live:
        remove_stale(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["runner-live.sock", "runner-new.sock"]


def test_services_with_directories_of_their_own_are_found_too() -> None:
    with tempfile.TemporaryDirectory() as base:  # the path of a socket must be short
        listening = []
        for directory in ("trio-runner", "trio-runner-broker", "something-else"):
            Path(base, directory).mkdir()
            listening.append(socket.socket(socket.AF_UNIX))
            listening[-1].bind(f"{base}/{directory}/of-{directory}.sock")
            listening[-1].listen()
        found = find_sockets({"XDG_RUNTIME_DIR": base})
        for each in listening:
            each.close()
    names = [path.stem for path in found if path.is_relative_to(base)]
    assert names == ["of-trio-runner", "of-trio-runner-broker"]
