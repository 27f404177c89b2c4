"""The product as a process: started with an environment, read line by line, ended by its pid."""

from __future__ import annotations

import math
import os
import re
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import trio

from .fake_broker import AUTH_TOKEN, FakeBroker, Session
from .processes import ProcessId, descendants
from .wire import background

# An interpreter under load may need this long to import the product and come up.
START_LIMIT = 40.0
# A process that was told to end, or killed, is gone by then.
END_LIMIT = 30.0
# What a process wrote last has been read by then, unless a child that it left holds the pipes open.
LAST_WORDS_LIMIT = 10.0


class Daemon:
    """A running process of the product.

    Attributes:
        pid: its process id.
        out: the lines of its stdout so far.
        err: the lines of its stderr so far.
        code: its exit code once it has ended.
        ended: set then.
    """

    def __init__(self, process: trio.Process) -> None:
        self.pid = process.pid
        self.out: list[str] = []
        self.err: list[str] = []
        self.code: int | None = None
        self.ended = trio.Event()
        self._process = process
        self._news = trio.Event()

    @property
    def output(self) -> str:
        """All it has written so far, stdout first."""
        return "\n".join([*self.out, *self.err])

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        self._process.send_signal(number)

    async def line(self, pattern: str, limit: float = START_LIMIT) -> re.Match[str]:
        """Wait for a line that a pattern is found in, and return the match."""
        with trio.move_on_after(limit):
            while True:
                for line in [*self.out, *self.err]:
                    if (found := re.search(pattern, line)) is not None:
                        return found
                if self.code is not None:
                    raise AssertionError(f"exited with {self.code}, no line like {pattern!r}:\n{self.output}")
                await self._news.wait()
        raise AssertionError(f"no line like {pattern!r} within {limit} s:\n{self.output}")

    async def exit_code(self, limit: float = END_LIMIT) -> int:
        """Wait for its end and return the exit code."""
        with trio.move_on_after(limit):
            await self.ended.wait()
        if self.code is not None:
            return self.code
        raise AssertionError(f"still running after {limit} s:\n{self.output}")

    async def supervise(self) -> None:
        """Collect its output and its exit code."""
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        collected = trio.Event()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._reap, collected)
            async with trio.open_nursery() as collectors:
                collectors.start_soon(self._collect, self._process.stdout, self.out)
                collectors.start_soon(self._collect, self._process.stderr, self.err)
            collected.set()

    async def _reap(self, collected: trio.Event) -> None:
        code = await self._process.wait()
        # What it wrote last is still in the pipes. Bounded, because a leftover child may hold them open.
        with trio.move_on_after(LAST_WORDS_LIMIT):
            await collected.wait()
        self.code = code
        self.ended.set()
        self._announce()

    async def _collect(self, stream: trio.abc.ReceiveStream, lines: list[str]) -> None:
        rest = b""
        async with stream:
            async for data in stream:
                *whole, rest = (rest + data).split(b"\n")
                lines += [line.decode(errors="replace") for line in whole]
                self._announce()
        if rest:
            lines.append(rest.decode(errors="replace"))
            self._announce()

    def _announce(self) -> None:
        self._news.set()
        self._news = trio.Event()

    async def end(self) -> None:
        """Kill it and all that descends from it, and wait for its end."""
        below = descendants(self.pid) if self.code is None else []
        self._process.kill()
        await self._process.wait()
        for child in below:
            child.kill()

    def below(self) -> list[ProcessId]:
        """Return the processes that descend from it."""
        return descendants(self.pid)


@asynccontextmanager
async def open_daemon(*arguments: str, environment: Mapping[str, str]) -> AsyncIterator[Daemon]:
    """Run ``python -I -m trio_runner …`` with this environment, and no more of ours than the path."""
    process = await trio.lowlevel.open_process(
        [sys.executable, "-I", "-m", "trio_runner", *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={"PATH": os.environ["PATH"], "TRIO_RUNNER_CONTROL_SOCKET": "none", **environment},
    )
    daemon = Daemon(process)
    async with background(daemon.supervise):
        try:
            yield daemon
        finally:
            with trio.move_on_after(END_LIMIT, shield=True):
                await daemon.end()


def runner_environment(broker_url: str, **settings: str | None) -> dict[str, str]:
    """Return the environment of a runner that mints its own tokens.

    Args:
        broker_url: the base URI.
        settings: by name, ``N8N_RUNNERS_`` may be left out; None leaves a variable out of the environment.
    """
    environment: dict[str, str | None] = {
        "N8N_RUNNERS_TASK_BROKER_URI": broker_url,
        "N8N_RUNNERS_AUTH_TOKEN": AUTH_TOKEN,
    }
    for name, value in settings.items():
        plain = name.startswith("N8N_") or name in ("ENVIRONMENT", "NO_COLOR", "CONFORMANCE_MARK")
        environment[name if plain else f"N8N_RUNNERS_{name}"] = value
    return {name: value for name, value in environment.items() if value is not None}


@asynccontextmanager
async def open_runner(broker: FakeBroker | str, **settings: str | None) -> AsyncIterator[Daemon]:
    """Run a runner for a broker; ``TASK_TIMEOUT="1"`` sets ``N8N_RUNNERS_TASK_TIMEOUT``."""
    url = broker if isinstance(broker, str) else broker.url
    async with open_daemon("run", environment=runner_environment(url, **settings)) as daemon:
        yield daemon


async def first_session(broker: FakeBroker, daemon: Daemon) -> Session:
    """Return the first connection of a runner, registered; fail with what the runner wrote if none comes."""
    arrived: list[Session] = []

    async def await_end(scope: trio.CancelScope) -> None:
        await daemon.ended.wait()
        scope.cancel()

    with trio.move_on_after(START_LIMIT):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(await_end, nursery.cancel_scope)
            arrived.append(await broker.registered(math.inf))
            nursery.cancel_scope.cancel()
    if arrived:
        return arrived[0]
    how = f"ended with {daemon.code}" if daemon.code is not None else f"was not there after {START_LIMIT} s"
    raise AssertionError(f"the runner {how}; asked: {broker.asked()}; it wrote:\n{daemon.output}")


@asynccontextmanager
async def open_registered(
    broker: FakeBroker, **settings: str | None
) -> AsyncIterator[tuple[Daemon, Session]]:
    """Run a runner and register its first connection; at the end none has seen the protocol broken."""
    async with open_runner(broker, **settings) as daemon:
        yield daemon, await first_session(broker, daemon)
        for session in broker.sessions:
            assert session.peer.violations == [], session.peer.violations


class BrokerProcess:
    """A running broker of the product.

    Attributes:
        port: where it listens.
        daemon: its process.
    """

    def __init__(self, port: int, daemon: Daemon) -> None:
        self.port = port
        self.daemon = daemon


@asynccontextmanager
async def open_broker_process(**flags: str) -> AsyncIterator[BrokerProcess]:
    """Run the product's broker on a free port; ``request_timeout="1"`` is ``--request-timeout 1``."""
    options = [part for name, value in flags.items() for part in (f"--{name.replace('_', '-')}", value)]
    arguments = ["broker", "--host", "127.0.0.1", "--port", "0", *options]
    async with open_daemon(*arguments, environment={"N8N_RUNNERS_AUTH_TOKEN": AUTH_TOKEN}) as daemon:
        found = await daemon.line(r"127\.0\.0\.1:(\d+)|\bport (\d+)")
        yield BrokerProcess(int(found.group(1) or found.group(2)), daemon)
