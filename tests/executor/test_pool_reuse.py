"""Workers that run several tasks of one workflow, in real processes."""

from __future__ import annotations

import os
import select
from collections.abc import AsyncIterator
from typing import Any

import attrs
import pytest
import trio
import trio.testing

from trio_runner.executor.config import ProcessExecutorConfig
from trio_runner.executor.contract import Executor
from trio_runner.executor.pool import ProcessExecutor, open_process_executor
from trio_runner.sandbox.policy import Policy
from trio_runner.scheduling.outcome import Completed, Failed, WorkerDied

from .tasks import DAEMON, FREE_CONFIG, Events, job, result_of, watching

pytestmark = pytest.mark.process

REUSE = attrs.evolve(FREE_CONFIG, reuse=4)
PID = "import os\nreturn os.getpid()"


@pytest.fixture
async def executor() -> AsyncIterator[ProcessExecutor]:
    """An executor whose workers run up to four tasks, which may do their worst."""
    async with open_process_executor(REUSE) as opened:
        yield opened


async def kept(executor: Executor) -> bool:
    """Wait until all workers that have run a task have ended or wait for the next; tell whether one does."""
    pool: Any = executor
    with trio.fail_after(30):
        while pool._leaving:
            await pool._left.wait()
    return len(pool._kept) > 0


async def pids(executor: Executor, *workflows: str) -> list[int]:
    """Run tasks one after the other and return the process of each."""
    found = []
    for workflow in workflows:
        found.append(await result_of(executor, PID, workflowId=workflow))
        await kept(executor)
    return found


async def test_a_process_serves_one_workflow_and_so_many_tasks(executor: Executor) -> None:
    a, b, *others = await pids(executor, *"abaabbaa")
    assert a != b
    assert others[:5] == [a, a, b, b, a]
    assert others[5] not in (a, b), "four were the limit"


async def test_nothing_is_used_twice_by_default() -> None:
    assert ProcessExecutorConfig().reuse == 0
    async with open_process_executor(FREE_CONFIG) as executor:
        found = await pids(executor, *"aaaa")
        assert len(set(found)) == 4
        assert not await kept(executor)


async def test_behind_the_usual_walls_and_rules() -> None:
    config = ProcessExecutorConfig(policy=Policy(stdlib_allow=frozenset({"decimal"})), workers=1, reuse=3)
    async with open_process_executor(config) as executor:
        for _ in range(2):
            assert await result_of(executor, "import decimal\nreturn 1", workflowId="w") == 1
            assert await kept(executor)
        outcome = await executor.run(job("import os", workflowId="w"), Events())
        assert isinstance(outcome, Failed)
        assert outcome.kind == "policy"


@pytest.mark.parametrize(
    "code",
    [
        pytest.param("raise ValueError('no')", id="an error"),
        pytest.param("import sys\nsys.exit(1)", id="an exit that is an exception"),
    ],
)
async def test_an_error_does_not_end_the_process(executor: Executor, code: str) -> None:
    outcome = await executor.run(job(code, workflowId="w"), Events())
    assert isinstance(outcome, Failed)
    assert await kept(executor)


@pytest.mark.parametrize(
    "code",
    [
        pytest.param("import os\nos._exit(0)", id="the end of the process"),
        pytest.param("import ctypes\nctypes.string_at(0)", id="a crash"),
        pytest.param("import os, struct\nos.write(3, struct.pack('!BQ', 5, 1) + b'{')", id="no result"),
        pytest.param("import os\nos.write(3, b'x')\nreturn 1", id="a frame that is none"),
    ],
)
async def test_what_ends_the_process(executor: Executor, code: str) -> None:
    outcome = await executor.run(job(code, workflowId="w"), Events())
    assert isinstance(outcome, Failed | WorkerDied)
    assert not await kept(executor)


