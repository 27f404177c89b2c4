"""What the runner and the zygote say to each other over the control socket.

A message is one line of JSON: its name, how many descriptors travel with it, its fields in order. Descriptors
arrive in the order of the messages they belong to, at the latest with the line's end, on any stream socket.
"""

from __future__ import annotations

import array
import dataclasses
import json
import socket
from collections import deque
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Any

__all__ = [
    "BATCH",
    "Approve",
    "Configure",
    "ControlDecoder",
    "End",
    "Ended",
    "Fork",
    "ForkFailed",
    "Forked",
    "Hello",
    "Loading",
    "Message",
    "Unfit",
    "ancillary",
    "encode",
    "receive",
    "receive_first",
]

BATCH = 16
"""Workers that one message may ask for: the kernel takes 253 descriptors at once, many systems open 1024."""


@dataclasses.dataclass(frozen=True, slots=True)
class Configure:
    """Runner to zygote, first of all. Answered by a `Loading` for each module, and by `Hello` at the end.

    Attributes:
        policy: what the code may do, the JSON of a `Policy`.
        sandbox: the walls to raise, the JSON of a `SandboxConfig`.
        scratch: path of the directory for scratch directories.
        preload: the modules to load.
    """

    policy: str
    sandbox: str
    scratch: str
    preload: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True, slots=True)
class Fork:
    """Runner to zygote: make workers, at most `BATCH`. With the far ends of each one's socket and stderr."""

    workers: tuple[int, ...]


@dataclasses.dataclass(frozen=True, slots=True)
class End:
    """Runner to zygote: kill a worker and everything it left behind. Answered by `Ended`."""

    worker: int


@dataclasses.dataclass(frozen=True, slots=True)
class Approve:
    """Runner to zygote: code with this digest is fit to run; `forget` makes room for it.

    Attributes:
        digest: stands for the code and the policy.
        program: the compiled code, in base64; empty: it is too large to be kept.
        forget: the digest of another code.
    """

    digest: str
    program: str = ""
    forget: str | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Loading:
    """Zygote to runner: the import of this module begins."""

    module: str


@dataclasses.dataclass(frozen=True, slots=True)
class Unfit:
    """Zygote to runner: a module is not loaded, and why. If it has spoilt the zygote, that hangs up next."""

    module: str
    why: str


@dataclasses.dataclass(frozen=True, slots=True)
class Hello:
    """Zygote to runner, answering `Configure`: ready to fork.

    Attributes:
        pid: its process id, as the runner sees it.
        walls: names of the walls that stand around each worker, of `sandbox.config.WALLS`.
        missing: those that were asked for and cannot be had, each with the reason.
    """

    pid: int
    walls: tuple[str, ...]
    missing: tuple[tuple[str, str], ...] = ()


@dataclasses.dataclass(frozen=True, slots=True)
class Forked:
    """Zygote to runner, answering `Fork`: workers and their process ids.

    With a pidfd for each, or, where the system lacks them, with none at all.
    """

    workers: tuple[int, ...]
    pids: tuple[int, ...]


@dataclasses.dataclass(frozen=True, slots=True)
class ForkFailed:
    """Zygote to runner, answering `Fork` for one of its workers: the system refused, and why."""

    worker: int
    why: str


@dataclasses.dataclass(frozen=True, slots=True)
class Ended:
    """Zygote to runner, asked for or not: a worker is dead, reaped, and nothing of it is left.

    Attributes:
        worker: which one.
        status: what ``waitpid`` told: ≥ 0 an exit status, < 0 the negated signal number.
        stuck: processes that SIGKILL has not ended yet; 0 unless the kernel holds them back.
        peak: most memory that its process had resident at once, bytes; 0 if the system does not tell.
        limit: name of the limit of a task that the kernel killed it for, of `config.Limits`; empty: none.
    """

    worker: int
    status: int
    stuck: int = 0
    peak: int = dataclasses.field(default=0, compare=False)  # a measurement, no part of what happened
    limit: str = ""


Message = Configure | Fork | End | Approve | Loading | Unfit | Hello | Forked | ForkFailed | Ended

_CLASSES: dict[str, type[Message]] = {
    cls.__name__: cls
    for cls in (Configure, Fork, End, Approve, Loading, Unfit, Hello, Forked, ForkFailed, Ended)
}

_to_json = json.JSONEncoder(separators=(",", ":")).encode


def encode(message: Message, descriptors: int = 0) -> bytes:
    """Return the line for a message that travels with so many descriptors."""
    kind = type(message)
    fields = [getattr(message, name) for name in kind.__slots__]
    return _to_json([kind.__name__, descriptors, fields]).encode() + b"\n"


class ControlDecoder:
    """Turns what a control socket delivers back into messages, however it was cut into pieces."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._descriptors: deque[int] = deque()

    def feed(self, data: bytes, descriptors: Sequence[int]) -> Iterator[tuple[Message, list[int]]]:
        """Yield the messages that are complete now, each with the descriptors that are now the caller's.

        Raises:
            ValueError: what arrived is no such message.
        """
        self._buffer += data
        self._descriptors.extend(descriptors)
        while (end := self._buffer.find(b"\n")) >= 0:
            line = bytes(self._buffer[:end])
            del self._buffer[: end + 1]
            try:
                name, count, fields = json.loads(line)
                message = _CLASSES[name](*map(_frozen, fields))
                its_own = [self._descriptors.popleft() for _ in range(count)]
            except (ValueError, KeyError, TypeError, IndexError) as exc:
                raise ValueError(f"not a control message: {line[:200]!r}") from exc
            yield message, its_own


def _frozen(value: object) -> Any:
    return tuple(map(_frozen, value)) if isinstance(value, list) else value


# --- descriptors beside the bytes -------------------------------------------------------------------


def ancillary(descriptors: Sequence[int]) -> list[tuple[int, int, bytes]]:
    """Return what ``sendmsg`` needs to send descriptors along."""
    if not descriptors:
        return []
    return [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors).tobytes())]


def receive(channel: socket.socket) -> tuple[bytes, list[int]]:
    """Return the bytes and descriptors of one receive; no bytes: the other side has hung up.

    Raises:
        OSError: the socket fails, or would block.
    """
    data, messages, _, _ = channel.recvmsg(_RECEIVE_SIZE, _ANCILLARY_SIZE, _CLOSE_ON_EXEC)
    descriptors = array.array("i")
    for level, kind, content in messages:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            descriptors.frombytes(content[: len(content) - len(content) % descriptors.itemsize])
    return data, descriptors.tolist()


def receive_first(channel: socket.socket, decoder: ControlDecoder) -> Configure | None:
    """Wait for the message that comes first; None if the other side hangs up instead.

    Raises:
        TypeError: what comes is something else.
    """
    while True:
        data, descriptors = receive(channel)
        if not data:
            return None
        for message, _ in decoder.feed(data, descriptors):
            if not isinstance(message, Configure):
                raise TypeError(f"the first message is {message!r}")
            return message


# Bytes to ask the socket for at a time: many messages, each about a hundred bytes.
_RECEIVE_SIZE = 65536
# One receive never returns the descriptors of two sends, and no message travels with more than two a worker.
_ANCILLARY_SIZE = socket.CMSG_SPACE(2 * BATCH * array.array("i").itemsize)
_CLOSE_ON_EXEC = getattr(socket, "MSG_CMSG_CLOEXEC", 0)
