"""Tasks in real processes: what they return, what they see, and what they cannot do to the runner."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import pytest
import trio
import trio.testing

from trio_runner.errors import ConfigError
from trio_runner.executor.contract import Executor
from trio_runner.executor.pool import ProcessExecutorConfig, open_process_executor
from trio_runner.protocol.raw_json import RawJson
from trio_runner.sandbox.policy import Policy
from trio_runner.scheduling.outcome import Completed, Failed, WorkerDied

from .tasks import (
    FREE,
    FREE_CONFIG,
    OPEN,
    Events,
    children_of,
    is_there,
    job,
    let_time_pass,
    open_descriptors,
    result_of,
    state_of,
    wait_removed,
    watching,
    zygote_at_rest,
)

pytestmark = pytest.mark.process


@pytest.fixture
async def executor() -> AsyncIterator[Executor]:
    """An executor whose tasks may do their worst."""
    async with open_process_executor(FREE_CONFIG) as opened:
        yield opened


# --- results ----------------------------------------------------------------------------------------


async def test_prints_arrive_while_the_task_runs(executor: Executor, tmp_path: Path) -> None:
    seen = tmp_path / "seen"
    code = f"""\
import os, time
print('before')
while not os.path.exists({str(seen)!r}):
    time.sleep(0.005)
return 'seen'
"""
    events, outcomes = Events(), []

    async def run() -> None:
        outcomes.append(await executor.run(job(code), events))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(run)
        assert await events.next_print() == "before"
        assert outcomes == []
        seen.touch()
    assert outcomes == [Completed(RawJson(b'"seen"'))]


async def test_64_mebibytes_in_and_out(executor: Executor) -> None:
    text = "x" * (64 * 1024**2)
    outcome = await executor.run(job("return _items[0]['json']", items=[{"json": text}]), Events())
    assert isinstance(outcome, Completed)
    assert outcome.result.data == b'"' + text.encode() + b'"'


async def test_twenty_tasks_at_once(executor: Executor, tmp_path: Path) -> None:
    go = tmp_path / "go"
    code = f"""\
import os, time
print('waiting')
while not os.path.exists({str(go)!r}):
    time.sleep(0.005)
return os.getpid()
"""
    pids = []

    async def run(events: Events) -> None:
        outcome = await executor.run(job(code), events)
        assert isinstance(outcome, Completed)
        pids.append(outcome.result.decode())

    everyone = [Events() for _ in range(20)]
    async with trio.open_nursery() as nursery:
        for events in everyone:
            nursery.start_soon(run, events)
        for events in everyone:
            await events.next_print()
        assert executor.statistics().running == 20
        go.touch()
    assert len(set(pids)) == 20


async def test_the_result_limit_of_the_executor() -> None:
    async with open_process_executor(ProcessExecutorConfig(max_payload=1000, workers=1)) as executor:
        outcome = await executor.run(job("return 'x' * 999"), Events())
        assert isinstance(outcome, Failed)
        assert (outcome.message, outcome.kind) == (
            "Result is too large: 1001 bytes of JSON, the limit is 1000",
            "result",
        )
        assert await result_of(executor, "return 'x' * 998") == "x" * 998


async def test_a_known_analysis_is_known_to_later_workers() -> None:
    config = ProcessExecutorConfig(policy=Policy(stdlib_allow=frozenset({"math"})), workers=1)
    async with open_process_executor(config) as executor:
        for _ in range(4):
            assert await result_of(executor, "import math\nreturn math.floor(1.5)") == 1
        assert await result_of(executor, "return 2") == 2
        outcome = await executor.run(job("import os\nreturn os.getpid()"), Events())
        assert isinstance(outcome, Failed)
        assert outcome.kind == "policy"


# --- fresh state ------------------------------------------------------------------------------------


async def test_nothing_of_a_task_is_left_for_the_next(executor: Executor) -> None:
    code = """\
