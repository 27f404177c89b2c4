"""Settings of a runner that are wrong, and its health endpoint: section 5 of the protocol's document."""

from __future__ import annotations

import re

import pytest
import trio

from .daemon import START_LIMIT, open_registered, open_runner
from .fake_broker import AUTH_TOKEN, open_broker
from .http_wire import fetch
from .processes import listening

HEALTH = {"HEALTH_CHECK_SERVER_ENABLED": "true", "HEALTH_CHECK_SERVER_PORT": "0"}
LISTENING = r"Health check server listening on ([^,]+), port (\d+)"

BAD = [
    ("MAX_CONCURRENCY", "abc"),
    ("MAX_CONCURRENCY", "0"),
    ("MAX_CONCURRENCY", "-3"),
    ("MAX_CONCURRENCY", "2.5"),
    ("TASK_TIMEOUT", "soon"),
    ("TASK_TIMEOUT", "0"),
    ("TASK_TIMEOUT", "nan"),
    ("GRACEFUL_SHUTDOWN_TIMEOUT", "0"),
    ("AUTO_SHUTDOWN_TIMEOUT", "-1"),
    ("MAX_PAYLOAD", "4294967296"),
    ("MAX_PAYLOAD", "1GB"),
    ("STDLIB_ALLOW", "*,os"),
    ("EXTERNAL_ALLOW", "numpy,*"),
    ("HEALTH_CHECK_SERVER_PORT", "70000"),
    ("HEALTH_CHECK_SERVER_PORT", "http"),
    ("AUTH_TOKEN_FILE", "/there/is/no/such/file"),
    ("TASK_BROKER_URI", "not a uri"),
    ("TASK_BROKER_URI", "ftp://127.0.0.1:1"),
]


@pytest.mark.row("5", "a bad setting: one clear line naming the variable, exit non-zero, nothing started")
@pytest.mark.parametrize(("name", "value"), BAD)
async def test_a_bad_setting_is_one_line(name: str, value: str) -> None:
    async with open_broker() as broker:
        settings = {**HEALTH, "AUTH_TOKEN": None if name == "AUTH_TOKEN_FILE" else "any", name: value}
        async with open_runner(broker, **settings) as daemon:
            assert await daemon.exit_code(START_LIMIT) > 0
            lines = [line for line in [*daemon.out, *daemon.err] if line.strip()]
            assert f"N8N_RUNNERS_{name}" in daemon.output
            assert len(lines) == 1, lines
            assert broker.hits == []


@pytest.mark.row("5", "one of the two tokens is needed: one clear line naming both, exit non-zero")
async def test_a_missing_token_is_one_line() -> None:
    async with open_broker() as broker, open_runner(broker, AUTH_TOKEN=None) as daemon:
        assert await daemon.exit_code(START_LIMIT) > 0
        assert "N8N_RUNNERS_AUTH_TOKEN" in daemon.output
        assert "N8N_RUNNERS_GRANT_TOKEN" in daemon.output
        assert len([line for line in daemon.output.split("\n") if line.strip()]) == 1


@pytest.mark.row("5", "the tokens appear in no log, at no level")
async def test_tokens_are_not_logged() -> None:
    async with (
        open_broker() as broker,
        open_registered(broker, LAUNCHER_LOG_LEVEL="DEBUG") as (daemon, session),
    ):
        broker.on_upgrade = lambda hit: 403
        session.peer.drop()
        await broker.wait_hits(3, "GET .*/_ws")
        assert AUTH_TOKEN not in daemon.output
        assert not [token for token in broker.spent if token in daemon.output]


@pytest.mark.row(
    "5", "health: GET / and /healthz → 200 OK while the broker is down, port 0 = any, logged as documented"
)
async def test_health_does_not_depend_on_the_broker() -> None:
    async with open_runner("http://127.0.0.1:9", **HEALTH) as daemon:
        host, port = (await daemon.line(LISTENING)).groups()
        assert host == "127.0.0.1"
        assert listening(daemon.pid) == [int(port)]
        for path in ("/", "/healthz"):
            answer = await fetch(int(port), "GET", path)
            assert (answer.status, answer.body) == (200, b"OK")
        assert any(re.search(LISTENING, line) for line in daemon.out)


@pytest.mark.row("5", "health: answers while every slot burns CPU, and pings are answered as well")
async def test_health_and_pings_while_tasks_burn() -> None:
    settings = {
        **HEALTH,
        "MAX_CONCURRENCY": "3",
        "STDLIB_ALLOW": "*",
        "EXTERNAL_ALLOW": "*",
        "BUILTINS_DENY": "",
    }
    async with open_broker() as broker, open_registered(broker, **settings) as (daemon, session):
        port = int((await daemon.line(LISTENING)).group(2))
        tasks = [await session.start("print('up')\nwhile True:\n    pass") for _ in range(3)]
        for task_id in tasks:
            await session.printed(task_id, "'up'")
        for _ in range(5):
            await session.peer.ping()
            assert (await fetch(port, "GET", "/healthz")).status == 200
        for task_id in tasks:
            session.cancel(task_id)
        for task_id in tasks:
            await session.end(task_id)


@pytest.mark.row("5", "health: off by default")
async def test_health_is_off_by_default() -> None:
    async with open_broker() as broker, open_registered(broker) as (daemon, session):
        await session.fence()
        assert "Health check server" not in daemon.output
        assert listening(daemon.pid) == []


@pytest.mark.row("5", "health: odd requests are answered or dropped and end nothing")
async def test_health_survives_odd_requests() -> None:
    async with open_runner("http://127.0.0.1:9", **HEALTH) as daemon:
        port = int((await daemon.line(LISTENING)).group(2))
        for junk in (b"\x16\x03\x01\x00\xff", b"GET\r\n\r\n", b"GET / HTTP/1.1\r\n", b"A" * 100_000, b""):
            stream = await trio.open_tcp_stream("127.0.0.1", port)
            async with stream:
                await _say(stream, junk)
        assert (await fetch(port, "GET", "/nowhere")).status == 404
        assert (await fetch(port, "POST", "/healthz", body=b"x")).status in (200, 404, 405)
        assert (await fetch(port, "GET", "/healthz")).status == 200
        assert "Traceback" not in daemon.output


async def _say(stream: trio.SocketStream, data: bytes) -> None:
    try:
        await stream.send_all(data)
        await stream.send_eof()
    except trio.BrokenResourceError:
        pass  # it hung up before all was said, which is an answer too


@pytest.mark.row("5", "no colours in the log where it is no terminal, or with NO_COLOR")
async def test_the_log_has_no_colours() -> None:
    async with open_broker() as broker, open_registered(broker, NO_COLOR="1") as (daemon, session):
        await session.run("print('text')")
        assert "\x1b[" not in daemon.output


@pytest.mark.row("5", "warnings and errors go to stderr, the rest to stdout")
async def test_an_undisturbed_runner_writes_no_errors() -> None:
    async with open_broker() as broker, open_registered(broker) as (daemon, session):
        await session.fence()
        assert daemon.err == []
        assert daemon.out != []
