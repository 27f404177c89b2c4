"""Telling the service manager how we do, in the protocol of ``sd_notify(3)``.

Each message is one datagram of ``NAME=value`` lines to the socket that ``NOTIFY_SOCKET`` names. Without that
variable nothing is sent, so everything works the same where there is no systemd. Nothing here ever waits or
fails: what cannot be sent is not missed, because the next message says it again.
"""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import MutableMapping

__all__ = ["Notifier", "open_notifier"]

_VARIABLES = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID")
_MICROSECONDS = 1_000_000


class Notifier:
    """Tells a service manager, if there is one.

    Args:
        address: of its socket, as ``NOTIFY_SOCKET`` spells it; empty: there is nobody to tell.
        watchdog: seconds in which it wants a sign of life; 0: it wants none.
    """

    def __init__(self, address: str = "", watchdog: float = 0.0) -> None:
        self.watchdog = watchdog
        # A leading @ stands for the zero byte of an abstract address.
        self._address = f"\0{address[1:]}" if address.startswith("@") else address
        self._status = ""
        self._is_ready = False
        self._socket: socket.socket | None = None
        if address:
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
            self._socket.setblocking(False)

    @property
    def is_ready(self) -> bool:
        """`ready` has been called."""
        return self._is_ready

    def ready(self) -> None:
        """The start is over: work can come."""
        self._is_ready = True
        self._send("READY=1")

    def reloading(self) -> None:
        """The settings are being read anew; `reloaded` follows in any case."""
        if self._is_ready:  # a start that is not over is no reload
            self._send("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def reloaded(self) -> None:
        """The reload is over, whatever came of it."""
        if self._is_ready:
            self._send("READY=1")

    def stopping(self, seconds: float) -> None:
        """The end has begun.

        Args:
            seconds: what it may take; the manager's own limit is moved if that is shorter.
        """
        self._send("STOPPING=1", _extension(seconds))

    def extend(self, seconds: float) -> None:
        """The start goes on, and so it should for some more time."""
        self._send(_extension(seconds))

    def status(self, text: str) -> None:
        """Say how we do, one line for a person; the same text again is not sent."""
        line = " ".join(text.split())
        if line != self._status:
            self._status = line
            self._send(f"STATUS={line}")

    def alive(self) -> None:
        """Give the sign of life that the watchdog waits for."""
        if self.watchdog:
            self._send("WATCHDOG=1")

    def close(self) -> None:
        """Close the socket; nothing is told any more."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _send(self, *lines: str) -> None:
        if self._socket is not None:
            with contextlib.suppress(OSError):  # it is being started anew, or its queue is full
                self._socket.sendto("\n".join(lines).encode(), self._address)


def open_notifier(environ: MutableMapping[str, str]) -> Notifier:
    """Return a notifier for the manager that an environment names.

    The variables are taken out of it: child processes are not to speak for us.

    Args:
        environ: the environment.
    """
    address, watchdog, pid = (environ.pop(name, "") for name in _VARIABLES)
    if not address.startswith(("/", "@")):
        return Notifier()
    meant_for_us = not pid or pid == str(os.getpid())
    seconds = int(watchdog) / _MICROSECONDS if watchdog.isdecimal() and meant_for_us else 0.0
    return Notifier(address, seconds)


def _extension(seconds: float) -> str:
    return f"EXTEND_TIMEOUT_USEC={int(seconds * _MICROSECONDS)}"
