"""The protocol of sd_notify, against a strict manager."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from trio_runner.service.systemd.notify import Notifier, open_notifier

KNOWN = {
    "READY",
    "STATUS",
    "RELOADING",
    "MONOTONIC_USEC",
    "STOPPING",
    "WATCHDOG",
    "EXTEND_TIMEOUT_USEC",
}


class Manager:
    """A service manager that takes nothing but what the protocol knows."""

    def __init__(self, listener: socket.socket) -> None:
        self._listener = listener

    def heard(self) -> list[dict[str, str]]:
        """Return the messages that have come since the last call."""
        messages: list[dict[str, str]] = []
        while True:
            try:
                text = self._listener.recv(4096).decode()
            except BlockingIOError:
                return messages
            pairs = [line.partition("=")[::2] for line in text.split("\n")]
            assert {name for name, _ in pairs} <= KNOWN, text
            messages.append(dict(pairs))


@contextmanager
def managed(address: str) -> Iterator[Manager]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(address.replace("@", "\0"))
        listener.setblocking(False)
        yield Manager(listener)


@pytest.fixture
def address(tmp_path: Path) -> str:
    return str(tmp_path / "notify")


def test_a_life(address: str) -> None:
    with managed(address) as manager:
        notifier = Notifier(address, watchdog=30.0)
        notifier.status("0 of 5\n slots taken")
        notifier.status("0 of 5 slots taken")
        notifier.extend(60)
        notifier.reloading()
        notifier.reloaded()
        assert manager.heard() == [
            {"STATUS": "0 of 5 slots taken"},
            {"EXTEND_TIMEOUT_USEC": "60000000"},
        ], "the same status is said once, and a reload before the start is over is no reload"
        notifier.ready()
        notifier.alive()
        before = time.monotonic_ns() // 1000
        notifier.reloading()
        notifier.reloaded()
        ready, alive, reloading, reloaded = manager.heard()
        assert (ready, alive, reloaded) == ({"READY": "1"}, {"WATCHDOG": "1"}, {"READY": "1"})
        assert reloading["RELOADING"] == "1"
        assert before <= int(reloading["MONOTONIC_USEC"]) <= time.monotonic_ns() // 1000
        notifier.stopping(12.5)
        assert manager.heard() == [{"STOPPING": "1", "EXTEND_TIMEOUT_USEC": "12500000"}]
        notifier.close()
        notifier.ready()
        assert not manager.heard()


def test_an_abstract_address() -> None:
    name = f"@trio-runner-test-{os.getpid()}"
    with managed(name) as manager:
        notifier = open_notifier({"NOTIFY_SOCKET": name})
        notifier.ready()
        assert manager.heard() == [{"READY": "1"}]
        notifier.close()


@pytest.mark.parametrize(
    ("variables", "watchdog"),
    [
        ({"WATCHDOG_USEC": "30000000"}, 30.0),
        ({"WATCHDOG_USEC": "2500000", "WATCHDOG_PID": str(os.getpid())}, 2.5),
        ({"WATCHDOG_USEC": "2500000", "WATCHDOG_PID": str(os.getpid() + 1)}, 0.0),
        ({"WATCHDOG_USEC": "soon"}, 0.0),
        ({}, 0.0),
    ],
)
def test_the_watchdog(variables: dict[str, str], watchdog: float, address: str) -> None:
    environ = {"NOTIFY_SOCKET": address, "HOME": "/", **variables}
    with managed(address) as manager:
        notifier = open_notifier(environ)
        assert notifier.watchdog == watchdog
        assert environ == {"HOME": "/"}, "children are not to speak for us"
        notifier.alive()
        assert len(manager.heard()) == bool(watchdog)
        notifier.close()


@pytest.mark.parametrize("socket_name", ["", "vsock:2:1", "relative"])
def test_without_a_manager_nothing_happens(socket_name: str) -> None:
    notifier = open_notifier({"NOTIFY_SOCKET": socket_name, "WATCHDOG_USEC": "1000000"})
    notifier.ready()
    notifier.alive()
    notifier.stopping(1)
    notifier.close()
    assert (notifier.is_ready, notifier.watchdog) == (True, 0.0)


def test_a_manager_that_is_away_or_does_not_read_holds_nobody_up(address: str) -> None:
    notifier = Notifier(address, watchdog=1.0)
    notifier.ready()
    with managed(address) as manager:
        for _ in range(10_000):  # more than any queue holds
            notifier.alive()
        assert manager.heard()
        notifier.alive()
        assert manager.heard() == [{"WATCHDOG": "1"}]
    notifier.close()
