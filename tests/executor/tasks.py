"""Tasks for the executors' tests, and ways to see what becomes of their processes without ever polling."""

from __future__ import annotations

import ctypes
import math
import os
import select
import struct
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any

import trio
import trio.testing

from trio_runner.executor.contract import Executor, ExecutorEvent, Job, Printed, Started
from trio_runner.executor.pool import ProcessExecutorConfig
from trio_runner.executor.worker import Worker
from trio_runner.protocol.raw_json import RawJson
from trio_runner.sandbox.config import SandboxConfig
from trio_runner.sandbox.policy import Policy
from trio_runner.scheduling.outcome import Completed

FREE = Policy(stdlib_allow=frozenset("*"), external_allow=frozenset("*"), builtins_deny=frozenset())
"""A policy under which code may do its worst."""

OPEN = SandboxConfig(strictness="off")
"""No walls: tasks tell of themselves by files, and by process ids that mean the same outside."""

FREE_CONFIG = ProcessExecutorConfig(policy=FREE, workers=2, sandbox=OPEN)

DAEMON = """\
import os, signal, sys, time
reader, writer = os.pipe()
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        os.setsid()
        os.chdir('/')
        for number in (1, 2, 3, 15):
            signal.signal(number, signal.SIG_IGN)
        os.write(writer, str(os.getpid()).encode())
        while True:
            time.sleep(1000)
    os._exit(0)
print(os.read(reader, 20).decode())
"""
"""Code that leaves a double-forked daemon with a session of its own behind, and prints its process id.

The daemon ignores signals and keeps every descriptor open, the connection to the runner included."""

FOREVER = "import time\nwhile True: time.sleep(1000)\n"


def job(code: str, *, items: list[Any] | None = None, **settings: object) -> Job:
    """Return a task that runs `code` once for all items."""
    fields = {"code": code, "nodeMode": "runOnceForAllItems", "items": items or [], **settings}
    return Job("task-1", "python", RawJson.of(fields))


class Events:
    """Takes the events of one task, and hands out its prints one by one as they come."""

    def __init__(self) -> None:
        self.events: list[ExecutorEvent] = []
        self._send, self._receive = trio.open_memory_channel[ExecutorEvent](math.inf)

    def __call__(self, event: ExecutorEvent) -> None:
        self.events.append(event)
        self._send.send_nowait(event)

    @property
    def started(self) -> list[Started]:
        """The `Started` events."""
        return [event for event in self.events if isinstance(event, Started)]

    @property
    def printed(self) -> list[str]:
        """The text of each print."""
        return [event.text for event in self.events if isinstance(event, Printed)]

    async def next_print(self) -> str:
        """Wait for a print that has not been handed out yet."""
        while True:
            event = await self._receive.receive()
            if isinstance(event, Printed):
                return event.text


async def result_of(executor: Executor, code: str, **settings: Any) -> Any:
    """Run code and return its decoded result."""
    outcome = await executor.run(job(code, **settings), Events())
    assert isinstance(outcome, Completed), outcome
    return outcome.result.decode()


async def settled(executor: Any) -> None:
    """Wait until all workers have ended but the idle ones, and as many of those are there as should be."""
    await executor._supply.ready.wait()
    while True:
        zygote = executor._supply.current
        workers = [worker for worker in zygote._workers.values() if worker not in executor._warm]
        for worker in workers:
            await worker.ended.wait()
        await trio.testing.wait_all_tasks_blocked(0.01)  # the answers to what was asked meanwhile
        if not workers and executor.statistics().idle_workers == executor._config.warm_workers:
            return


async def zygote_at_rest(executor: Any) -> None:
    """Do as `settled`, and wait until the zygote waits too: it lets go of descriptors after it has answered.

    It answers one request after the other, and that a worker has ended last of all that it does about it.
    """
    await settled(executor)
    (worker,) = executor._supply.current.fork(1)
    worker.kill()
    await worker.ended.wait()
    worker.release()


async def let_time_pass(clock: trio.testing.MockClock, seconds: float) -> None:
    """Put the clock forward whenever nothing happens, until cancelled: a time limit may be yet to begin."""
    while True:
        await trio.testing.wait_all_tasks_blocked(0.02)
        clock.jump(seconds)


class Keeper:
    """Stands in for the zygote of a worker, and remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, Worker]] = []

    def end(self, worker: Worker) -> None:
        """Remember it."""
        self.asked.append(("end", worker))

    def retire(self, worker: Worker) -> None:
        """Remember it."""
        self.asked.append(("retire", worker))


class Watched:
    """A process, held by a pidfd: another one with the same number is never mistaken for it."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._pidfd = os.pidfd_open(pid)

    def is_dead(self) -> bool:
        """Whether it has ended by now."""
        poll = select.poll()
        poll.register(self._pidfd, select.POLLIN)
        return bool(poll.poll(0))

    async def wait_dead(self) -> None:
        """Wait until it has ended."""
        with trio.fail_after(30):
            await trio.lowlevel.wait_readable(self._pidfd)

    def close(self) -> None:
        """Let go of it."""
        os.close(self._pidfd)


@contextmanager
def watching(*pids: int | str, some_may_be_gone: bool = False) -> Iterator[list[Watched]]:
    """Hold processes for a while."""
    held: list[Watched] = []
    for pid in pids:
        with suppress(ProcessLookupError) if some_may_be_gone else nullcontext():
            held.append(Watched(int(pid)))
    try:
        yield held
    finally:
        for process in held:
            process.close()


def children_of(pid: int) -> list[int]:
    """Return the process ids of a process's children, zombies included."""
    found: list[int] = []
    for thread in Path(f"/proc/{pid}/task").iterdir():
        with suppress(OSError):  # it has ended meanwhile
            found += map(int, (thread / "children").read_text().split())
    return found


def state_of(pid: int) -> str:
    """Return the one letter that procfs has for the state of a process."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def open_descriptors(pid: int | str = "self") -> int:
    """Return how many descriptors a process has open, not counting the one that it takes to find out."""
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


def is_there(pid: int | str) -> bool:
    """Whether a process has this number now, dead and unreaped ones included."""
    return Path(f"/proc/{pid}").exists()


async def wait_removed(path: Path) -> None:
    """Wait until a file or directory is gone, told by the kernel."""
    libc = ctypes.CDLL(None)
    watch = libc.inotify_init1(os.O_NONBLOCK)
    try:
        assert libc.inotify_add_watch(watch, os.fsencode(path.parent), 0x00000200) >= 0  # IN_DELETE
        with trio.fail_after(30):
            while await trio.Path(path).exists():
                await trio.lowlevel.wait_readable(watch)
                assert len(os.read(watch, 65536)) >= struct.calcsize("iIII")
    finally:
        os.close(watch)
