"""Tasks that end badly, or that are ended: how it is told, and that nothing of them is left."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import IO, Any

import pytest
import trio
import trio.testing

from trio_runner.executor.contract import Executor
from trio_runner.executor.pool import ProcessExecutorConfig, open_process_executor
from trio_runner.executor.worker import Worker
from trio_runner.executor.zygote import Zygote
from trio_runner.scheduling.observer import Event, ExecutorTrouble
from trio_runner.scheduling.outcome import Completed, Failed, WorkerDied

from .tasks import (
    DAEMON,
    FOREVER,
    FREE,
    FREE_CONFIG,
    OPEN,
    Events,
    Watched,
    is_there,
    job,
    result_of,
    settled,
    watching,
)

pytestmark = pytest.mark.process


class Troubles:
    """Remembers what an executor complains about."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    def observe(self, event: Event) -> None:
        """Take note of trouble."""
        if isinstance(event, ExecutorTrouble):
            self.seen.append(event.why)


@pytest.fixture
def troubles() -> Troubles:
    """What the executor of the test complains about."""
    return Troubles()


@pytest.fixture
def clock() -> trio.testing.MockClock:
    """The clock of the system, but that a test can put forward. Before `executor` in the list of fixtures."""
    return trio.testing.MockClock(rate=1.0)


async def have_no_answer(zygote: Zygote, clock: trio.testing.MockClock) -> None:
    """Put the clock forward once something has been asked of a zygote that is stopped."""
    while not zygote._due:
        await trio.testing.wait_all_tasks_blocked(0.01)
    clock.jump(9.5)


@pytest.fixture
async def executor(troubles: Troubles) -> AsyncIterator[Executor]:
    """An executor whose tasks may do their worst."""
    async with open_process_executor(FREE_CONFIG, observer=troubles) as opened:
        yield opened


async def cancel_after_print(executor: Executor, code: str) -> list[str]:
    """Run code, cancel it at its first print, and return what it had printed when `Cancelled` was out."""
    events = Events()
    with trio.CancelScope() as scope:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(executor.run, job(code), events)
            await events.next_print()
            scope.cancel()
    assert scope.cancelled_caught
    return events.printed


# --- ends of the code's own making ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "exit_code", "description"),
    [
        ("import os\nos._exit(0)", 0, "exit status 0"),
        ("import os\nos._exit(3)", 3, "exit status 3"),
        ("import os, signal\nos.kill(os.getpid(), signal.SIGTERM)", -signal.SIGTERM, "SIGTERM (Terminated)"),
        ("import os, signal\nos.kill(os.getpid(), signal.SIGKILL)", -signal.SIGKILL, "memory ran out"),
        ("import os, signal\nos.kill(os.getpid(), 40)", -40, "signal 40"),
        ("import ctypes\nctypes.string_at(0)", -signal.SIGSEGV, 'File "<code>", line 2 in <code>'),
        ("import os\nos.write(2, b'last words')\nos.abort()", -signal.SIGABRT, "last words"),
    ],
)
async def test_a_crash_is_told_apart(executor: Executor, code: str, exit_code: int, description: str) -> None:
    outcome = await executor.run(job(code), Events())
    assert isinstance(outcome, WorkerDied)
    assert outcome.exit_code == exit_code
    assert description in outcome.description
    assert "trio_runner" not in outcome.description
    assert executor.statistics().worker_deaths == 1
    assert await result_of(executor, "return 'next'") == "next"


async def test_out_of_memory_is_an_error_of_the_code(executor: Executor) -> None:
    code = "import resource\nresource.setrlimit(resource.RLIMIT_AS, (2**29, 2**29))\nreturn len('x' * 2**30)"
    outcome = await executor.run(job(code), Events())
    assert isinstance(outcome, Failed)
    assert "MemoryError" in outcome.stack


