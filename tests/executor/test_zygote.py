"""The runner's side of the control socket, with zygotes that are large, rude or mad."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import pytest
import trio
import trio.testing

from trio_runner.errors import ConfigError
from trio_runner.executor.config import ProcessExecutorConfig
from trio_runner.executor.pool import open_process_executor
from trio_runner.executor.worker import Worker
from trio_runner.executor.zygote import start_zygote
from trio_runner.sandbox.policy import Policy

from .tasks import is_there, let_time_pass, open_descriptors, result_of, watching

pytestmark = pytest.mark.process


def ignore(worker: Worker) -> None:
    """Take no note of an end."""


def nothing() -> None:
    """Do nothing about a lost zygote."""


def zygote_script(directory: Path, body: str) -> ProcessExecutorConfig:
    """Return a configuration whose interpreter runs `body` as its zygote; `channel` is its control socket."""
    path = directory / "python"
    begin = "import os, signal, socket, sys\nchannel = socket.socket(fileno=int(sys.argv[-1]))"
    path.write_text(f"#!{sys.executable} -I\n{begin}\n{body}\n")
    path.chmod(0o755)
    return ProcessExecutorConfig(python=str(path))


async def test_a_policy_larger_than_the_socket_buffer() -> None:
    policy = Policy(
        stdlib_allow=frozenset("*"), external_allow=frozenset("*"), environment=(("LARGE", "x" * 3_000_000),)
    )
    async with open_process_executor(ProcessExecutorConfig(policy=policy, workers=1)) as executor:
        assert await result_of(executor, "import os\nreturn len(os.environ['LARGE'])") == 3_000_000


async def test_a_zygote_that_says_something_else(tmp_path: Path) -> None:
    config = zygote_script(tmp_path, "channel.send(b'hello?\\n'); channel.recv(1)")
    before = open_descriptors()
    with pytest.raises(ConfigError, match="cannot run tasks: not a control message: b'hello\\?'"):
        await start_zygote(config, ignore)
    assert open_descriptors() == before


async def test_a_zygote_that_hangs_up_but_stays(tmp_path: Path, mock_clock: trio.testing.MockClock) -> None:
    os.mkfifo(tmp_path / "pid")
    config = zygote_script(
        tmp_path, f"channel.close(); print(os.getpid(), file=open('{tmp_path}/pid', 'w')); signal.pause()"
    )
    pids: list[str] = []

    async def let_time_pass_once_it_has_hung_up() -> None:
        pids.append((await trio.Path(tmp_path / "pid").read_text()).strip())
        await let_time_pass(mock_clock, config.start_limit)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(let_time_pass_once_it_has_hung_up)
        with pytest.raises(ConfigError, match=f"was not ready within {config.start_limit:g} seconds"):
            await start_zygote(config, ignore)
        nursery.cancel_scope.cancel()
    assert not is_there(pids[0])


async def test_after_a_stop_of_this_process_the_zygote_gets_time_to_answer(
    mock_clock: trio.testing.MockClock,
) -> None:
    zygote = await start_zygote(ProcessExecutorConfig(), ignore)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(zygote.serve, nothing)
        os.kill(zygote.pid, signal.SIGSTOP)
        (worker,) = zygote.fork()
        await trio.testing.wait_all_tasks_blocked()
        mock_clock.jump(60)  # as if everything had been stopped for a minute
        await trio.testing.wait_all_tasks_blocked()
        assert zygote.lost == ""
        os.kill(zygote.pid, signal.SIGCONT)
        worker.kill()
        await worker.ended.wait()
        assert worker.pid is not None
        assert zygote.alive
        worker.release()
        nursery.cancel_scope.cancel()


async def test_a_worker_that_has_done_its_task_is_hung_up_on_and_killed_only_if_it_stays(
    mock_clock: trio.testing.MockClock,
) -> None:
    zygote = await start_zygote(ProcessExecutorConfig(), ignore)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(zygote.serve, nothing)
        ending, staying = zygote.fork(2)
        (last,) = zygote.fork(1)
        last.kill()
        await last.ended.wait()  # then the others have been born
        assert staying.pid is not None
        os.kill(staying.pid, signal.SIGSTOP)
        for worker in (ending, staying):
            worker.retire()
        mock_clock.jump(0.005)
        await ending.ended.wait()
        await trio.testing.wait_all_tasks_blocked(0.05)
        assert not staying.ended.is_set()
        mock_clock.jump(0.3)
        await staying.ended.wait()
        assert (ending.exit_code, staying.exit_code) == (0, -signal.SIGKILL)
        for worker in (ending, staying, last):
            worker.release()
        nursery.cancel_scope.cancel()


async def test_its_end_is_known_as_it_was() -> None:
    zygote = await start_zygote(ProcessExecutorConfig(), ignore)
    assert {"no-new-privileges", "no-core-dumps", "limits"} <= set(zygote.walls)
    workers = zygote.fork(3)
    with watching(zygote.pid) as (process,):
        os.kill(zygote.pid, signal.SIGKILL)
        await zygote.serve(nothing)
        assert process.is_dead()
    assert zygote.lost == "it was ended by SIGKILL"
    assert not zygote.alive
    for worker in workers:
        assert worker.ended.is_set()
        assert worker.exit_code is None
        assert worker.epitaph == "The process that forks the workers was lost (it was ended by SIGKILL)."
        worker.release()
