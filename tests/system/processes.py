"""Real daemons for system tests: started, watched through pidfds, and gone at the end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import trio

LIMIT = 50.0  # seconds in which anything here happens that need not be waited for, on a busy machine too

__all__ = ["Daemon", "descendants", "run_daemon", "wait_until_gone"]


class Daemon:
    """A ``trio-runner`` process and what it has printed so far."""

    def __init__(self, process: trio.Process) -> None:
        self.process = process
        self.lines: list[str] = []
        self._news = trio.lowlevel.ParkingLot()
        self._closed_streams = 0

    @property
    def pid(self) -> int:
        return self.process.pid

    async def read(self, stream: trio.abc.ReceiveStream) -> None:
        """Collect the lines of one output stream until it ends."""
        rest = b""
        async for chunk in stream:
            *lines, rest = (rest + bytes(chunk)).split(b"\n")
            self.lines += [line.decode() for line in lines]
            self._news.unpark_all()
        self._closed_streams += 1
        self._news.unpark_all()

    async def wait_for_line(self, text: str) -> str:
        """Wait until a line with this text has been printed, and return it."""
        with trio.fail_after(LIMIT):
            while not (found := [line for line in self.lines if text in line]):
                assert self._closed_streams < 2, f"ended without printing {text!r}: {self.lines}"
                await self._news.park()
        return found[0]

    async def wait_for_output_to_end(self) -> None:
        """Wait until both output streams are closed, by the daemon and everything it has started."""
        with trio.fail_after(LIMIT):
            while self._closed_streams < 2:
                await self._news.park()


@asynccontextmanager
async def run_daemon(
    command: str, environment: Mapping[str, str], *, within: Sequence[str] = (), program: Sequence[str] = ()
) -> AsyncIterator[Daemon]:
    """Run ``trio-runner COMMAND`` for as long as the block lasts; it is killed at the end if need be.

    Args:
        command: and its arguments.
        environment: variables beside the path.
        within: a command that runs another one in its place, such as in a network of its own.
        program: what to give Python instead of ``-m trio_runner``.
    """
    process = await trio.lowlevel.open_process(
        [*within, sys.executable, "-I", *(program or ("-m", "trio_runner")), *command.split()],
        env={
            "PATH": os.environ["PATH"],
            "TRIO_RUNNER_CONTROL_SOCKET": "none",
            "TRIO_RUNNER_SANDBOX_DISABLE": "pid-namespace",
            **environment,
        },
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    daemon = Daemon(process)
    assert process.stdout is not None
    assert process.stderr is not None
    async with trio.open_nursery() as nursery:
        nursery.start_soon(daemon.read, process.stdout)
        nursery.start_soon(daemon.read, process.stderr)
        try:
            yield daemon
        finally:
            process.kill()
            with trio.CancelScope(shield=True):
                await process.wait()
            nursery.cancel_scope.cancel()


def descendants(pid: int) -> list[int]:
    """The children of a process, their children and so on."""
    found: list[int] = []
    try:
        threads = list(Path(f"/proc/{pid}/task").iterdir())
    except OSError:  # the process has ended since somebody listed it
        return found
    for thread in threads:
        try:
            children = (thread / "children").read_text().split()
        except OSError:  # it ended while we were looking
            continue
        for child in map(int, children):
            found += [child, *descendants(child)]
    return found


@contextmanager
def watch(pids: list[int]) -> Iterator[list[int]]:
    """Hold a pidfd for each process that is still there, so that waiting for its end cannot be fooled."""
    descriptors: list[int] = []
    for pid in pids:
        try:
            descriptors.append(os.pidfd_open(pid))
        except ProcessLookupError:
            continue
    try:
        yield descriptors
    finally:
        for descriptor in descriptors:
            os.close(descriptor)


async def wait_until_gone(descriptors: list[int], *, seconds: float = LIMIT) -> None:
    """Wait until every watched process has ended."""
    with trio.fail_after(seconds):
        for descriptor in descriptors:
            await trio.lowlevel.wait_readable(descriptor)


async def kill_with_descendants_watched(daemon: Daemon) -> int:
    """SIGKILL a daemon and wait until every process below it is gone; return how many there were."""
    below = descendants(daemon.pid)
    with watch(below) as descriptors:
        os.kill(daemon.pid, signal.SIGKILL)
        await daemon.process.wait()
        await wait_until_gone(descriptors)
    return len(below)