async def test_prints_before_a_crash_arrive(executor: Executor) -> None:
    events = Events()
    code = "import os\nfor number in range(50): print(number)\nos.kill(os.getpid(), 9)"
    assert isinstance(await executor.run(job(code), events), WorkerDied)
    assert events.printed == [str(number) for number in range(50)]


async def test_a_flood_on_stderr_does_not_hold_a_crash_back(executor: Executor) -> None:
    code = """\
import os
try:
    while True: os.write(2, b'noise ' * 1000)
except BlockingIOError:
    os._exit(3)
"""
    outcome = await executor.run(job(code), Events())
    assert isinstance(outcome, WorkerDied)
    assert outcome.exit_code == 3
    assert len(outcome.description) < 5000


# --- being cancelled --------------------------------------------------------------------------------

PID = "import os, signal\nprint(os.getpid())\n"


@pytest.mark.parametrize(
    "stubborn",
    [
        "while True: pass",
        FOREVER,
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + FOREVER,
        "signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 64))\n" + FOREVER,
        "os.kill(os.getpid(), signal.SIGSTOP)",
        "import threading, time\nfor _ in 'abc': threading.Thread(target=time.sleep, args=(1000,)).start()\n"
        + FOREVER,
    ],
)
async def test_cancelled_means_dead(executor: Executor, stubborn: str) -> None:
    events = Events()
    with trio.CancelScope() as scope:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(executor.run, job(PID + stubborn), events)
            with watching(await events.next_print()) as (worker,):
                scope.cancel()
                with trio.CancelScope(shield=True):
                    await worker.wait_dead()
    assert scope.cancelled_caught
    assert not is_there(events.printed[0])
    assert executor.statistics().worker_deaths == 0


async def test_prints_before_a_cancellation_arrive(executor: Executor, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "done")
    code = f"""\
for number in range(50): print(number)
open({str(tmp_path / "done")!r}, 'w').close()
{FOREVER}"""
    events = Events()
    with trio.CancelScope() as scope:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(executor.run, job(code), events)
            await events.next_print()
            # From here on the loop is ours: what the task prints meanwhile waits in the socket.
            (tmp_path / "done").read_bytes()
            scope.cancel()
    assert events.printed == [str(number) for number in range(50)]


async def test_a_deadline_is_kept_by_a_task_that_burns(executor: Executor) -> None:
    with trio.move_on_after(0.3) as scope:
        await executor.run(job("while True: pass"), Events())
    assert scope.cancelled_caught
    assert trio.current_time() - scope.deadline < 30


async def test_a_cancellation_while_settings_are_on_their_way(executor: Executor) -> None:
    await settled(executor)
    for worker in executor._warm._idle:  # type: ignore[attr-defined]
        os.kill(worker.pid, signal.SIGSTOP)
    with trio.CancelScope() as scope:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(executor.run, job("return 1", items=[{"json": "x" * 5_000_000}]), Events())
            await trio.testing.wait_all_tasks_blocked(0.01)
            scope.cancel()
    assert scope.cancelled_caught
    assert executor.statistics().running == 0


# --- what a task leaves running ---------------------------------------------------------------------


@pytest.mark.parametrize(
    "ending", ["return 1", "raise ValueError", "os._exit(1)", "os.kill(os.getpid(), 9)", "os.abort()"]
)
async def test_no_daemon_outlives_its_task(executor: Executor, ending: str, tmp_path: Path) -> None:
    go = tmp_path / "go"
    wait = f"while not os.path.exists({str(go)!r}): time.sleep(0.005)\n"
    events = Events()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(executor.run, job(DAEMON + wait + ending), events)
        with watching(await events.next_print()) as (daemon,):
            assert not daemon.is_dead()
            go.touch()
            await daemon.wait_dead()


async def test_a_daemon_is_dead_before_cancelled_leaves(executor: Executor) -> None:
    events = Events()
    with trio.CancelScope() as scope:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(executor.run, job(DAEMON + FOREVER), events)
            daemon = Watched(int(await events.next_print()))
            scope.cancel()
    assert scope.cancelled_caught
    assert daemon.is_dead()
    daemon.close()


