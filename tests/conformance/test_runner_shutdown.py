"""The end of a runner: signals, grace, idle exit. Section 5 of the protocol's document."""

from __future__ import annotations

import signal

import pytest
import trio

from .ahead import Ahead
from .daemon import open_registered
from .fake_broker import ENDS, Session, fresh_id, open_broker
from .processes import MARK, marked, wait_gone
from .test_runner_offers import SHUTTING_DOWN
from .wire import Message

FREE = {"STDLIB_ALLOW": "*", "EXTERNAL_ALLOW": "*", "BUILTINS_DENY": ""}


@pytest.mark.row("5", "SIGTERM and SIGINT of an idle runner: socket closed, exit 0 at once, nothing left")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_ends_an_idle_runner(number: signal.Signals) -> None:
    async with open_broker() as broker, open_registered(broker) as (daemon, session):
        await session.fence()
        below = daemon.below()
        daemon.signal(number)
        assert await daemon.exit_code(8) == 0
        await session.peer.wait_over(1)
        assert session.peer.close_code is not None  # a closing handshake, not a reset
        assert [process for process in below if process.alive()] == []
        assert "Traceback" not in daemon.output


@pytest.mark.row(
    "5", "SIGTERM: stops offering, accepts rejected, running tasks finish, exit 0 before the grace ends"
)
async def test_running_tasks_finish_within_the_grace() -> None:
    async with open_broker() as broker, open_registered(broker, **FREE) as (daemon, session):
        task_id = await session.start(
            "import time\nprint('up')\ntime.sleep(1)\nprint('late')\nreturn 'finished'"
        )
        await session.printed(task_id, "'up'")
        daemon.signal(signal.SIGTERM)
        signalled = trio.current_time()
        assert (await _first_rejection(session))["reason"] == SHUTTING_DOWN
        run = await session.end(task_id)
        assert run.result == "finished"
        assert run.prints == [["'up'"], ["'late'"]]
        assert await daemon.exit_code(8) == 0
        assert trio.current_time() - signalled < 8  # the grace is 10 s
        late = [entry for entry in session.peer.received if entry.message["type"] == "runner:taskoffer"]
        assert all(entry.at < signalled + 0.2 for entry in late)


async def _first_rejection(session: Session) -> Message:
    """Accept offers until one is refused: the first accept may overtake the signal."""
    for _ in range(3):
        answer = await session.accept()
        if answer["type"] == "runner:taskrejected":
            return answer
        session.cancel(answer["taskId"])
    raise AssertionError("three accepts after the signal, none refused")


@pytest.mark.row(
    "5", "SIGTERM with a task longer than the grace: killed at the grace, reported, exit 0, no process left"
)
@pytest.mark.parametrize("stubborn", ["pass", "signal.signal(15, signal.SIG_IGN)", "os.fork()"])
async def test_a_long_task_is_ended_at_the_grace(stubborn: str) -> None:
    marker = fresh_id("grace-marker")
    code = MARK.format(marker=marker) + f"import os, signal, time\n{stubborn}\nprint('up')\ntime.sleep(60)"
    settings = {"GRACEFUL_SHUTDOWN_TIMEOUT": "1", **FREE}
    async with open_broker() as broker, open_registered(broker, **settings) as (daemon, session):
        task_id = await session.start(code)
        await session.printed(task_id, "'up'")
        below = daemon.below()
        daemon.signal(signal.SIGTERM)
        signalled = trio.current_time()
        assert await daemon.exit_code(9) == 0
        assert trio.current_time() - signalled > 0.9
        await session.peer.wait_over(1)
        assert [end["type"] for end in session.peer.seen(*ENDS, taskId=task_id)] in ([], ["runner:taskerror"])
        assert marked(marker) == []
        assert below
        assert [process for process in below if process.alive()] == []
        assert "Traceback" not in daemon.output


@pytest.mark.row("5", "SIGTERM while an accepted task waits for its settings: exit 0 within the grace")
async def test_a_task_without_settings_does_not_hold_the_end_up() -> None:
    settings = {"GRACEFUL_SHUTDOWN_TIMEOUT": "2"}
    async with open_broker() as broker, open_registered(broker, **settings) as (daemon, session):
        await session.hold()
        daemon.signal(signal.SIGTERM)
        assert await daemon.exit_code(5) == 0


@pytest.mark.row("5", "SIGTERM, and the broker does not answer the close: exit 0 within the grace")
async def test_a_broker_that_never_closes_does_not_hold_the_end_up() -> None:
    settings = {"GRACEFUL_SHUTDOWN_TIMEOUT": "2"}
    async with open_broker() as broker, open_registered(broker, **settings) as (daemon, session):
        session.peer.deaf = True
        daemon.signal(signal.SIGTERM)
        assert await daemon.exit_code(9) == 0


@pytest.mark.row("1", "SIGKILL of the runner: its tasks end with it")
async def test_tasks_end_with_a_killed_runner() -> None:
    marker = fresh_id("orphan-marker")
    async with open_broker() as broker, open_registered(broker, **FREE) as (daemon, session):
        task_id = await session.start(MARK.format(marker=marker) + "import time\nprint('up')\ntime.sleep(60)")
        await session.printed(task_id, "'up'")
        below = daemon.below()
        daemon.signal(signal.SIGKILL)
        await daemon.exit_code(2)
        await wait_gone(marked(marker), 5)
        await wait_gone([process.pid for process in below], 5)
        assert marked(marker) == []
        assert [process for process in below if process.alive()] == []


@pytest.fixture
def idle(ahead: Ahead) -> dict[str, object]:
    """Return what was seen of runners that sat idle."""
    seen: dict[str, object] = ahead.result("idle")
    return seen


@pytest.mark.row(
    "5", "N8N_RUNNERS_AUTO_SHUTDOWN_TIMEOUT: s without a task, then the socket is closed, exit 0"
)
def test_an_idle_runner_exits(idle: dict[str, object]) -> None:
    assert idle["idle-code"] == 0
    assert 0.5 < float(str(idle["idle-after"])) < 8
    assert idle["idle-close"] is not None


@pytest.mark.row(
    "5", "N8N_RUNNERS_AUTO_SHUTDOWN_TIMEOUT: a running task is not idle; the time counts from its end"
)
def test_a_busy_runner_is_not_idle(idle: dict[str, object]) -> None:
    assert idle["busy-result"] == "done"
    assert idle["busy-code"] == 0
    assert 0.8 < float(str(idle["busy-after"])) < 8


@pytest.mark.row("5", "N8N_RUNNERS_AUTO_SHUTDOWN_TIMEOUT 0: never")
def test_zero_means_never_idle(idle: dict[str, object]) -> None:
    assert idle["never-code"] is None


@pytest.mark.row(
    "1", "a broker that never registers the runner: a new connection; alive and not ready meanwhile"
)
def test_a_runner_that_gets_nowhere_connects_anew(idle: dict[str, object]) -> None:
    assert idle["unregistered-back"] is True
    assert idle["unregistered-health"] == [200, 503]


@pytest.mark.row("4", "failure: ran past the timeout of n → … after {n} seconds")
def test_a_timeout_of_two_seconds_is_told(idle: dict[str, object]) -> None:
    assert idle["two-seconds"] == "Task execution timed out after 2 seconds"
