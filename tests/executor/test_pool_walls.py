"""Processes behind all walls: nothing outlives its task, and a machine that lacks walls is told of.

The other tests of the pool run without walls, which is how it is where nothing is permitted.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import attrs
import pytest
import trio

from trio_runner.errors import SandboxError
from trio_runner.executor.pool import ProcessExecutorConfig, open_process_executor
from trio_runner.sandbox.config import Limits, SandboxConfig
from trio_runner.sandbox.walls.kernel import MACHINE
from trio_runner.scheduling.observer import Event, WallsMissing
from trio_runner.scheduling.outcome import WorkerDied

from .tasks import DAEMON, FREE, children_of, job, result_of, watching

pytestmark = [pytest.mark.process, pytest.mark.skipif(not MACHINE, reason="Linux on x86-64 or arm64")]

WALLED = ProcessExecutorConfig(policy=FREE, workers=2, warm=1)

# A runner that tells its descendants' process ids once its task runs.
_RUNNER = """\
import os, sys, trio
from pathlib import Path
from trio_runner.executor.contract import Job
from trio_runner.executor.pool import ProcessExecutorConfig, open_process_executor
from trio_runner.protocol.raw_json import RawJson
from trio_runner.sandbox.policy import Policy

def below(pid):
    try:
        children = [child for task in Path(f'/proc/{pid}/task').iterdir()
                    for child in (task / 'children').read_text().split()]
    except OSError:  # it has ended meanwhile
        return
    for child in children:
        yield child
        yield from below(child)

def tell(event):
    if getattr(event, 'text', ''):
        print(*below(os.getpid()), flush=True)

async def main():
    star = frozenset('*')
    policy = Policy(stdlib_allow=star, external_allow=star, builtins_deny=frozenset())
    async with open_process_executor(ProcessExecutorConfig(policy=policy, workers=2)) as executor:
        code = sys.stdin.read()
        await executor.run(Job('t', 'python', RawJson.of(
            {'code': code, 'nodeMode': 'runOnceForAllItems', 'items': []})), tell)

trio.run(main)
"""
# What a machine is that permits nothing: the filter is there before the runner is.
_POOR = """\
import os, sys
sys.path.append(sys.argv[1])
from trio_runner.sandbox.walls import basics, seccomp
basics.forbid_new_privileges()
seccomp.install(seccomp.refuse_only('unshare', 'mount', 'landlock_create_ruleset'))
import trio
from trio_runner.errors import SandboxError
from trio_runner.executor.pool import ProcessExecutorConfig, open_process_executor
from trio_runner.executor.contract import Job
from trio_runner.protocol.raw_json import RawJson
from trio_runner.sandbox.config import SandboxConfig

class Told:
    def observe(self, event):
        if type(event).__name__ == 'WallsMissing':
            print(event, flush=True)

async def main(sandbox):
    config = ProcessExecutorConfig(workers=1, sandbox=sandbox)
    async with open_process_executor(config, observer=Told()) as executor:
        print(await executor.run(Job('t', 'python', RawJson.of(
            {'code': 'return 7', 'nodeMode': 'runOnceForAllItems', 'items': []})), lambda event: None))

trio.run(main, SandboxConfig())
for refusing in (SandboxConfig(strictness='required'), SandboxConfig(profile='trusted')):
    try:
        trio.run(main, refusing)
    except SandboxError as error:
        print(error)
"""


class Told:
    """Keeps what is told of missing walls."""

    def __init__(self) -> None:
        self.missing: list[str] = []

    def observe(self, event: Event) -> None:
        """Keep it."""
        if isinstance(event, WallsMissing):
            self.missing += event.walls


async def test_a_daemon_ends_with_its_task_and_the_next_task_is_alone() -> None:
    async with open_process_executor(WALLED) as executor:
        await result_of(executor, DAEMON)
        if "pid-namespace" not in executor._supply.current.walls:  # type: ignore[attr-defined]
            pytest.skip("no PID namespaces here")
        for _ in range(4):
            seen = await result_of(
                executor, "import os\nreturn sorted(name for name in os.listdir('/proc') if name.isdecimal())"
            )
            assert len(seen) == 2  # itself, and the keeper of its cell


async def test_the_zygote_is_a_child_of_the_runner_and_all_cells_end_with_it() -> None:
    me = os.getpid()
    async with open_process_executor(WALLED) as executor:
        assert await result_of(executor, "return 1") == 1
        zygote = executor._supply.current  # type: ignore[attr-defined]
        if "pid-namespace" not in zygote.walls:
            pytest.skip("no PID namespaces here")
        assert zygote.pid in children_of(me)
        assert zygote._spawned.started.pid not in children_of(me)  # it has ended and was waited for
        below = children_of(zygote.pid)
        assert below  # keepers and workers
        with watching(zygote.pid, *below, some_may_be_gone=True) as processes:
            os.kill(zygote.pid, signal.SIGKILL)
            for process in processes:
                await process.wait_dead()
        assert await result_of(executor, "return 2") == 2
        assert "ended by SIGKILL" in zygote.lost
        successor = executor._supply.current.pid  # type: ignore[attr-defined]
    assert not {zygote.pid, successor} & set(children_of(me))


async def test_tasks_leave_nothing_to_the_next() -> None:
    code = "import os\nbefore = os.listdir('.')\nopen('left', 'w').close()\nreturn before"
    async with open_process_executor(WALLED) as executor:
        assert [await result_of(executor, code) for _ in range(4)] == [[]] * 4


async def test_a_task_whose_processes_use_up_memory_together_ends_and_the_limit_is_named() -> None:
    code = """
