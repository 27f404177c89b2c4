"""A zygote held by its control socket, without the runner's side of it."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

import trio_runner
from trio_runner.sandbox import control
from trio_runner.sandbox.config import SandboxConfig
from trio_runner.sandbox.framing import HEADER, FrameKind, pack_header, unpack_header
from trio_runner.sandbox.policy import Policy

FREE = Policy(stdlib_allow=frozenset("*"), external_allow=frozenset("*"), builtins_deny=frozenset())
OPEN = SandboxConfig(strictness="off")

_START = (
    "import sys; sys.path.append(sys.argv[1]);"
    " from trio_runner.sandbox.zygote import main; main(int(sys.argv[2]))"
)
_PATIENCE = 30  # seconds


class HeldWorker:
    """Our ends of one worker."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.channel, self.far_channel = socket.socketpair()
        self.channel.settimeout(_PATIENCE)
        stderr, self.far_stderr = os.pipe()
        self.stderr = os.fdopen(stderr, "rb")
        self.pid = 0
        self.pidfd = -1

    def send(self, code: str, *, hang_up: bool = True) -> None:
        """Send a task, and hang up, so that the worker ends when it has done it."""
        settings = json.dumps({"code": code, "nodeMode": "runOnceForAllItems", "items": []}).encode()
        self.channel.sendall(pack_header(FrameKind.TASK, len(settings)) + settings)
        if hang_up:
            self.channel.shutdown(socket.SHUT_WR)

    def frames(self) -> Iterator[tuple[FrameKind, bytes]]:
        """Yield frames until the worker hangs up."""
        with self.channel.makefile("rb") as stream:
            while header := stream.read(HEADER.size):
                kind, length = unpack_header(header)
                yield kind, stream.read(length)

    def close(self) -> None:
        """Hang up."""
        self.channel.close()
        self.stderr.close()
        if self.pidfd >= 0:
            os.close(self.pidfd)
            self.pidfd = -1


class HeldZygote:
    """A zygote and our end of its control socket."""

    def __init__(self, scratch: Path, policy: Policy = FREE, sandbox: SandboxConfig = OPEN) -> None:
        self.channel, theirs = socket.socketpair()
        self.channel.settimeout(_PATIENCE)
        root = str(Path(trio_runner.__file__).parents[1])
        with theirs:
            self.process = subprocess.Popen(
                [sys.executable, "-I", "-c", _START, root, str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                env={},
                start_new_session=True,
            )
        self.workers: dict[int, HeldWorker] = {}
        self._decoder = control.ControlDecoder()
        self._messages: list[tuple[control.Message, list[int]]] = []
        self.send(control.Configure(policy.to_json(), sandbox.to_json(), str(scratch)))
        (hello, _) = self.receive()
        assert isinstance(hello, control.Hello)
        self.hello = hello

    def send(self, message: control.Message, descriptors: tuple[int, ...] = ()) -> None:
        """Send one message."""
        self.channel.sendmsg([control.encode(message, len(descriptors))], control.ancillary(descriptors))

    def receive(self) -> tuple[control.Message, list[int]]:
        """Return the next message."""
        while not self._messages:
            data, descriptors = control.receive(self.channel)
            assert data, "the zygote has hung up"
            self._messages += self._decoder.feed(data, descriptors)
        return self._messages.pop(0)

    def fork(self) -> HeldWorker:
        """Have a worker forked."""
        return self.fork_several(1)[0]

    def ask(self, count: int) -> list[HeldWorker]:
        """Ask for workers to be forked."""
        workers = [HeldWorker(len(self.workers) + place) for place in range(1, count + 1)]
        self.workers |= {worker.number: worker for worker in workers}
        ends = [end for worker in workers for end in (worker.far_channel.fileno(), worker.far_stderr)]
        self.send(control.Fork(tuple(worker.number for worker in workers)), tuple(ends))
        for worker in workers:
            worker.far_channel.close()
            os.close(worker.far_stderr)
        return workers

    def fork_several(self, count: int) -> list[HeldWorker]:
        """Have workers forked together."""
        workers = self.ask(count)
        message, descriptors = self.receive()
        assert isinstance(message, control.Forked)
        assert message.workers == tuple(worker.number for worker in workers)
        for worker, pid, pidfd in zip(workers, message.pids, descriptors, strict=True):
            worker.pid, worker.pidfd = pid, pidfd
        return workers

    def ended(self) -> control.Ended:
        """Wait for the next worker to be reported as ended."""
        message, _ = self.receive()
        assert isinstance(message, control.Ended)
        return message

    def hang_up(self) -> int:
        """Close the control socket; return the exit code of the zygote."""
        self.channel.close()
        return self.process.wait(_PATIENCE)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.hang_up()
        for worker in self.workers.values():
            worker.close()


@contextmanager
def one_worker(
    scratch: Path, policy: Policy = FREE, sandbox: SandboxConfig = OPEN
) -> Iterator[tuple[HeldZygote, HeldWorker]]:
    """Hold a zygote and one worker of it."""
    with HeldZygote(scratch, policy, sandbox) as zygote:
        yield zygote, zygote.fork()
