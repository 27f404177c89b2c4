"""Alive but deaf must not exist: each way to be so is noticed, named by log and status, and got over."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import pytest
import trio

from trio_runner import BrokerConfig, BrokerHandle, open_requester, serve_broker

from .processes import LIMIT, Daemon, descendants, run_daemon

pytestmark = [pytest.mark.process, pytest.mark.timeout(120)]

TOKEN = "token-of-the-deaf"
HEARTBEAT = "1.5"
"""Seconds; 30 by default. Everything else has the times that an operator gets."""
BLOCKING = """\
import signal, time
from trio_runner.__main__ import main
def a_fault_that_blocks(*_):
    time.sleep(12)
signal.signal(signal.SIGUSR1, a_fault_that_blocks)
main()
"""


def settings(broker: str, directory: Path) -> dict[str, str]:
    return {
        "N8N_RUNNERS_TASK_BROKER_URI": broker,
        "N8N_RUNNERS_AUTH_TOKEN": TOKEN,
        "TRIO_RUNNER_HEARTBEAT": HEARTBEAT,
        "TRIO_RUNNER_CONTROL_SOCKET": str(directory / "control"),
    }


async def status(directory: Path) -> dict[str, Any]:
    """Return what ``trio-runner status`` tells."""
    command = [
        sys.executable,
        "-I",
        "-m",
        "trio_runner",
        "status",
        "--json",
        "--socket",
        f"{directory}/control",
    ]
    done = await trio.run_process(command, capture_stdout=True)
    document: dict[str, Any] = json.loads(done.stdout)
    return document


async def readiness(directory: Path) -> tuple[str, str]:
    """Return the word and the reason that ``/readyz`` gives too."""
    found = (await status(directory))["runner"]["readiness"]
    return found["state"], found["reason"]


@asynccontextmanager
async def open_broker() -> AsyncIterator[BrokerHandle]:
    config = BrokerConfig(port=0, auth_token=TOKEN, requests_per_second=1000)
    async with trio.open_nursery() as nursery:
        yield await nursery.start(serve_broker, config)
        nursery.cancel_scope.cancel()


async def lines_after(daemon: Daemon, count: int, text: str) -> str:
    """Wait for a line beyond the first `count`."""
    seen = daemon.lines[:count]
    daemon.lines[:count] = []
    try:
        return await daemon.wait_for_line(text)
    finally:
        daemon.lines[:0] = seen


async def test_what_takes_some_ten_seconds_to_be_noticed(tmp_path: Path) -> None:
    cases = (a_broker_that_accepts_and_says_nothing, a_loop_that_is_blocked, a_zygote_that_is_stopped)
    async with trio.open_nursery() as nursery:  # all at once: they do nothing but wait
        for number, case in enumerate(cases):
            directory = tmp_path / str(number)
            directory.mkdir()
            nursery.start_soon(case, directory)


async def a_broker_that_accepts_and_says_nothing(tmp_path: Path) -> None:
    async with trio.open_nursery() as nursery:
        [listener] = await trio.open_tcp_listeners(0, host="127.0.0.1")

        async def say_nothing(stream: trio.SocketStream) -> None:
            await trio.sleep_forever()

        nursery.start_soon(trio.serve_listeners, say_nothing, [listener])
        broker = f"http://127.0.0.1:{listener.socket.getsockname()[1]}"
        async with run_daemon("run", settings(broker, tmp_path)) as daemon:
            line = await daemon.wait_for_line("No connection to broker")
            assert "accepted the connection but did not answer within 10 s" in line
            state, reason = await readiness(tmp_path)
            assert state == "no-broker"
            assert "did not answer within 10 s" in reason
        nursery.cancel_scope.cancel()


async def test_a_broker_that_is_stopped(tmp_path: Path) -> None:
    environment = {"N8N_RUNNERS_AUTH_TOKEN": TOKEN}
    async with run_daemon("broker --port 0", environment) as broker:
        url = (await broker.wait_for_line("listening on")).rsplit(" ", 1)[1]
        async with run_daemon("run", settings(url, tmp_path)) as daemon:
            await daemon.wait_for_line("Registered")
            assert (await readiness(tmp_path))[0] == "offering"
            known = len(daemon.lines)
            os.kill(broker.pid, signal.SIGSTOP)
            line = await lines_after(daemon, known, "No connection to broker")
            assert "no answer to a ping for 1.5 s" in line
            assert (await readiness(tmp_path))[0] == "no-broker"
            os.kill(broker.pid, signal.SIGCONT)
            await lines_after(daemon, known, "Registered")


@contextmanager
def two_networks() -> Iterator[tuple[str, str]]:
    """Two networks with a cable between them: 10.213.0.1 and 10.213.0.2."""
    names = [f"deaf-{os.getpid()}-{number}" for number in (1, 2)]
    try:
        for name in names:
            ip("netns", "add", name)
        ip("-n", names[0], "link", "add", "cable", "type", "veth", "peer", "name", "cable", "netns", names[1])
        for number, name in enumerate(names, 1):
            ip("-n", name, "address", "add", f"10.213.0.{number}/24", "dev", "cable")
            for link in ("lo", "cable"):
                ip("-n", name, "link", "set", link, "up")
        yield names[0], names[1]
    finally:
        for name in names:
            subprocess.run(["ip", "netns", "delete", name], capture_output=True, check=False)


def ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True)


def why_no_networks() -> str:
    if sys.platform != "linux" or os.geteuid() != 0:
        return "only root may make networks"
    try:
        with two_networks():
            return ""
    except (OSError, subprocess.CalledProcessError) as exc:
        return f"networks cannot be made here: {exc}"


@pytest.mark.skipif(bool(why_no_networks()), reason=why_no_networks() or "possible")
async def test_packets_that_are_lost_both_ways(tmp_path: Path) -> None:
    with two_networks() as (here, there):
        environment = {"N8N_RUNNERS_AUTH_TOKEN": TOKEN}
        within = ("ip", "netns", "exec", there)
        async with run_daemon("broker --host 10.213.0.2", environment, within=within) as broker:
            await broker.wait_for_line("listening on")
            where = settings("http://10.213.0.2:5679", tmp_path)
            async with run_daemon("run", where, within=("ip", "netns", "exec", here)) as daemon:
                await daemon.wait_for_line("Registered")
                known = len(daemon.lines)
                ip("-n", there, "link", "set", "cable", "down")  # nobody is told: no reset, no end of file
                line = await lines_after(daemon, known, "No connection to broker")
                assert "no answer to a ping for 1.5 s" in line
                assert (await readiness(tmp_path))[0] == "no-broker"
                ip("-n", there, "link", "set", "cable", "up")
                await lines_after(daemon, known, "Registered")


async def a_loop_that_is_blocked(tmp_path: Path) -> None:
    async with (
        open_broker() as broker,
        run_daemon("run", settings(broker.url, tmp_path), program=("-c", BLOCKING)) as daemon,
    ):
        await daemon.wait_for_line("Registered")
        os.kill(daemon.pid, signal.SIGUSR1)
        await daemon.wait_for_line("in a_fault_that_blocks")
        line = await daemon.wait_for_line("The event loop stood still for")
        assert "remedy=" in line


async def a_zygote_that_is_stopped(tmp_path: Path) -> None:
    async with (
        open_broker() as broker,
        run_daemon("run", settings(broker.url, tmp_path)) as daemon,
        open_requester(broker.url, auth_token=TOKEN) as requester,
    ):
        await daemon.wait_for_line("Registered")
        assert await requester.run("return 1", []) == 1
        zygote = (await status(tmp_path))["runner"]["executor"]["zygote"]["pid"]
        assert zygote in descendants(daemon.pid)
        os.kill(zygote, signal.SIGSTOP)
        assert await requester.run("return 2", []) == 2, "a worker was forked already"
        line = await daemon.wait_for_line("Workers: ")
        assert "did not answer for 10 seconds" in line
        assert "remedy=" in line
        with trio.fail_after(LIMIT):
            assert await requester.run("return 3", []) == 3
        troubles = (await status(tmp_path))["runner"]["troubles"]
        assert any("did not answer" in trouble["message"] for trouble in troubles)