import os, time
reader, writer = os.pipe()
for _ in range(4):
    if os.fork() == 0:
        try:
            data = bytearray(80 * 1024**2)
            data[::4096] = b'x' * len(range(0, len(data), 4096))
            os.write(writer, b'x')
            time.sleep(1000)
        finally:
            os._exit(0)
os.close(writer)
while os.read(reader, 1): pass
"""
    sandbox = SandboxConfig(limits=Limits(memory=192 * 1024**2))
    async with open_process_executor(attrs.evolve(WALLED, sandbox=sandbox)) as executor:
        assert await result_of(executor, "return 1") == 1
        if "cgroup" not in executor._supply.current.walls:  # type: ignore[attr-defined]
            pytest.skip("no control groups are delegated here")
        async with trio.open_nursery() as nursery:
            neighbour: list[object] = []

            async def live() -> None:
                neighbour.append(await result_of(executor, "import time\ntime.sleep(0.3)\nreturn 'well'"))

            nursery.start_soon(live)
            outcome = await executor.run(job(code), lambda event: None)
        assert outcome == WorkerDied(
            -9,
            "The code and the processes it started used more memory than they may.\n"
            "The limit for memory is 192 MiB (TRIO_RUNNER_TASK_MEMORY).",
            "memory",
        )
        assert neighbour == ["well"]
        # What comes after it in the same group is not blamed.
        killed = "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)"
        for _ in range(4):
            outcome = await executor.run(job(killed), lambda event: None)
            assert isinstance(outcome, WorkerDied)
            assert "memory than" not in outcome.description


async def test_a_runner_that_is_killed_leaves_nothing() -> None:
    code = DAEMON + "import time\nprint('up')\nwhile True: time.sleep(1000)\n"
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
        pids = said.decode().splitlines()[1].split()
        assert len(pids) >= 3  # the zygote, the worker, the daemon, and what keeps them
        with watching(*pids, some_may_be_gone=True) as processes:  # such as what tried the walls
            assert len(processes) >= 3
            process.kill()
            for left in processes:
                await left.wait_dead()
    await process.wait()


async def test_a_machine_without_walls_is_told_of_and_refused_where_they_are_required() -> None:
    root = str(Path(__file__).parents[2])
    output = await trio.run_process([sys.executable, "-c", _POOR, root], capture_stdout=True)
    assert output.stdout is not None
    told, result, required, trusted = output.stdout.decode().splitlines()
    assert told.startswith("WallsMissing(walls=(")
    for wall in ("mount-namespace", "pid-namespace", "landlock"):
        assert wall in told
    assert result == "Completed(result=RawJson(1 bytes))"
    assert required.startswith("sandbox required: this machine lacks ")
    assert trusted.startswith("sandbox profile trusted: it has no language rules, and ")


async def test_trusted_code_has_classes_and_programs() -> None:
    code = """
import subprocess, sys
class Thing:
    value = getattr(subprocess, 'PIPE')
done = subprocess.run([sys.executable, '-I', '-c', 'print(6 * 7)'], capture_output=True)
return [Thing().value, done.stdout.decode()]
"""
    config = ProcessExecutorConfig(workers=1, sandbox=SandboxConfig(profile="trusted"))
    try:
        async with open_process_executor(config) as executor:
            assert await result_of(executor, code) == [-1, "42\n"]
    except SandboxError as error:
        pytest.skip(str(error))