import builtins, json, os, sys
seen = [hasattr(json, 'mine'), 'mine' in sys.modules, hasattr(builtins, 'mine'), dict(os.environ)]
seen.append(os.listdir())
json.mine = builtins.mine = sys.modules['mine'] = json
os.environ['MINE'] = '1'
open('mine', 'w').close()
os.chdir('/')
return seen
"""
    for _ in range(4):
        assert await result_of(executor, code) == [False, False, False, {}, []]


async def test_every_task_draws_its_own_random_numbers(executor: Executor) -> None:
    code = "import random, uuid\nreturn [random.random(), str(uuid.uuid4())]"
    drawn = [await result_of(executor, code) for _ in range(5)]
    assert len({number for number, _ in drawn}) == 5
    assert len({identifier for _, identifier in drawn}) == 5


async def test_every_task_has_a_private_empty_directory(executor: Executor, tmp_path: Path) -> None:
    go = tmp_path / "go"
    code = f"""\
import os, stat, tempfile, time
here = os.getcwd()
print('here')
while not os.path.exists({str(go)!r}):
    time.sleep(0.005)
return [here, stat.S_IMODE(os.stat(here).st_mode), os.listdir(), tempfile.gettempdir() == here]
"""
    found = []

    async def run(events: Events) -> None:
        outcome = await executor.run(job(code), events)
        assert isinstance(outcome, Completed)
        found.append(outcome.result.decode())

    both = Events(), Events()
    async with trio.open_nursery() as nursery:
        for events in both:
            nursery.start_soon(run, events)
        for events in both:
            await events.next_print()
        go.touch()  # only now: a directory that was left untouched is used again
    first, second = found
    assert first[1:] == second[1:] == [0o700, [], True]
    assert first[0] != second[0]


async def test_files_are_removed_behind_a_task(executor: Executor) -> None:
    code = """\
import os
here = os.getcwd()
for depth in range(300):
    os.mkdir('deep' * 10)
    os.chdir('deep' * 10)
open('file', 'w').close()
os.chmod('.', 0)
return here
"""
    await wait_removed(Path(await result_of(executor, code)))


async def test_no_directory_outlives_the_executor() -> None:
    async with open_process_executor(FREE_CONFIG) as executor:
        root = Path(
            await result_of(executor, "import os\nopen('mine', 'w').close()\nreturn os.getcwd()")
        ).parent
        assert root.is_dir()
    assert not root.exists()


async def test_the_tokens_are_out_of_reach(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("N8N_RUNNERS_AUTH_TOKEN", "very-secret")
    code = """\
import os
seen = [str(dict(os.environ))]
for process in ('self', os.getppid()):
    for name in ('environ', 'cmdline'):
        seen.append(open(f'/proc/{process}/{name}').read())
return ''.join(seen)
"""
    async with open_process_executor(FREE_CONFIG) as executor:
        seen = await result_of(executor, code)
    assert "very-secret" not in seen
    assert "N8N" not in seen


async def test_an_environment_that_is_let_through_still_sends_files_to_the_scratch_directory() -> None:
    policy = Policy(
        stdlib_allow=frozenset("*"),
        external_allow=frozenset("*"),
        environment=(("COLOUR", "blue"), ("HOME", "/root"), ("TMPDIR", "/var")),
    )
    async with open_process_executor(
        ProcessExecutorConfig(policy=policy, sandbox=OPEN, workers=1)
    ) as executor:
        environment, here = await result_of(executor, "import os\nreturn [dict(os.environ), os.getcwd()]")
    assert environment == {"COLOUR": "blue", "HOME": here, "TMPDIR": here}


async def test_a_worker_is_a_process_of_its_own(executor: Executor) -> None:
    code = """\
import os, signal, threading
leader = os.getsid(0) == os.getpid()
streams = [os.readlink(f'/proc/self/fd/{number}') for number in (0, 1)]
descriptors = sorted(map(int, os.listdir('/proc/self/fd')))
default = signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
return [leader, threading.active_count(), default, streams, descriptors]
"""
    # The standard three, the socket, and the directory that is being listed.
    assert await result_of(executor, code) == [True, 1, True, ["/dev/null", "/dev/null"], [0, 1, 2, 3, 4]]


async def test_the_zygote_holds_nothing_of_the_runner(executor: Executor) -> None:
    code = """\
