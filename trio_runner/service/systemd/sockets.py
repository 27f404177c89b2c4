"""Socket activation: listening sockets that the service manager opened and hands over.

It opens them before the service starts, so nobody is refused while the service is started anew.
"""

from __future__ import annotations

import os
import socket
from collections.abc import MutableMapping

from ...errors import ConfigError

__all__ = ["take_sockets"]

_VARIABLES = ("LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES")
_FIRST = 3
"""Number of the first descriptor that is handed over."""


def take_sockets(environ: MutableMapping[str, str], *, pid: int, first: int = _FIRST) -> list[socket.socket]:
    """Return the sockets that this process was given to listen on; none if it was given none.

    The variables are taken out of the environment, and the descriptors are not inherited by children.

    Args:
        environ: the environment.
        pid: of this process: what was meant for another one is left alone.
        first: number of the first descriptor.

    Raises:
        ConfigError: what was given cannot be listened on.
    """
    count, meant_for, _ = (environ.pop(name, "") for name in _VARIABLES)
    if meant_for != str(pid) or not count.isdecimal():
        return []
    return [_adopt(number) for number in range(first, first + int(count))]


def _adopt(number: int) -> socket.socket:
    try:
        os.set_inheritable(number, False)
        given = socket.socket(fileno=number)
    except OSError as exc:
        raise ConfigError(
            f"socket activation: descriptor {number} is no socket ({exc.strerror});"
            " give the service a .socket unit"
        ) from exc
    if given.family in (socket.AF_INET, socket.AF_INET6) and given.getsockopt(
        socket.SOL_SOCKET, socket.SO_ACCEPTCONN
    ):
        return given
    given.close()
    raise ConfigError(
        f"socket activation: descriptor {number} does not listen for TCP connections;"
        " the .socket unit must have ListenStream= with a port, and Accept=no"
    )
