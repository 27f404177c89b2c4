"""The daemon as a process: health, signals, exit codes, output, secrets."""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio

from trio_runner.protocol import messages as m

from .daemon_process import DaemonProcess, alive, descendants, environments, open_daemon
from .scripted_broker import AUTH_TOKEN, ScriptedBroker, Session, open_scripted_broker

pytestmark = pytest.mark.process

SENTRY_DSN = "https://sentry-key-0123456789@sentry.example/1"
NOWHERE = "http://127.0.0.1:9"  # the discard port: nobody listens
HEALTH = ("--health-check", "--health-check-port", "0")
HANG = "print('running')\nwhile True:\n    pass"


def environment(broker: str = NOWHERE, **more: str) -> Mapping[str, str]:
    return {"N8N_RUNNERS_AUTH_TOKEN": AUTH_TOKEN, "N8N_RUNNERS_TASK_BROKER_URI": broker, **more}


async def ask(port: int, path: str) -> int:
    """Return the status of a health check."""
    with trio.fail_after(20):
        async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
            await stream.send_all(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
            answer = b"".join([chunk async for chunk in stream])
    return int(answer.split()[1])


async def health_port(daemon: DaemonProcess) -> int:
    found = await daemon.line(r"Health check server listening on 127\.0\.0\.1, port (\d+)$")
    return int(found[1])


@asynccontextmanager
async def registered(
    *arguments: str, **more: str
) -> AsyncIterator[tuple[DaemonProcess, Session, ScriptedBroker]]:
    async with (
        open_scripted_broker() as broker,
        open_daemon("run", *arguments, environment=environment(broker.url, **more)) as daemon,
    ):
        yield daemon, await broker.session(), broker


async def test_health_answers_while_the_broker_is_down_and_sigterm_ends_at_once() -> None:
    async with open_daemon("run", *HEALTH, environment=environment()) as daemon:
        port = await health_port(daemon)
        await daemon.line("No connection to broker: .*127.0.0.1:9")
        assert [await ask(port, path) for path in ("/", "/healthz", "/readyz")] == [200, 200, 503]
        daemon.process.send_signal(signal.SIGTERM)
        assert await daemon.ended() == 0
        assert any("No connection" in line for line in daemon.err), "warnings go to stderr"
        assert not any("WARNING" in line for line in daemon.out)
        assert not any("INFO" in line for line in daemon.err)
        assert daemon.out[-1].endswith(" Stopped")


async def test_ready_once_registered_and_sigint_ends_an_idle_runner() -> None:
    async with registered(*HEALTH) as (daemon, session, _):
        await daemon.line("Connected to broker")
        await daemon.line("Registered with broker")
        assert await ask(await health_port(daemon), "/readyz") == 200
        daemon.process.send_signal(signal.SIGINT)
        assert await daemon.ended() == 0
        with pytest.raises(Exception, match="clos"):  # the link was closed, not torn
            while True:
                await session.next(m.TaskOffer)
        assert not daemon.err


async def test_sigterm_lets_a_task_finish() -> None:
    async with registered(N8N_RUNNERS_STDLIB_ALLOW="time") as (daemon, session, _):
        code = "import time\nprint('running')\ntime.sleep(0.5)\nreturn 'finished'"
        await session.start(code)
        await session.printed("running")
        daemon.process.send_signal(signal.SIGTERM)
        done = await session.next(m.TaskDone)
        assert done.data.decode() == {"result": "finished"}
        assert await daemon.ended() == 0
        await daemon.line("Task completed")


async def test_sigterm_with_a_task_longer_than_the_grace_ends_at_the_grace() -> None:
    async with registered(N8N_RUNNERS_GRACEFUL_SHUTDOWN_TIMEOUT="1") as (daemon, session, _):
        await session.start(HANG)
        await session.printed("running")
        below = descendants(daemon.process.pid)
        assert below
        began = trio.current_time()
        daemon.process.send_signal(signal.SIGTERM)
        assert await daemon.ended() == 0
        assert 1 <= trio.current_time() - began < 10
        assert not alive(below)
        assert not descendants(daemon.process.pid)


async def test_a_second_signal_ends_at_once() -> None:
    async with registered("--graceful-shutdown-timeout", "600") as (daemon, session, _):
        await session.start(HANG)
        await session.printed("running")
        below = descendants(daemon.process.pid)
        daemon.process.send_signal(signal.SIGTERM)
        await daemon.line("SIGTERM received; a second one ends everything at once")
        daemon.process.send_signal(signal.SIGINT)
        assert await daemon.ended() == 0
        await daemon.line("SIGINT received again; ending at once")
        assert not alive(below)


async def test_an_idle_runner_ends_by_itself() -> None:
    async with registered("--auto-shutdown-timeout", "0.3") as (daemon, _, _):
        assert await daemon.ended() == 0
        await daemon.line(r"No task for 0\.3 seconds; ending")


async def test_a_spent_grant_token_ends_the_runner_promptly() -> None:
    async with open_scripted_broker() as broker:
        broker.grant_tokens.add("grant-token-from-the-launcher")
        settings = {
            "N8N_RUNNERS_GRANT_TOKEN": "grant-token-from-the-launcher",
            "N8N_RUNNERS_TASK_BROKER_URI": broker.url,
        }
        async with open_daemon("run", environment=settings) as daemon:
            session = await broker.session()
            session.drop()
            assert await daemon.ended() == 3
            assert len(daemon.err) == 1
            assert " ERROR " in daemon.err[0]
            assert "grant-token-from" not in daemon.all


async def test_a_refused_grant_token_ends_the_runner_promptly() -> None:
    async with open_scripted_broker() as broker:
        arguments = ("run", "--grant-token", "grant-token-unknown", "--broker", broker.url)
        async with open_daemon(*arguments) as daemon:
            assert await daemon.ended() == 3
            assert len(daemon.err) == 1
            assert "403" in daemon.err[0]


async def test_a_broker_that_refuses_the_auth_token_is_asked_again_and_said_once() -> None:
    async with open_scripted_broker() as broker:
        settings = environment(broker.url, N8N_RUNNERS_AUTH_TOKEN="auth-token-that-is-wrong")
        async with open_daemon("run", "--log-level", "debug", *HEALTH, environment=settings) as daemon:
            await daemon.line("No connection to broker: .*403")
            assert await ask(await health_port(daemon), "/healthz") == 200
            daemon.process.send_signal(signal.SIGTERM)
            assert await daemon.ended() == 0
            assert len(daemon.err) == 1
            assert "auth-token-that-is-wrong" not in daemon.all


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (
            {"N8N_RUNNERS_MAX_CONCURRENCY": "five"},
            "N8N_RUNNERS_MAX_CONCURRENCY: 'five' is not a whole number;",
        ),
        ({"N8N_RUNNERS_AUTH_TOKEN_FILE": "/nonexistent/token"}, "N8N_RUNNERS_AUTH_TOKEN_FILE: cannot read"),
        ({}, "no token is given;"),
    ],
)
async def test_bad_settings(settings: dict[str, str], said: str) -> None:
    async with open_daemon("run", environment=settings) as daemon:
        assert await daemon.ended() == 2
        assert not daemon.out
        assert len(daemon.err) == 1
        assert daemon.err[0].startswith(f"trio-runner run: {said}")