async def test_a_daemon_is_dead_before_the_executor_has_closed() -> None:
    events = Events()
    with trio.CancelScope() as scope:
        async with open_process_executor(FREE_CONFIG) as executor, trio.open_nursery() as nursery:
            nursery.start_soon(executor.run, job(DAEMON + FOREVER), events)
            daemon = await events.next_print()
            scope.cancel()
    assert not is_there(daemon)


async def test_a_whole_tree_of_programs_dies(executor: Executor) -> None:
    code = """\
import subprocess, sys
inner = "import subprocess, time; print(subprocess.Popen(['sleep', '999']).pid, flush=True); time.sleep(999)"
outer = subprocess.Popen([sys.executable, '-I', '-c', inner], stdout=subprocess.PIPE, start_new_session=True)
print(outer.pid, outer.stdout.readline().decode().strip())
"""
    for pid in (await cancel_after_print(executor, code + FOREVER))[0].split():
        assert not is_there(pid)


async def test_a_family_that_keeps_moving_is_caught(executor: Executor) -> None:
    code = """\
import os
print('off')
if os.fork() == 0:
    while True:
        os.setsid() if os.getpid() != os.getsid(0) else None
        if os.fork() != 0:
            os._exit(0)
"""
    await cancel_after_print(executor, code + FOREVER)
    await settled(executor)
    assert await result_of(executor, "return 1") == 1


async def test_a_task_that_stops_being_a_subreaper_gains_nothing(executor: Executor) -> None:
    code = "import ctypes\nctypes.CDLL(None).prctl(36, 0, 0, 0, 0)\n" + DAEMON
    events = Events()
    outcome = await executor.run(job(code + "return 1"), events)
    assert isinstance(outcome, Completed)
    await settled(executor)
    assert not is_there(events.printed[0])


# --- workers that end by themselves -----------------------------------------------------------------


async def test_an_idle_worker_that_dies_is_replaced(executor: Executor, troubles: Troubles) -> None:
    await settled(executor)
    victim = executor._warm._idle[0]  # type: ignore[attr-defined]
    os.kill(victim.pid, signal.SIGKILL)
    await victim.ended.wait()
    await settled(executor)
    assert len(troubles.seen) == 1
    assert troubles.seen[0].startswith("a worker ended without having had a task: The process was killed")
    assert await result_of(executor, "return 1") == 1


async def test_a_worker_that_dies_before_it_reads_its_task_costs_no_task(executor: Executor) -> None:
    await settled(executor)
    victim = executor._warm._idle[0]  # type: ignore[attr-defined]
    os.kill(victim.pid, signal.SIGSTOP)
    results = []

    async def run() -> None:
        results.append(await result_of(executor, "return 1"))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(run)
        await trio.testing.wait_all_tasks_blocked(0.01)
        assert victim not in executor._warm._idle  # type: ignore[attr-defined]
        os.kill(victim.pid, signal.SIGKILL)
    assert results == [1]


# --- the zygote, or the runner, is lost -------------------------------------------------------------


async def test_the_zygote_is_killed_while_tasks_run(executor: Executor, troubles: Troubles) -> None:
    events, outcomes = Events(), []

    async def run() -> None:
        outcomes.append(
            await executor.run(job("import os\nprint(os.getppid())\n" + DAEMON + FOREVER), events)
        )

    async with trio.open_nursery() as nursery:
        nursery.start_soon(run)
        zygote = int(await events.next_print())
        daemon = Watched(int(await events.next_print()))
        os.kill(zygote, signal.SIGKILL)
    (outcome,) = outcomes
    assert isinstance(outcome, WorkerDied)
    assert outcome.exit_code == -signal.SIGKILL
    assert outcome.description == "The process that forks the workers was lost (it was ended by SIGKILL)."
    assert daemon.is_dead()
    daemon.close()
    assert await result_of(executor, "return 1") == 1
    assert troubles.seen == [
        "the process that forks workers was lost (it was ended by SIGKILL); a new one is started"
    ]


