"""Preloading and reloading with real zygotes, in an environment of the test's own."""

from __future__ import annotations

import dataclasses
import importlib.util
import os
import sys
import venv
from pathlib import Path

import attrs
import pytest
import trio
import trio.testing

from trio_runner.errors import ConfigError
from trio_runner.executor.config import ProcessExecutorConfig
from trio_runner.executor.contract import Executor
from trio_runner.executor.pool import open_process_executor
from trio_runner.protocol.raw_json import RawJson
from trio_runner.sandbox.policy import Policy
from trio_runner.scheduling.observer import Event, ExecutorTrouble
from trio_runner.scheduling.outcome import Completed, Failed

from .tasks import FREE, FREE_CONFIG, OPEN, Events, is_there, job, result_of, watching

pytestmark = pytest.mark.process


@attrs.define
class Environment:
    """An interpreter with packages of the test's own."""

    root: Path

    @property
    def python(self) -> str:
        """The path of the interpreter."""
        return str(self.root / "bin" / "python")

    def write(self, module: str, text: str) -> None:
        """Install a module, or another version of it."""
        (packages,) = self.root.glob("lib/python*/site-packages")
        (packages / f"{module}.py").write_text(text)

    def config(self, *preload: str, **changes: object) -> ProcessExecutorConfig:
        """Return a configuration that uses it."""
        config = ProcessExecutorConfig(
            policy=FREE, sandbox=OPEN, workers=2, python=self.python, preload=preload
        )
        return attrs.evolve(config, **changes)  # type: ignore[arg-type]


@pytest.fixture
def environment(tmp_path: Path) -> Environment:
    """An environment with one package in it."""
    venv.create(tmp_path / "env", symlinks=True, with_pip=False)
    made = Environment(tmp_path / "env")
    made.write("fake", "VERSION = 1")
    return made


class Troubles:
    """An observer that lets a test wait for troubles."""

    def __init__(self) -> None:
        self.seen: list[str] = []
        self._send, self.receive = trio.open_memory_channel[str](100)

    def observe(self, event: Event) -> None:
        """Be the observer."""
        if isinstance(event, ExecutorTrouble):
            self.seen.append(event.why)
            self._send.send_nowait(event.why)


async def taken_over(executor: Executor, first: int) -> int:
    """Wait until another zygote than `first` is in use, and return its process id."""
    with trio.fail_after(30):
        while (zygote := await result_of(executor, "import os\nreturn os.getppid()")) == first:
            pass
    assert isinstance(zygote, int)
    return zygote


WHERE = "import os, sys\nhere = 'fake' in sys.modules\nimport fake\nreturn [here, fake.VERSION, os.getppid()]"


async def test_a_module_is_there_before_the_task(environment: Environment) -> None:
    troubles = Troubles()
    async with open_process_executor(environment.config("fake"), observer=troubles) as executor:
        loaded, version, first = await result_of(executor, WHERE)
        with trio.fail_after(30):
            while not loaded:
                loaded, version, zygote = await result_of(executor, WHERE)
                assert loaded == (zygote != first)
        assert version == 1
        assert troubles.seen == []


async def test_tasks_do_not_wait_for_what_is_being_loaded(environment: Environment, tmp_path: Path) -> None:
    go = tmp_path / "go"
    environment.write("slow", f"import os, time\nwhile not os.path.exists({str(go)!r}): time.sleep(0.01)")
    async with open_process_executor(environment.config("slow")) as executor:
        first = await result_of(executor, "import os\nreturn os.getppid()")
        for _ in range(5):
            assert await result_of(executor, "import os\nreturn os.getppid()") == first
        go.touch()
        await taken_over(executor, first)
        assert await result_of(executor, "import sys\nreturn 'slow' in sys.modules")


async def test_modules_that_are_not_fit_are_left_out_and_told_of(environment: Environment) -> None:
    environment.write(
        "threads", "import threading, time\nthreading.Thread(target=time.sleep, args=(9,)).start()"
    )
    environment.write("failing", "raise RuntimeError('no licence')")
    environment.write("crashing", "import os\nos.abort()")
    troubles = Troubles()
    preload = ("threads", "missing", "fake", "failing", "crashing")
    async with open_process_executor(environment.config(*preload), observer=troubles) as executor:
        zygote = await taken_over(executor, await result_of(executor, "import os\nreturn os.getppid()"))
        seen = await result_of(executor, f"import sys\nreturn [name in sys.modules for name in {preload!r}]")
        assert seen == [False, False, True, False, False]
        assert "Threads:\t1\n" in await trio.Path(f"/proc/{zygote}/status").read_text()
    reasons = {
        why.split("'")[1]: why.split("the tasks: ")[1].split(". Tasks may")[0] for why in troubles.seen
    }
    assert reasons == {
        "threads": "its import starts 1 thread, which a fork would not have",
        "failing": "its import raised RuntimeError: no licence",
        "crashing": "its import ends the process: it was ended by SIGABRT",
        "missing": "it is not installed",
    }
    assert len(troubles.seen) == len(reasons)
    assert all("take it off the list" in why for why in troubles.seen)


@pytest.fixture
def clock() -> trio.testing.MockClock:
    """The clock of the system, but that a test can put forward."""
    return trio.testing.MockClock(rate=1.0)