async def test_a_health_port_in_use_is_one_line() -> None:
    async with open_scripted_broker() as broker:
        arguments = ("run", "--health-check", "--health-check-port", str(broker.port))
        async with open_daemon(*arguments, environment=environment()) as daemon:
            assert await daemon.ended() == 1
            assert len(daemon.err) == 1
            assert f"cannot listen on 127.0.0.1 port {broker.port}" in daemon.err[0]
            assert not broker.minted, "the runner was not started"


async def test_tokens_are_in_no_line_no_child_and_no_task(tmp_path: Path) -> None:
    file = trio.Path(tmp_path) / "dsn"
    await file.write_text(SENTRY_DSN)
    settings = {
        "N8N_SENTRY_DSN_FILE": str(file),
        "N8N_BLOCK_RUNNER_ENV_ACCESS": "false",
        "N8N_RUNNERS_STDLIB_ALLOW": "os",
        "VISIBLE": "yes",
    }
    async with registered("--log-level", "debug", *HEALTH, **settings) as (daemon, session, broker):
        await session.start("import os\nprint('running')\nreturn dict(os.environ)")
        seen = (await session.next(m.TaskDone)).data.decode()["result"]
        assert seen["VISIBLE"] == "yes"
        assert not [name for name in seen if "TOKEN" in name or "SENTRY" in name]
        below = descendants(daemon.process.pid)
        assert below
        inherited = environments(below)
        session.drop()
        again = await broker.session()
        await again.start("raise ValueError('on purpose')")
        await again.next(m.TaskErrorReport)
        daemon.process.send_signal(signal.SIGTERM)
        assert await daemon.ended() == 0
        secrets = [AUTH_TOKEN, SENTRY_DSN, *broker.minted]
        assert len(secrets) == 4
        for secret in secrets:
            assert secret not in daemon.all
            assert secret.encode() not in inherited
        assert "Traceback" not in daemon.all
        await daemon.line(r"Task failed: on purpose .*outcome=user-code remedy=")
        await daemon.line(r"\[user code\] running task=task-1")


async def test_nobody_reads_stdout_and_the_runner_goes_on() -> None:
    """A log reader that has stopped must not stop the event loop: pings and tasks would be lost."""
    async with open_scripted_broker() as broker:
        settings = environment(broker.url)
        async with open_daemon("run", *HEALTH, environment=settings, read_stdout=False) as daemon:
            session = await broker.session()
            for _ in range(2):  # more than a pipe holds
                await session.start("for _ in range(90):\n    print('x' * 3000)\nreturn 'done'")
                assert (await session.next(m.TaskDone)).data.decode() == {"result": "done"}
            daemon.process.send_signal(signal.SIGTERM)
            with trio.fail_after(20):
                assert await daemon.process.wait() == 0


