"""A daemon as a real process: its lines, its exit code, its children, and its end whatever happens."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import trio

LIMIT = 40.0  # seconds in which an interpreter starts and stops even on a busy machine


class DaemonProcess:
    """Attributes:
    out: the lines of stdout so far.
    err: the lines of stderr so far.
    """

    def __init__(self, process: trio.Process, *, streams: int) -> None:
        self.out: list[str] = []
        self.err: list[str] = []
        self.process = process
        self._news = trio.Event()
        self._open_streams = streams

    @property
    def all(self) -> str:
        return "\n".join([*self.out, *self.err])

    async def line(self, pattern: str) -> re.Match[str]:
        """Wait for a line that matches anywhere in it."""
        with trio.move_on_after(LIMIT):
            while True:
                for line in [*self.out, *self.err]:
                    if found := re.search(pattern, line):
                        return found
                if not self._open_streams:
                    break
                await self._news.wait()
        raise AssertionError(f"no line like {pattern!r} in:\n{self.all}")

    async def ended(self) -> int:
        """Wait for the end of the process and of its output; return the exit code."""
        with trio.move_on_after(LIMIT):
            code = await self.process.wait()
            while self._open_streams:
                await self._news.wait()
            return code
        raise AssertionError(f"still running, or its output is still open:\n{self.all}")

    async def collect(self, stream: trio.abc.ReceiveStream, lines: list[str]) -> None:
        rest = b""
        async with stream:
            async for data in stream:
                *whole, rest = (rest + data).split(b"\n")
                lines += [line.decode() for line in whole]
                self._announce()
        lines += [rest.decode()] if rest else []
        self._open_streams -= 1
        self._announce()

    def _announce(self) -> None:
        self._news.set()
        self._news = trio.Event()


@asynccontextmanager
async def open_daemon(
    *arguments: str, environment: Mapping[str, str] | None = None, read_stdout: bool = True
) -> AsyncIterator[DaemonProcess]:
    """Run ``python -I -m trio_runner …``; at the end of the block it is killed with all its children."""
    process = await trio.lowlevel.open_process(
        [sys.executable, "-I", "-m", "trio_runner", *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={"PATH": os.environ["PATH"], "TRIO_RUNNER_CONTROL_SOCKET": "none", **(environment or {})},
    )
    daemon = DaemonProcess(process, streams=1 + read_stdout)
    assert process.stdout is not None
    assert process.stderr is not None
    async with trio.open_nursery() as nursery:
        if read_stdout:
            nursery.start_soon(daemon.collect, process.stdout, daemon.out)
        nursery.start_soon(daemon.collect, process.stderr, daemon.err)
        try:
            yield daemon
        finally:
            with trio.CancelScope(shield=True):
                below = descendants(process.pid)
                process.kill()
                await process.wait()
                for pid in below:
                    with suppress(ProcessLookupError):
                        os.kill(pid, 9)
        nursery.cancel_scope.cancel()


def descendants(pid: int) -> list[int]:
    """Return the pids of all processes below a process, as /proc tells."""
    parents: dict[int, int] = {}
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            fields = (entry / "stat").read_text(errors="replace").rpartition(")")[2].split()
            parents[int(entry.name)] = int(fields[1])
    below: list[int] = []
    for candidate in parents:
        ancestor = candidate
        while ancestor in parents and ancestor != pid:
            ancestor = parents[ancestor]
        if ancestor == pid and candidate != pid:
            below.append(candidate)
    return below


def alive(pids: list[int]) -> list[int]:
    """Return those that still exist and are no zombies."""
    found = []
    for pid in pids:
        with suppress(OSError):
            state = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()[0]
            if state != "Z":
                found.append(pid)
    return found


def environments(pids: list[int]) -> bytes:
    """Return the environments that processes were started with."""
    found = b""
    for pid in alive(pids):
        with suppress(OSError):  # it has ended meanwhile
            found += Path(f"/proc/{pid}/environ").read_bytes()
    return found