async def test_an_import_that_takes_too_long_is_given_up(
    environment: Environment, clock: trio.testing.MockClock
) -> None:
    fifo = environment.root / "fifo"
    os.mkfifo(fifo)
    environment.write(
        "endless", f"import time\nopen({str(fifo)!r}, 'w').close()\nwhile True: time.sleep(100)"
    )
    troubles = Troubles()
    config = environment.config("endless", "fake", start_limit=20.0)
    async with open_process_executor(config, observer=troubles) as executor:
        first = await result_of(executor, "import os\nreturn os.getppid()")
        await trio.to_thread.run_sync(fifo.read_text)  # it is being loaded, which was told before
        await trio.testing.wait_all_tasks_blocked(0.01)
        clock.jump(20.0)
        await taken_over(executor, first)
        assert (await result_of(executor, WHERE))[0]
    assert ["'endless'" in why and "takes more than 20 seconds" in why for why in troubles.seen] == [True]


async def test_reloading_brings_new_versions_and_disturbs_no_task(environment: Environment) -> None:
    async with open_process_executor(environment.config("fake")) as executor:
        await taken_over(executor, await result_of(executor, "import os\nreturn os.getppid()"))
        _, version, old = await result_of(executor, WHERE)
        assert version == 1
        environment.write("fake", "VERSION = 22")
        events = Events()
        code = (
            "import fake, os\nprint('ready')\nos.read(os.open(_items[0]['json'], 0), 1)\nreturn fake.VERSION"
        )
        fifo = environment.root / "fifo"
        os.mkfifo(fifo)
        outcomes: list[object] = []

        async def run() -> None:
            outcomes.append(await executor.run(job(code, items=[{"json": str(fifo)}]), events))

        with watching(old) as (process,):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(run)
                await events.next_print()
                await executor.reload()
                loaded, version, new = await result_of(executor, WHERE)
                assert (loaded, version) == (True, 22)
                assert new != old
                assert not process.is_dead()
                await trio.to_thread.run_sync(fifo.write_text, "x")
            assert outcomes == [Completed(RawJson(b"1"))]
            await process.wait_dead()


async def test_a_reload_that_fails_changes_nothing(environment: Environment) -> None:
    async with open_process_executor(environment.config()) as executor:
        before = await result_of(executor, "import os\nreturn os.getppid()")
        await trio.Path(environment.python).unlink()
        with pytest.raises(ConfigError, match="cannot start"):
            await executor.reload()
        assert await result_of(executor, "import os\nreturn os.getppid()") == before


async def test_another_policy_is_that_of_later_tasks_and_running_ones_keep_theirs(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    config = FREE_CONFIG
    code = "import os\nprint('ready')\nos.read(os.open(_items[0]['json'], 0), 1)\nimport decimal\nreturn 1"
    outcomes: list[object] = []
    events = Events()
    async with open_process_executor(config) as executor, trio.open_nursery() as nursery:

        async def run() -> None:
            outcomes.append(await executor.run(job(code, items=[{"json": str(fifo)}]), events))

        nursery.start_soon(run)
        await events.next_print()
        strict = dataclasses.replace(FREE, stdlib_allow=frozenset({"json"}), external_allow=frozenset())
        await executor.reconfigure(attrs.evolve(config, policy=strict))
        refused = await executor.run(job("import decimal\nreturn 1"), Events())
        assert isinstance(refused, Failed)
        assert "'decimal' is disallowed" in refused.description
        await trio.to_thread.run_sync(fifo.write_text, "x")
    assert outcomes == [Completed(RawJson(b"1"))]


async def test_a_zygote_that_is_lost_is_followed_by_one_that_loads_again(environment: Environment) -> None:
    troubles = Troubles()
    async with open_process_executor(environment.config("fake"), observer=troubles) as executor:
        zygote = await taken_over(executor, await result_of(executor, "import os\nreturn os.getppid()"))
        await executor.run(job(f"import os\nos.kill({zygote}, 9)"), Events())
        assert "was lost" in await troubles.receive.receive()
        with trio.fail_after(30):
            while not (await result_of(executor, WHERE))[0]:
                pass
    assert len(troubles.seen) == 1


async def test_closing_in_the_middle_of_loading_leaves_nothing(
    environment: Environment, tmp_path: Path
) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    endless = f"import os\nopen({str(fifo)!r}, 'w').write(str(os.getpid()))\nwhile True: os.read(0, 0)"
    environment.write("endless", endless)
    async with (
        trio.open_nursery() as nursery,
        open_process_executor(environment.config("endless")) as executor,
    ):
        loading = int(await trio.to_thread.run_sync(fifo.read_text))
        with watching(loading) as (process,):
            assert not process.is_dead()
        ended = trio.Event()

        async def reload() -> None:
            with trio.CancelScope(shield=True), pytest.raises(trio.ClosedResourceError):
                await executor.reload()
            ended.set()

        nursery.start_soon(reload)
        await trio.testing.wait_all_tasks_blocked()
    await ended.wait()
    assert not is_there(loading)
    with pytest.raises(trio.ClosedResourceError):
        await executor.reload()


@pytest.mark.skipif(importlib.util.find_spec("numpy") is None, reason="numpy is not installed")
async def test_numpy_is_fit() -> None:
    troubles = Troubles()
    config = ProcessExecutorConfig(policy=FREE, sandbox=OPEN, workers=2, preload=("numpy",))
    async with open_process_executor(config, observer=troubles) as executor:
        await taken_over(executor, await result_of(executor, "import os\nreturn os.getppid()"))
        code = "import sys\nloaded = 'numpy' in sys.modules\n"
        code += "import numpy\nreturn [loaded, float(numpy.random.rand())]"
        first, second = [await result_of(executor, code) for _ in range(2)]
        assert first[0]
        assert first[1] != second[1]
    assert troubles.seen == []


@pytest.mark.parametrize("name", ["", "a b", "../x", "a..b", "1st", "x.py; y"])
def test_what_is_no_name_of_a_module(name: str) -> None:
    with pytest.raises(ConfigError, match="is no name of a module"):
        ProcessExecutorConfig(policy=Policy(), python=sys.executable, preload=(name,))