import os, sys
ours = ('trio', 'attr', 'attrs', 'msgspec', 'cattrs', 'click')
return [os.getppid(), [name for name in sys.modules if name.split('.')[0] in ours]]
"""
    zygote, modules = await result_of(executor, code)
    assert modules == []
    assert "Threads:\t1\n" in await trio.Path(f"/proc/{zygote}/status").read_text()
    await zygote_at_rest(executor)
    # Standard streams, control socket, the two ends of the wakeup pipe, the lock on the directory.
    assert open_descriptors(zygote) == 7


# --- what code can do to the connection -------------------------------------------------------------

GARBAGE = """\
import os
for descriptor in range(3, 64):
    try: os.write(descriptor, {data})
    except OSError: pass
"""


@pytest.mark.parametrize(
    ("data", "rest", "why"),
    [
        (r"b'\xff' * 10_000_000", "", "unknown kind 255"),
        (r"b'\x04' + b'\x10' + bytes(7)", "return 1", "PRINTED of 1152921504606846976 bytes"),
        (r"b'\x02' + bytes(7) + b'\x02{}'", "return 1", "STARTED while"),
        (
            r"(b'\x04' + bytes(7) + b'\x1c' + b'{\"params\":[], \"text\":\"hey\"} ') * 500",
            "",
            "more than 101",
        ),
    ],
)
async def test_garbage_on_the_connection_ends_the_task(
    executor: Executor, data: str, rest: str, why: str
) -> None:
    outcome = await executor.run(job(GARBAGE.format(data=data) + rest), Events())
    assert isinstance(outcome, Failed)
    assert outcome.message == "Task broke the connection to its runner"
    assert why in outcome.description
    assert await result_of(executor, "return 'next'") == "next"


async def test_half_a_frame_that_never_ends_can_be_cancelled(executor: Executor) -> None:
    events = Events()
    code = "print('on its way')\n" + GARBAGE.format(data=r"b'\x05' + bytes(4) + b'\x01' + bytes(3)")
    with trio.CancelScope() as scope:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(executor.run, job(code + "import time\nwhile True: time.sleep(1000)"), events)
            await events.next_print()
            scope.cancel()
    assert scope.cancelled_caught


async def test_a_forged_result_is_the_tasks_own_business(executor: Executor) -> None:
    code = (
        "import os\nprint(os.getpid())\n"
        + GARBAGE.format(data=r"b'\x05' + bytes(7) + b'\x01' + b'7' + b'\x05garbage'")
        + "import time\ntime.sleep(1000)"
    )
    events = Events()
    assert await executor.run(job(code), events) == Completed(RawJson(b"7"))
    with suppress(ProcessLookupError), watching(events.printed[0]) as (worker,):
        await worker.wait_dead()  # it does not end by itself, and is not waited for


async def test_closing_the_connection_ends_the_task(executor: Executor) -> None:
    code = "import os\nprint(os.getpid())\nos.closerange(3, 64)\nwhile True: pass"
    events = Events()
    outcome = await executor.run(job(code), events)
    assert isinstance(outcome, WorkerDied)
    assert outcome.description == "The code closed its connection to the runner and was stopped."
    assert not is_there(events.printed[0])


async def test_a_child_that_keeps_the_connection_open_does_not_keep_the_task_alive(
    executor: Executor,
) -> None:
    code = """\
import os, time
if os.fork() == 0:
    os.setsid()
    while True: time.sleep(1000)