async def test_the_zygote_is_killed_while_idle(executor: Executor, troubles: Troubles) -> None:
    for _ in range(2):
        zygote = await result_of(executor, "import os\nreturn os.getppid()")
        await settled(executor)
        root = Path(await result_of(executor, "import os\nreturn os.getcwd()")).parent
        with watching(zygote) as (process,):
            os.kill(zygote, signal.SIGKILL)
            await process.wait_dead()
        assert await result_of(executor, "import os\nreturn os.getppid()") != zygote
        assert not root.exists()
    assert len(troubles.seen) == 2


async def test_tasks_are_wanted_only_while_they_can_be_begun(
    clock: trio.testing.MockClock, executor: Executor, troubles: Troubles
) -> None:
    await settled(executor)
    assert executor.available("python")
    assert not executor.available("other")
    supply, warm = executor._supply, executor._warm  # type: ignore[attr-defined]
    zygote: Zygote = supply.current
    spawn, lost = supply.start, trio.Event()
    may_start = trio.Event()

    async def start_later() -> Zygote:
        lost.set()
        await may_start.wait()
        started: Zygote = await spawn()
        return started

    supply.start = start_later
    os.kill(zygote.pid, signal.SIGKILL)
    while not lost.is_set():
        await trio.testing.wait_all_tasks_blocked(0.01)
        clock.jump(0.1)
    while warm.any:
        await trio.testing.wait_all_tasks_blocked(0.01)
    assert not executor.available("python")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(executor.wait_available)
        may_start.set()
    assert executor.available("python")
    assert await result_of(executor, "return 1") == 1


async def test_a_fork_that_fails_is_tried_again_before_tasks_are_wanted(
    clock: trio.testing.MockClock, executor: Executor, troubles: Troubles, monkeypatch: pytest.MonkeyPatch
) -> None:
    await settled(executor)
    pool: Any = executor
    zygote: Zygote = pool._supply.current
    fork = zygote.fork

    def refuse(count: int = 1) -> list[Worker]:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    monkeypatch.setattr(zygote, "fork", refuse)
    while pool._warm.any:
        assert executor.available("python")
        await result_of(executor, "return 1")
    while not executor.statistics().trouble:  # what was taken is forked anew a moment later
        await trio.testing.wait_all_tasks_blocked(0.001)
    assert not executor.available("python")
    assert "Too many open files" in executor.statistics().trouble
    monkeypatch.setattr(zygote, "fork", fork)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(executor.wait_available)
        while not executor.available("python"):
            await trio.testing.wait_all_tasks_blocked(0.01)
            clock.jump(0.1)
    assert await result_of(executor, "return 1") == 1


async def test_a_zygote_is_replaced_even_if_descriptors_are_short_at_that_moment(
    executor: Executor, troubles: Troubles, monkeypatch: pytest.MonkeyPatch
) -> None:
    make = tempfile.TemporaryFile
    shortages = [OSError(errno.EMFILE, os.strerror(errno.EMFILE))]

    def short_once(*, dir: str) -> IO[bytes]:  # noqa: A002 - the name is the real one's
        if shortages:
            raise shortages.pop()
        return make(dir=dir)

    zygote = await result_of(executor, "import os\nreturn os.getppid()")
    monkeypatch.setattr("trio_runner.executor.spawn.tempfile.TemporaryFile", short_once)
    await settled(executor)
    with watching(zygote) as (process,):
        os.kill(zygote, signal.SIGKILL)
        await process.wait_dead()
    assert await result_of(executor, "import os\nreturn os.getppid()") != zygote
    assert any("Too many open files" in why for why in troubles.seen)


