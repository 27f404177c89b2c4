"""``trio-runner submit`` as a person starts it, with a real broker and a real runner."""

from __future__ import annotations

import json
import math
import os
import shlex
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import attrs
import pytest
import trio

from trio_runner.broker.config import BrokerConfig
from trio_runner.broker.serve import BrokerHandle, serve_broker
from trio_runner.executor.handlers import HandlerTask
from trio_runner.runner.config import RunnerConfig
from trio_runner.runner.serve import serve_runner
from trio_runner.scheduling.observer import TaskEnded, TaskPrinted
from trio_runner.testing import RecordingObserver

SECRET = "hush-hush"
LIMIT = 60.0  # seconds in which anything here ends, even on a busy machine

pytestmark = [pytest.mark.process, pytest.mark.timeout(2 * LIMIT)]


@attrs.frozen
class Ended:
    """How a call of the command ended."""

    code: int
    out: str
    err: str


class Place:
    """A broker with a runner or without, and a shell in a directory of its own."""

    def __init__(self, url: str, folder: Path, observer: RecordingObserver) -> None:
        self.folder = folder
        self.observer = observer
        self.write("secret", f"{SECRET}\n")
        self.environ = {
            "PATH": os.environ["PATH"],
            "LC_ALL": "C.UTF-8",
            "N8N_RUNNERS_TASK_BROKER_URI": url,
            "N8N_RUNNERS_AUTH_TOKEN_FILE": "secret",
        }

    def write(self, name: str, text: str) -> None:
        """Write a file."""
        (self.folder / name).write_text(text, encoding="utf-8")

    def command(self, *arguments: str) -> list[str]:
        """Return the command line."""
        return [sys.executable, "-I", "-m", "trio_runner", "submit", *arguments]

    async def submit(self, *arguments: str, text: str = "") -> Ended:
        """Run the command to its end, feeding it a text."""
        return await self.run(self.command(*arguments), text=text)

    async def run(self, command: list[str], *, text: str = "") -> Ended:
        """Run a command to its end, feeding it a text."""
        with trio.fail_after(LIMIT):
            ended = await trio.run_process(
                command,
                stdin=text.encode(),
                capture_stdout=True,
                capture_stderr=True,
                check=False,
                cwd=self.folder,
                env=self.environ,
            )
        return Ended(ended.returncode, ended.stdout.decode(), ended.stderr.decode())


async def reserve(task: HandlerTask) -> object:
    """Handle a task of the application's own type."""
    task.print("reserving", task.settings["count"])
    await trio.lowlevel.checkpoint()
    return {"left": 10 - task.settings["count"]}


@asynccontextmanager
async def place(folder: Path, *, runner: bool = True, request_timeout: float = 60) -> AsyncIterator[Place]:
    observer = RecordingObserver()
    async with trio.open_nursery() as nursery:
        config = BrokerConfig(
            port=0, auth_token=SECRET, request_timeout=request_timeout, requests_per_second=math.inf
        )
        broker: BrokerHandle = await nursery.start(serve_broker, config)
        if runner:
            runner_config = RunnerConfig(brokers=(broker.url,), auth_token=SECRET, max_concurrency=2)
            serve = partial(serve_runner, runner_config, handlers={"reserve": reserve}, observer=observer)
            await nursery.start(serve)
        yield Place(broker.url, folder, observer)
        nursery.cancel_scope.cancel()


async def test_results_go_to_stdout_and_prints_to_stderr(tmp_path: Path) -> None:
    async with place(tmp_path) as here:
        assert await here.submit(
            "-c", "print('half', 'of it', 3.5)\nreturn {'answer': 42, 'ä': 'é'}"
        ) == Ended(0, '{"answer":42,"ä":"é"}\n', "half of it 3.5\n")


async def test_rows_of_a_csv_file_split_over_tasks(tmp_path: Path) -> None:
    async with place(tmp_path) as here:
        here.write("rows.csv", "name,n\n" + "".join(f"row {number},{number}\n" for number in range(25)))
        here.write("double.py", "row = _item['json']\nreturn {'name': row['name'], 'n': 2 * int(row['n'])}\n")
        ended = await here.submit(
            "double.py",
            "--items",
            "rows.csv",
            "--mode",
            "each",
            "--split",
            "4",
            "--parallel",
            "3",
            "-o",
            "jsonl",
        )
        assert (ended.code, ended.err) == (0, "")
        lines = [json.loads(line) for line in ended.out.splitlines()]
        assert [line["json"] for line in lines] == [{"name": f"row {n}", "n": 2 * n} for n in range(25)]
        assert [line["pairedItem"]["item"] for line in lines] == list(range(25))