os._exit(7)
"""
    outcome = await executor.run(job(code), Events())
    assert isinstance(outcome, WorkerDied)
    assert outcome.exit_code == 7


async def test_writing_to_the_standard_descriptors_does_no_harm(executor: Executor) -> None:
    code = "import os\nfor _ in range(100):\n    os.write(1, bytes(100_000))\n"
    assert await result_of(executor, code + "return os.write(2, b'noise')") == 5


# --- counting ---------------------------------------------------------------------------------------


async def test_several_hundred_tasks_leave_nothing(executor: Executor) -> None:
    async def run_some(count: int) -> None:
        for _ in range(count):
            await result_of(executor, "return 1")

    zygote = await result_of(executor, "import os\nreturn os.getppid()")
    await zygote_at_rest(executor)
    before = open_descriptors(), open_descriptors(zygote)
    async with trio.open_nursery() as nursery:
        for _ in range(4):
            nursery.start_soon(run_some, 75)
    await zygote_at_rest(executor)
    assert [state_of(child) for child in children_of(zygote)].count("Z") == 0
    assert len(children_of(zygote)) == FREE_CONFIG.warm_workers
    assert (open_descriptors(), open_descriptors(zygote)) == before
    assert executor.statistics().started == 301
    assert executor.statistics().worker_deaths == 0


# --- opening and closing ----------------------------------------------------------------------------


async def test_what_the_caller_raises_leaves_as_it_was() -> None:
    with pytest.raises(LookupError, match="mine"):
        async with open_process_executor(FREE_CONFIG):
            raise LookupError("mine")


async def test_leaving_kills_what_runs() -> None:
    events = Events()
    async with trio.open_nursery() as nursery:
        async with open_process_executor(FREE_CONFIG) as executor:

            async def run() -> None:
                with trio.CancelScope(shield=True):
                    outcome = await executor.run(
                        job("import os\nprint(os.getpid(), os.getppid())\nwhile True: pass"), events
                    )
                assert isinstance(outcome, WorkerDied)

            nursery.start_soon(run)
            pids = (await events.next_print()).split()
        assert not any(is_there(pid) for pid in pids)
        with pytest.raises(trio.ClosedResourceError):
            await executor.run(job("return 1"), Events())


async def test_an_interpreter_that_is_not_there() -> None:
    with pytest.raises(ConfigError, match="python: cannot start '/nowhere/python': No such file"):
        async with open_process_executor(ProcessExecutorConfig(python="/nowhere/python")):
            raise AssertionError


async def test_an_interpreter_that_ends_at_once(tmp_path: Path) -> None:
    python = _script(tmp_path, "echo 'bad news' >&2; exit 1")
    with pytest.raises(ConfigError, match="cannot run tasks: bad news"):
        async with open_process_executor(ProcessExecutorConfig(python=python)):
            raise AssertionError


async def test_an_interpreter_that_never_answers(tmp_path: Path, mock_clock: trio.testing.MockClock) -> None:
    os.mkfifo(tmp_path / "pid")
    python = _script(tmp_path, f"echo $$ > {tmp_path}/pid; exec sleep 1000 <&-")
    pids: list[str] = []

    async def let_time_pass_once_started() -> None:
        pids.append((await trio.Path(tmp_path / "pid").read_text()).strip())
        await let_time_pass(mock_clock, 20)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(let_time_pass_once_started)
        with pytest.raises(ConfigError, match=r"was not ready within 20 seconds"):
            async with open_process_executor(ProcessExecutorConfig(python=python, start_limit=20)):
                raise AssertionError
        nursery.cancel_scope.cancel()
    assert not is_there(pids[0])


async def test_opening_can_be_cancelled(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pid")
    python = _script(tmp_path, f"echo $$ > {tmp_path}/pid; exec sleep 1000")

    async def cancel_once_started(scope: trio.CancelScope) -> None:
        pids.append((await trio.Path(tmp_path / "pid").read_text()).strip())
        scope.cancel()

    pids: list[str] = []
    with trio.CancelScope() as scope:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(cancel_once_started, scope)
            async with open_process_executor(ProcessExecutorConfig(python=python)):
                raise AssertionError
    assert scope.cancelled_caught
    assert not is_there(pids[0])


def _script(directory: Path, body: str) -> str:
    path = directory / "python"
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return str(path)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"workers": 0}, "workers must be at least 1"),
        ({"warm": -1}, "warm must be at least 0"),
        ({"max_payload": 0}, "max_payload must be at least 1 byte"),
        ({"start_limit": 0.0}, "start_limit must be more than 0"),
    ],
)
def test_numbers_out_of_range(settings: dict[str, float], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        ProcessExecutorConfig(**settings)  # type: ignore[arg-type]


async def test_without_warm_workers() -> None:
    async with open_process_executor(ProcessExecutorConfig(policy=FREE, sandbox=OPEN, warm=0)) as executor:
        assert await result_of(executor, "return 1") == 1
        assert executor.statistics().idle_workers == 0