async def test_a_zygote_that_hangs_is_replaced(
    clock: trio.testing.MockClock, executor: Executor, troubles: Troubles
) -> None:
    await settled(executor)
    zygote: Zygote = executor._supply.current  # type: ignore[attr-defined]
    os.kill(zygote.pid, signal.SIGSTOP)
    # The idle workers still take tasks; it shows when they are to be replaced.
    assert await result_of(executor, "return 1") == 1
    await have_no_answer(zygote, clock)
    while zygote.alive:
        await result_of(executor, "return 1")
    assert troubles.seen == [
        "the process that forks workers was lost (it did not answer for 10 seconds); a new one is started"
    ]


async def test_a_cancellation_while_the_zygote_hangs(
    clock: trio.testing.MockClock, executor: Executor
) -> None:
    await settled(executor)
    zygote: Zygote = executor._supply.current  # type: ignore[attr-defined]
    events = Events()
    async with trio.open_nursery() as outer:
        with trio.CancelScope() as scope:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(executor.run, job(PID + FOREVER), events)
                worker = Watched(int(await events.next_print()))
                os.kill(zygote.pid, signal.SIGSTOP)
                outer.start_soon(have_no_answer, zygote, clock)
                scope.cancel()
    assert scope.cancelled_caught
    assert worker.is_dead()
    worker.close()
    assert await result_of(executor, "return 1") == 1


async def test_a_cancellation_while_there_is_no_zygote(executor: Executor) -> None:
    zygote = await result_of(executor, "import os\nreturn os.getppid()")
    with watching(zygote) as (process,):
        os.kill(zygote, signal.SIGKILL)
        await process.wait_dead()
    while executor._supply.current is not None:  # type: ignore[attr-defined]
        await trio.testing.wait_all_tasks_blocked()
    with trio.CancelScope() as scope:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(executor.run, job("return 1"), Events())
            await trio.lowlevel.checkpoint()
            scope.cancel()
    assert scope.cancelled_caught
    assert await result_of(executor, "return 2") == 2


_RUNNER = """\
import sys, trio
from trio_runner.executor.contract import Job
from trio_runner.executor.pool import ProcessExecutorConfig, open_process_executor
from trio_runner.protocol.raw_json import RawJson
from trio_runner.sandbox.config import SandboxConfig
from trio_runner.sandbox.policy import Policy

star = frozenset('*')
code = sys.stdin.read()

async def main():
    policy = Policy(stdlib_allow=star, external_allow=star, builtins_deny=frozenset())
    config = ProcessExecutorConfig(policy=policy, workers=2, sandbox=SandboxConfig(strictness="off"))
    async with open_process_executor(config) as executor:
        job = Job('t', 'python', RawJson.of({'code': code, 'nodeMode': 'runOnceForAllItems', 'items': []}))
        await executor.run(job, lambda event: hasattr(event, 'text') and print(event.text, flush=True))

trio.run(main)
"""


async def test_a_runner_that_is_killed_leaves_nothing() -> None:
    code = "import os\nprint(os.getpid(), os.getppid(), os.getcwd())\n" + DAEMON + FOREVER
    process = await trio.lowlevel.open_process(
        [sys.executable, "-c", _RUNNER], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdin is not None
    assert process.stdout is not None
    async with process.stdin, process.stdout:
        await process.stdin.send_all(code.encode())
        await process.stdin.aclose()
        said = b""
        while said.count(b"\n") < 2:
            said += await process.stdout.receive_some()
        worker, zygote, scratch, daemon = said.decode().split()
        with watching(worker, zygote, daemon) as processes:
            process.kill()
            for left in processes:
                await left.wait_dead()
        await process.wait()
    assert not Path(scratch).parent.exists()


async def test_a_small_pool_serves_many(troubles: Troubles) -> None:
    config = ProcessExecutorConfig(policy=FREE, sandbox=OPEN, workers=1, warm=1)
    async with open_process_executor(config, observer=troubles) as executor:
        for _ in range(20):
            assert await result_of(executor, "return 1") == 1
    assert troubles.seen == []
