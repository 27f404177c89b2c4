"""The broker as a process: its URL, its secret, its signals, and real work through it."""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio

from trio_runner.errors import LinkLost, TaskError
from trio_runner.requester.client import open_requester

from .daemon_process import DaemonProcess, open_daemon

pytestmark = pytest.mark.process

TOKEN = "auth-token-of-the-broker"
LIMIT = 40.0


@asynccontextmanager
async def open_broker(*arguments: str, token: str = TOKEN) -> AsyncIterator[tuple[DaemonProcess, str]]:
    """Run a broker on a free port; yield it and its URL."""
    settings = {"N8N_RUNNERS_AUTH_TOKEN": token} if token else {}
    async with open_daemon("broker", "--port", "0", *arguments, environment=settings) as daemon:
        found = await daemon.line(r"broker listening on (http://127\.0\.0\.1:\d+)")
        yield daemon, found[1]


@asynccontextmanager
async def open_runner(url: str, token: str = TOKEN) -> AsyncIterator[DaemonProcess]:
    settings = {"N8N_RUNNERS_AUTH_TOKEN": token, "N8N_RUNNERS_TASK_BROKER_URI": url}
    async with open_daemon("run", environment=settings) as daemon:
        await daemon.line("Registered with broker")
        yield daemon


async def test_work_goes_through_and_a_signal_lets_it_finish() -> None:
    async with open_broker() as (broker, url), open_runner(url) as runner:
        printed: trio.Event = trio.Event()
        results: list[object] = []

        async def submit() -> None:
            async with open_requester(url, auth_token=TOKEN) as requester:
                code = "print('running')\ntotal = 0\nfor n in range(5_000_000):\n    total += n\nreturn total"
                results.append(await requester.run(code, on_print=lambda _: printed.set()))

        with trio.fail_after(LIMIT):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(submit)
                await printed.wait()
                broker.process.send_signal(signal.SIGTERM)
        assert results == [sum(range(5_000_000))]
        assert await broker.ended() == 0
        await broker.line("Task ended: done")
        await runner.line("No connection to broker")
        runner.process.send_signal(signal.SIGTERM)
        assert await runner.ended() == 0
        for daemon in (broker, runner):
            assert TOKEN not in daemon.all
            assert "Traceback" not in daemon.all


async def test_a_second_signal_ends_at_once() -> None:
    async with open_broker("--drain-timeout", "600") as (broker, url), open_runner(url):
        printed: trio.Event = trio.Event()

        async def submit() -> None:
            with pytest.RaisesGroup(pytest.RaisesExc((LinkLost, TaskError)), allow_unwrapped=True):
                async with open_requester(url, auth_token=TOKEN) as requester:
                    code = "print('running')\nwhile True:\n    pass"
                    await requester.run(code, on_print=lambda _: printed.set())

        with trio.fail_after(LIMIT):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(submit)
                await printed.wait()
                broker.process.send_signal(signal.SIGINT)
                await broker.line("SIGINT received")
                broker.process.send_signal(signal.SIGINT)
                assert await broker.ended() == 0


async def test_an_idle_broker_ends_at_the_first_signal() -> None:
    async with open_broker() as (broker, _):
        broker.process.send_signal(signal.SIGTERM)
        assert await broker.ended() == 0
        assert not broker.err
        assert broker.out[-1].endswith(" Stopped")


async def test_a_secret_that_was_made_up_is_shown_once_and_works() -> None:
    async with open_broker("--generate-token", "--log-level", "debug", token="") as (broker, url):
        token = (await broker.line("^N8N_RUNNERS_AUTH_TOKEN=(.{20,})$"))[1]
        async with open_runner(url, token):
            await broker.line("Runner connected")
        broker.process.send_signal(signal.SIGTERM)
        assert await broker.ended() == 0
        assert broker.all.count(token) == 1


async def test_a_port_in_use_is_one_line() -> None:
    async with open_broker() as (_, url):
        port = url.rpartition(":")[2]
        settings = {"N8N_RUNNERS_AUTH_TOKEN": TOKEN}
        async with open_daemon("broker", "--port", port, environment=settings) as second:
            assert await second.ended() == 1
            assert len(second.err) == 1
            assert f"cannot listen on 127.0.0.1 port {port}" in second.err[0]


async def test_a_hangup_changes_the_level_and_tells_what_needs_a_restart(tmp_path: Path) -> None:
    config = tmp_path / "c.toml"
    config.write_text("[broker]\n")
    async with open_broker("--config", str(config)) as (broker, _):
        config.write_text("[broker]\nlog-level = 'debug'\nheartbeat = 9\n")
        broker.process.send_signal(signal.SIGHUP)
        await broker.line("log-level is now debug, was info")
        await broker.line(
            "WARNING heartbeat cannot change while the daemon runs: it stays 30 until a restart"
        )
        config.write_text("[broker\n")
        broker.process.send_signal(signal.SIGHUP)
        await broker.line("The reload failed, and everything stays as it was: .* is not TOML")
        broker.process.send_signal(signal.SIGTERM)
        assert await broker.ended() == 0
