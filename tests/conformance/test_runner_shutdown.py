"""The end of a runner: signals, grace, idle exit. Section 5 of the protocol's document."""

from __future__ import annotations

import signal

import pytest
import trio

from .ahead import SCENARIO_LIMIT, Ahead
from .daemon import open_registered
from .fake_broker import ENDS, Session, fresh_id, open_broker
from .processes import MARK, WAIT, go_on, marked, wait_gone
from .test_runner_offers import SHUTTING_DOWN
from .wire import Message

pytestmark = pytest.mark.timeout(2 * SCENARIO_LIMIT + 30)

FREE = {"STDLIB_ALLOW": "*", "EXTERNAL_ALLOW": "*", "BUILTINS_DENY": ""}


@pytest.mark.row("5", "SIGTERM and SIGINT of an idle runner: socket closed, exit 0 at once, nothing left")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_ends_an_idle_runner(number: signal.Signals) -> None:
    settings = {"GRACEFUL_SHUTDOWN_TIMEOUT": "600"}
    async with open_broker() as broker, open_registered(broker, **settings) as (daemon, session):
        await session.fence()
        below = daemon.below()
        daemon.signal(number)
        assert await daemon.exit_code() == 0
        await session.peer.wait_over()
        assert session.peer.close_code is not None  # a closing handshake, not a reset
        assert [process for process in below if process.alive()] == []
        assert "Traceback" not in daemon.output


@pytest.mark.row(
    "5", "SIGTERM: stops offering, accepts rejected, running tasks finish, exit 0 before the grace ends"
)
async def test_running_tasks_finish_within_the_grace() -> None:
    marker = fresh_id("finish-marker")
    code = f"{MARK.format(marker=marker)}{WAIT}print('late')\nreturn 'finished'"
    settings = {"GRACEFUL_SHUTDOWN_TIMEOUT": "600", **FREE}
    async with open_broker() as broker, open_registered(broker, **settings) as (daemon, session):
        task_id = await session.start(code)
        await session.printed(task_id, "'up'")
        daemon.signal(signal.SIGTERM)
        rejection = await _first_rejection(session)
        assert rejection["reason"] == SHUTTING_DOWN
        go_on(marker)
        run = await session.end(task_id)
        assert run.result == "finished"
        assert run.prints == [["'up'"], ["'late'"]]
        assert await daemon.exit_code() == 0
        came = session.peer.seen()
        assert "runner:taskoffer" not in [message["type"] for message in came[came.index(rejection) :]]


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
        signalled = trio.current_time()
        daemon.signal(signal.SIGTERM)
        assert await daemon.exit_code() == 0
        assert trio.current_time() - signalled >= 1
        await session.peer.wait_over()
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
        assert await daemon.exit_code(14) == 0  # without the grace, it would be held up for 15 s


@pytest.mark.row("5", "SIGTERM, and the broker does not answer the close: exit 0 within the grace")
async def test_a_broker_that_never_closes_does_not_hold_the_end_up() -> None:
    settings = {"GRACEFUL_SHUTDOWN_TIMEOUT": "2"}
    async with open_broker() as broker, open_registered(broker, **settings) as (daemon, session):
        session.peer.deaf = True
        daemon.signal(signal.SIGTERM)
        assert await daemon.exit_code(20) == 0


@pytest.mark.row("1", "SIGKILL of the runner: its tasks end with it")
async def test_tasks_end_with_a_killed_runner() -> None:
    marker = fresh_id("orphan-marker")
    async with open_broker() as broker, open_registered(broker, **FREE) as (daemon, session):
        task_id = await session.start(MARK.format(marker=marker) + "import time\nprint('up')\ntime.sleep(60)")
        await session.printed(task_id, "'up'")
        below = daemon.below()
        daemon.signal(signal.SIGKILL)
        await daemon.exit_code()
        await wait_gone(marked(marker))
        await wait_gone([process.pid for process in below])
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
    assert float(str(idle["idle-after"])) >= 1
    assert idle["idle-close"] is not None


@pytest.mark.row(
    "5", "N8N_RUNNERS_AUTO_SHUTDOWN_TIMEOUT: a running task is not idle; the time counts from its end"
)
def test_a_busy_runner_is_not_idle(idle: dict[str, object]) -> None:
    assert idle["busy-result"] == "done"
    assert idle["busy-code"] == 0
    assert float(str(idle["busy-after"])) >= 2 + 1


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
