"""Sockets that the service manager hands over."""

from __future__ import annotations

import os
import socket

import pytest

from trio_runner.errors import ConfigError
from trio_runner.service.systemd.sockets import take_sockets

PID = 4711


def given(count: str, *, pid: int = PID) -> dict[str, str]:
    return {"LISTEN_FDS": count, "LISTEN_PID": str(pid), "LISTEN_FDNAMES": "x.socket", "HOME": "/"}


def test_listening_sockets_are_taken_and_not_inherited() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        number = os.dup(listening.fileno())
        os.set_inheritable(number, True)
        environ = given("1")
        (taken,) = take_sockets(environ, pid=PID, first=number)
    with taken:
        assert taken.getsockname()[1] == port
        assert not taken.get_inheritable()
    assert environ == {"HOME": "/"}


@pytest.mark.parametrize("environ", [{}, given("1", pid=1), given("some"), given("0")])
def test_nothing_was_given_or_not_to_us(environ: dict[str, str]) -> None:
    assert take_sockets(environ, pid=PID) == []


def test_what_is_no_socket_is_one_clear_line() -> None:
    reading, writing = os.pipe()
    with pytest.raises(ConfigError, match=f"descriptor {reading} is no socket.*a .socket unit"):
        take_sockets(given("1"), pid=PID, first=reading)
    os.close(reading)
    os.close(writing)


@pytest.mark.parametrize("family", [socket.AF_UNIX, socket.AF_INET])
def test_a_socket_that_does_not_listen_for_tcp_is_one_clear_line(family: socket.AddressFamily) -> None:
    number = socket.socket(family, socket.SOCK_STREAM).detach()
    with pytest.raises(ConfigError, match=f"descriptor {number} does not listen.*ListenStream="):
        take_sockets(given("1"), pid=PID, first=number)