async def test_items_and_code_from_standard_input(tmp_path: Path) -> None:
    async with place(tmp_path) as here:
        ended = await here.submit(
            "-c", "return [item['json'] for item in _items]", "-i", "-", text='{"a": 1}\n{"a": 2}\n'
        )
        assert (ended.code, ended.out) == (0, '[{"a":1},{"a":2}]\n')
        ended = await here.submit("-", "--query", "who?", text="return _query\n")
        assert (ended.code, ended.out) == (0, '"who?"\n')


async def test_a_failing_task_shows_the_persons_own_line(tmp_path: Path) -> None:
    async with place(tmp_path) as here:
        here.write(
            "total.py", "total = 0\nfor item in _items:\n    total += float(item['json'])\nreturn total\n"
        )
        here.write("items.json", '["1.5", "n/a"]')
        ended = await here.submit("total.py", "--items", "items.json")
        assert (ended.code, ended.out) == (1, "")
        lines = ended.err.splitlines()
        assert lines[0] == "Error: could not convert string to float: 'n/a'"
        assert "  total.py, line 3" in lines
        assert "  > 3 |     total += float(item['json'])" in lines
        assert "Traceback" not in ended.err


async def test_a_failure_may_become_a_result(tmp_path: Path) -> None:
    async with place(tmp_path) as here:
        ended = await here.submit("-c", "return 1 / 0", "--continue-on-fail")
        assert ended == Ended(0, '[{"json":{"error":"division by zero"}}]\n', "")


async def test_tasks_for_a_handler(tmp_path: Path) -> None:
    async with place(tmp_path) as here:
        here.write("settings.json", '{"count": 3}')
        ended = await here.submit("--task-type", "reserve", "--settings", "settings.json")
        assert ended == Ended(0, '{"left":7}\n', "reserving 3\n")


@pytest.mark.parametrize(
    ("arguments", "code", "complaint"),
    [
        (["--bogus"], 2, "No such option"),
        ([], 2, "no code: name a FILE"),
        (["missing.py"], 2, "missing.py: cannot be read: No such file or directory"),
        (["-c", "return 1", "--split", "0"], 2, "--split"),
        (["-c", "return 1", "--broker", "nonsense"], 2, "nonsense"),
        (["-c", "return 1", "--auth-token", "wrong"], 3, "refused the auth token (403)"),
        (["-c", "return 1", "--broker", "http://127.0.0.1:1"], 3, "127.0.0.1:1"),
        (["-c", "return 1"], 4, "No runner takes 'python' tasks"),
        (["-c", "return 1", "--timeout", "0.2"], 5, "not done within 0.2 s"),
    ],
)
async def test_what_goes_wrong_is_said_in_a_line_or_two(
    tmp_path: Path, arguments: list[str], code: int, complaint: str
) -> None:
    async with place(tmp_path, runner=False, request_timeout=1.5) as here:
        ended = await here.submit(*arguments)
        assert (ended.code, ended.out) == (code, "")
        assert complaint in ended.err
        assert len(ended.err.splitlines()) <= 2
        assert SECRET not in ended.err


async def test_no_token(tmp_path: Path) -> None:
    async with place(tmp_path, runner=False) as here:
        ended = await here.submit("-c", "return 1", "--auth-token-file", os.devnull)
        assert ended.code == 2
        assert "--auth-token-file" in ended.err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_a_signal_cancels_the_task_at_the_runner(tmp_path: Path, number: signal.Signals) -> None:
    async with place(tmp_path) as here:
        command = shlex.join(here.command("-c", "print('begun')\nwhile True: pass"))
        run = partial(
            trio.run_process,
            ["bash", "-c", f"exec {command} > out 2> err"],
            check=False,
            cwd=tmp_path,
            env=here.environ,
        )
        with trio.fail_after(LIMIT):
            async with trio.open_nursery() as nursery:
                process: trio.Process = await nursery.start(run)
                await here.observer.wait_for(TaskPrinted)
                process.send_signal(number)
            cancelled = await here.observer.wait_for(TaskEnded)
    assert process.returncode == 128 + number
    assert cancelled.outcome == "cancelled"
    assert (tmp_path / "out").read_bytes() == b""
    said = (tmp_path / "err").read_text(encoding="utf-8")
    assert "Interrupted; what was under way has been cancelled." in said.splitlines()


async def test_a_reader_that_goes_away_ends_it_quietly(tmp_path: Path) -> None:
    async with place(tmp_path) as here:
        command = shlex.join(here.command("-c", "return list(range(1000000))", "-o", "jsonl"))
        ended = await here.run(["bash", "-c", f"{command} | head -1; exit ${{PIPESTATUS[0]}}"])
        assert ended == Ended(141, "0\n", "")


async def test_a_full_disk_is_said(tmp_path: Path) -> None:
    async with place(tmp_path) as here:
        ended = await here.run(["bash", "-c", f"{shlex.join(here.command('-c', 'return 1'))} > /dev/full"])
        assert ended == Ended(6, "", "Error: the result cannot be written: No space left on device\n")