async def test_the_reader_of_stdout_has_gone_and_the_runner_goes_on() -> None:
    async with (
        open_scripted_broker() as broker,
        open_daemon("run", environment=environment(broker.url), read_stdout=False) as daemon,
    ):
        assert daemon.process.stdout is not None
        await daemon.process.stdout.aclose()
        session = await broker.session()
        await session.start("print('x')\nreturn 'done'")
        assert (await session.next(m.TaskDone)).data.decode() == {"result": "done"}
        daemon.process.send_signal(signal.SIGTERM)
        assert await daemon.ended() == 0
        assert not daemon.err


async def test_a_lost_connection_is_made_again_with_a_fresh_token() -> None:
    async with registered() as (daemon, session, broker):
        session.drop()
        await daemon.line("No connection to broker")
        again = await broker.session()
        assert len(set(broker.minted)) == 2
        await again.start("return 1")
        assert (await again.next(m.TaskDone)).data.decode() == {"result": 1}
        daemon.process.send_signal(signal.SIGTERM)
        assert await daemon.ended() == 0


async def test_a_hangup_has_later_tasks_run_in_fresh_processes() -> None:
    allowed = {"N8N_RUNNERS_STDLIB_ALLOW": "os", "N8N_RUNNERS_EXTERNAL_ALLOW": "attrs"}
    allowed["TRIO_RUNNER_SANDBOX_DISABLE"] = "pid-namespace"  # else its parent has no number

    async def zygote(session: Session) -> object:
        await session.start("import os\nreturn os.getppid()")
        return (await session.next(m.TaskDone)).data.decode()["result"]

    async with registered(**allowed) as (daemon, session, _):
        before = await zygote(session)
        daemon.process.send_signal(signal.SIGHUP)
        await daemon.line("New tasks use what is on disk now")
        after = await zygote(session)
        assert before != after
        assert not any("preload" in line for line in daemon.err)
        daemon.process.send_signal(signal.SIGTERM)
        assert await daemon.ended() == 0


async def test_a_hangup_takes_new_settings_and_refuses_broken_ones(tmp_path: Path) -> None:
    config = tmp_path / "c.toml"
    config.write_text("[run]\nmax-concurrency = 1\n")
    async with (
        open_scripted_broker() as broker,
        open_daemon("run", "--config", str(config), environment=environment(broker.url)) as daemon,
    ):
        session = await broker.session()
        await session.start(HANG)
        await session.printed("running")

        config.write_text("[run]\nmax-concurrency = 0\n")
        daemon.process.send_signal(signal.SIGHUP)
        await daemon.line(r"The reload failed, .* as it was: .*c\.toml: \[run\] max-concurrency: 0 is out of")

        config.write_text(
            "[run]\nmax-concurrency = 3\nstdlib-allow = ['json']\nlog-level = 'debug'\nhealth-check = true\n"
            "task_timout = 5\n"
        )
        daemon.process.send_signal(signal.SIGHUP)
        await daemon.line("INFO +max-concurrency is now 3, was 1")
        await daemon.line("INFO +stdlib-allow is now json, was none")
        await daemon.line("WARNING health-check cannot change while the daemon runs: it stays false until")
        await daemon.line(
            r"WARNING .*c\.toml: \[run\] task_timout is no setting .* did you mean task-timeout\?"
        )
        await session.start("import json\nreturn json.loads('[1]')")
        assert (await session.next(m.TaskDone)).data.decode() == {"result": [1]}, "beside the one that hangs"
        await daemon.line("DEBUG +Task accepted")

        config.write_text("[run]\ngraceful-shutdown-timeout = 1\n")
        daemon.process.send_signal(signal.SIGHUP)
        await daemon.line("max-concurrency is now 5, was 3")
        daemon.process.send_signal(signal.SIGTERM)
        assert await daemon.ended() == 0
        assert "Traceback" not in daemon.all


async def test_a_hangup_changes_brokers_and_tokens(tmp_path: Path) -> None:
    config, token = tmp_path / "c.toml", tmp_path / "token"
    async with open_scripted_broker() as first, open_scripted_broker() as second:
        config.write_text(f"[run]\nbrokers = ['{first.url}']\nauth-token-file = 'token'\n")
        token.write_text("a-token-that-is-wrong")
        async with open_daemon("run", "--config", str(config)) as daemon:
            await daemon.line("No connection to broker: .*403")
            token.write_text(AUTH_TOKEN)
            daemon.process.send_signal(signal.SIGHUP)
            await daemon.line(r"auth-token is now \*\*\*, was \*\*\*")
            session = await first.session()
            config.write_text(f"[run]\nbrokers = ['{second.url}']\nauth-token-file = 'token'\n")
            daemon.process.send_signal(signal.SIGHUP)
            await (await second.session()).start("return 1")
            with pytest.raises(Exception, match="clos"):
                while True:
                    await session.next(m.TaskOffer)
            daemon.process.send_signal(signal.SIGTERM)
            assert await daemon.ended() == 0
            assert AUTH_TOKEN not in daemon.all
