"""Starting processes, each ended by the one that started it, by its own number and no other's."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import IO

import attrs
import trio

from . import procfs
from .probe import LagGauge

__all__ = ["Process", "ProcessFailed", "output_of", "running"]

REPOSITORY = Path(__file__).resolve().parent.parent

# Seconds for a process to say that it is ready, and to end when told to.
_START_LIMIT = 60.0
_END_LIMIT = 15.0
# Seconds between two looks at the log of a process that is starting.
_LOOK = 0.005
_SHOWN = 2000


class ProcessFailed(Exception):
    """A process of the benchmark ended, or did not get ready; the message holds the end of its log."""


@attrs.frozen(eq=False)
class Process:
    """A running process.

    Attributes:
        name: what it is, for people.
        log: file with what it prints.
        gauge: reads its event loop's lag, if it has a probe.
    """

    name: str
    log: Path
    gauge: LagGauge | None
    _process: subprocess.Popen[bytes]

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    def children(self) -> list[int]:
        """Return its descendants."""
        return procfs.descendants(self.pid)

    async def said(self, pattern: str) -> re.Match[str]:
        """Wait until the log holds a text.

        Args:
            pattern: regular expression.

        Raises:
            ProcessFailed: the process ended without saying it, or takes too long.
        """
        with trio.move_on_after(_START_LIMIT):
            while True:
                found = re.search(pattern, self.log.read_text(encoding="utf-8", errors="replace"))
                if found is not None:
                    return found
                if self._process.poll() is not None:
                    break
                await trio.sleep(_LOOK)
        raise ProcessFailed(f"{self.name} did not say {pattern!r}: {self.last_words()}")

    def last_words(self) -> str:
        """Return the end of the log."""
        return self.log.read_text(encoding="utf-8", errors="replace")[-_SHOWN:].strip() or "it said nothing"

    def check(self) -> None:
        """Make sure that it still runs.

        Raises:
            ProcessFailed: it does not.
        """
        code = self._process.poll()
        if code is not None:
            raise ProcessFailed(f"{self.name} ended with status {code}: {self.last_words()}")


@asynccontextmanager
async def running(
    name: str,
    module: str,
    arguments: Sequence[str],
    directory: Path,
    *,
    probed: bool = True,
    environment: Mapping[str, str] | None = None,
) -> AsyncIterator[Process]:
    """Run a module of this package as a process for the time of a block, and end it with SIGTERM.

    Args:
        name: what it is; unique in `directory`.
        module: the module to run, whose first argument is the file of its lag probe if it is `probed`.
        arguments: what follows.
        directory: for its log and its probe.
        probed: it has a lag probe.
        environment: variables beside those of this process.
    """
    gauge = LagGauge(directory / f"{name}.lag") if probed else None
    command = [sys.executable, "-m", f"bench.{module}", *([str(gauge.path)] if gauge else []), *arguments]
    log = directory / f"{name}.log"
    with log.open("wb") as output:
        process = _start(command, output, output, environment or {})
    try:
        yield Process(name, log, gauge, process)
    finally:
        with trio.move_on_after(_END_LIMIT, shield=True):
            await _end(process)
        _make_sure(process)


async def output_of(arguments: Sequence[str], *, isolated: bool = False) -> str:
    """Run a Python program to its end and return what it printed.

    Args:
        arguments: what follows the interpreter.
        isolated: as a zygote is started: with nothing of this environment's settings.

    Raises:
        ProcessFailed: it ended with another status than 0.

    Cancellation:
        Ends the program.
    """
    command = [sys.executable, *(["-I", "-B", "-X", "utf8"] if isolated else []), *arguments]
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as complaints:
        process = _start(command, output, complaints, {})
        try:
            await _wait(process)
        finally:
            with trio.move_on_after(_END_LIMIT, shield=True):
                await _end(process)
            _make_sure(process)
        if process.returncode:
            raise ProcessFailed(f"{command[1:]} failed: {_content(complaints)[-_SHOWN:]}")
        return _content(output)


def _start(
    command: Sequence[str], output: IO[bytes], complaints: IO[bytes], environment: Mapping[str, str]
) -> subprocess.Popen[bytes]:
    """Start a process from this very thread.

    trio would do it in another one, and a process that asked to die with its parent dies with that thread.
    """
    return subprocess.Popen(  # noqa: S603 - our own programs
        command,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=complaints,
        cwd=REPOSITORY,
        env={**os.environ, "PYTHONUNBUFFERED": "1", **environment},
        start_new_session=True,  # Ctrl-C is for the benchmark, which then ends them one by one
    )


async def _wait(process: subprocess.Popen[bytes]) -> None:
    """Wait for a process to end."""
    pidfd = os.pidfd_open(process.pid)
    try:
        await trio.lowlevel.wait_readable(pidfd)
    finally:
        os.close(pidfd)
    process.wait()


async def _end(process: subprocess.Popen[bytes]) -> None:
    """Tell a process to end, unless it has ended, and wait for that."""
    if process.poll() is None:
        process.terminate()
        await _wait(process)


def _make_sure(process: subprocess.Popen[bytes]) -> None:
    """Kill a process that did not end when it was told to."""
    if process.poll() is None:
        process.kill()
        process.wait()


def _content(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode("utf-8", "replace")