async def test_a_cancelled_task_ends_its_process(executor: Executor) -> None:
    (first,) = await pids(executor, "w")
    events = Events()
    with watching(first) as (process,):
        async with trio.open_nursery() as nursery:
            code = "import time\nprint('here')\nwhile True: time.sleep(1000)"
            nursery.start_soon(executor.run, job(code, workflowId="w"), events)
            await events.next_print()
            nursery.cancel_scope.cancel()
        assert process.is_dead()
    assert not await kept(executor)


async def test_a_daemon_does_not_outlive_its_task(executor: Executor) -> None:
    events = Events()
    outcome = await executor.run(job(DAEMON + "return 1", workflowId="w"), events)
    assert isinstance(outcome, Completed)
    assert not await kept(executor), "it has a pipe open"
    with pytest.raises(ProcessLookupError):
        os.kill(int(events.printed[0]), 0)


FORGE = """\
import struct
def frame(kind, payload):
    return struct.pack('!BQ', kind, len(payload)) + payload
FORGED = frame(2, b'{}') + frame(3, b'f' * 64 + b'program') + frame(5, b'"forged"')
"""


# What code can leave behind that writes to the runner later, and is neither a thread nor a process.
LATER = {
    "while it clears up": """\
class It:
    def __del__(self):
        os.write(3, FORGED)
it = It()
it.self = it
""",
    "while it looks around": """\
sys.addaudithook(lambda event, arguments: event == 'os.listdir' and os.write(3, FORGED))
""",
    "while it waits": """\
real = socket.socket.recv
def recv(self, *arguments):
    os.write(3, FORGED)
    return real(self, *arguments)
socket.socket.recv = recv
""",
    "in place of the next answer": """\
real = socket.socket.recv
def recv(self, *arguments):
    data = real(self, *arguments)
    os.write(3, FORGED)
    return data
socket.socket.recv = recv
""",
}


@pytest.mark.parametrize("when", LATER)
async def test_nothing_that_is_written_late_passes_for_another_task(executor: Executor, when: str) -> None:
    code = f"import os, socket, sys\n{FORGE}{LATER[when]}return 1"
    outcome = await executor.run(job(code, workflowId="w"), Events())
    assert isinstance(outcome, Completed)
    waits = await kept(executor)
    if "while it" in when:
        await trio.testing.wait_all_tasks_blocked(0.01)
    else:
        assert waits, "there is nothing to be seen of it yet"
    assert await result_of(executor, "return 'genuine'", workflowId="w") == "genuine"
    pool: Any = executor
    assert "f" * 64 not in pool._approvals._programs


async def test_a_second_task_cannot_vouch_for_code() -> None:
    # The first task has its process approve of whatever comes; other workflows must not profit.
    code = "import trio_runner.sandbox.task as task\ntask.analyse = lambda *_: []\nreturn 1"
    denied = "if not _items:\n    return 'approved of'\n().__class__.__subclasses__()"
    policy = Policy(external_allow=frozenset({"trio_runner"}))
    async with open_process_executor(attrs.evolve(REUSE, policy=policy, warm=0)) as executor:
        assert await result_of(executor, code, workflowId="w") == 1
        assert await kept(executor)
        assert await result_of(executor, denied, workflowId="w") == "approved of", "reuse weakens this"
        outcome = await executor.run(job(denied, workflowId="other"), Events())
        assert isinstance(outcome, Failed)
        assert outcome.kind == "policy"


async def test_programs_of_a_first_task_are_known_to_all(executor: Executor) -> None:
    await pids(executor, "w", "w")
    pool: Any = executor
    assert len(pool._approvals._programs) == 1


async def test_no_process_is_left_of_those_that_wait() -> None:
    async with open_process_executor(REUSE) as executor:
        found = await pids(executor, *"ab")
        assert executor.statistics().idle_workers >= 2
        with watching(*found) as processes:
            await executor.reload()
            for process in processes:
                await process.wait_dead()
        (last,) = await pids(executor, "a")
        held = os.pidfd_open(last)
    try:
        assert select.select([held], [], [], 0)[0]
    finally:
        os.close(held)
