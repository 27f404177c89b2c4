"""Losing the broker and coming back: section 1 of the protocol's document, and the failures around tokens."""

from __future__ import annotations

import socket
from collections.abc import Awaitable, Callable, Iterator
from functools import partial

import attrs
import pytest
import trio

from .daemon import START_LIMIT, Daemon, open_registered, open_runner
from .fake_broker import FakeBroker, fresh_id, open_broker, settings_of
from .http_wire import encode_answer
from .processes import MARK, marked
from .test_runner_offers import EXPIRED

FREE = {"STDLIB_ALLOW": "*", "EXTERNAL_ALLOW": "*", "BUILTINS_DENY": ""}
AUTH = "POST .*/auth"
UPGRADE = "GET .*/_ws"


@pytest.mark.row(
    "1", "a connection ends: its running tasks are stopped, their slots freed, nothing of it on the new one"
)
@pytest.mark.parametrize("how", ["drop", "close", "hang_up"])
async def test_a_lost_connection_ends_its_tasks(how: str) -> None:
    marker = fresh_id("lost-marker")
    code = (
        MARK.format(marker=marker) + "import time\nprint('up')\ntime.sleep(3)\nprint('late')\nreturn 'late'"
    )
    async with open_broker() as broker, open_registered(broker, MAX_CONCURRENCY="1", **FREE) as (_, first):
        task_id = await first.start(code)
        await first.printed(task_id, "'up'")
        assert marked(marker)
        getattr(first.peer, how)()
        second = await broker.registered()
        await second.fence()
        assert marked(marker) == []
        assert second.peer.seen(taskId=task_id) == []


@pytest.mark.row("1", "a connection ends: back within a few seconds, with backoff, with a fresh token")
async def test_comes_back_soon_but_not_at_once() -> None:
    async with open_broker() as broker, open_registered(broker) as (_, first):
        gaps = []
        session = first
        for _ in range(3):
            session.peer.drop()
            lost = trio.current_time()
            session = await broker.registered()
            gaps.append(session.hit.at - lost)
            await session.fence()
        assert all(0.01 < gap < 5 for gap in gaps), gaps


@pytest.mark.row("3", "all offers of a lost connection are void")
async def test_offers_do_not_outlive_their_connection() -> None:
    async with open_broker() as broker, open_registered(broker) as (_, first):
        old = await first.offer()
        first.peer.drop()
        second = await broker.registered()
        answer = await second.accept(str(old["offerId"]))
        assert (answer["type"], answer["reason"]) == ("runner:taskrejected", EXPIRED)
        new = await second.offer()
        assert new["offerId"] not in {offer["offerId"] for offer in first.peer.seen("runner:taskoffer")}


@pytest.mark.row("1", "settings and cancels of the old connection's tasks mean nothing on the new one")
async def test_tasks_do_not_outlive_their_connection() -> None:
    async with open_broker() as broker, open_registered(broker, MAX_CONCURRENCY="1") as (_, first):
        task_id = await first.hold()
        first.peer.drop()
        second = await broker.registered()
        second.peer.send(
            {"type": "broker:tasksettings", "taskId": task_id, "settings": settings_of("return 1")},
            {"type": "broker:taskcancel", "taskId": task_id, "reason": "old"},
        )
        await second.fence()
        assert second.peer.seen(taskId=task_id) == []


@pytest.mark.row("1", "a connection ends in the middle of a large result")
async def test_a_connection_lost_in_mid_message() -> None:
    async with open_broker() as broker, open_registered(broker, MAX_CONCURRENCY="1", **FREE) as (_, first):
        task_id = await first.start("return 'x' * 80_000_000")
        await first.peer.wait_bytes(1_000_000)
        first.peer.drop()
        second = await broker.registered()
        await second.fence()
        assert second.peer.seen(taskId=task_id) == []


@pytest.mark.row("1", "upgrade 403 with an auth token: mints again and connects")
async def test_a_spent_token_is_replaced() -> None:
    async with open_broker() as broker:
        refusals = iter([403, 401, 101])
        broker.on_upgrade = lambda hit: next(refusals)
        async with open_registered(broker) as (daemon, session):
            await session.fence()
            assert len(broker.asked_for(AUTH)) == len(broker.asked_for(UPGRADE)) == 3
            assert len({hit.bearer for hit in broker.asked_for(UPGRADE)}) == 3
            assert "Traceback" not in daemon.output


@pytest.mark.row("1", "only a grant token, upgrade 403: exits promptly, non-zero")
@pytest.mark.parametrize("status", [403, 401])
async def test_a_refused_grant_token_is_the_end(status: int) -> None:
    async with open_broker() as broker:
        broker.on_upgrade = lambda hit: status
        async with open_runner(broker, AUTH_TOKEN=None, GRANT_TOKEN=broker.mint()) as daemon:
            await broker.wait_hits(1, UPGRADE, START_LIMIT)
            assert await daemon.exit_code(3) > 0
            assert "Traceback" not in daemon.output
            assert broker.asked_for(AUTH) == []


@pytest.mark.row("1", "only a grant token, connection lost: exits promptly, non-zero, its tasks gone")
@pytest.mark.parametrize("how", ["reset", "close"])
async def test_a_lost_connection_is_the_end_without_an_auth_token(how: str) -> None:
    marker = fresh_id("grant-marker")
    code = MARK.format(marker=marker) + "import time\nprint('up')\ntime.sleep(60)"
    async with (
        open_broker() as broker,
        open_registered(broker, AUTH_TOKEN=None, GRANT_TOKEN=broker.mint(), **FREE) as (daemon, session),
    ):
        task_id = await session.start(code)
        await session.printed(task_id, "'up'")
        below = daemon.below()
        if how == "reset":
            session.peer.drop()
        else:
            session.peer.close(1001)
        assert await daemon.exit_code(5) > 0
        assert "Traceback" not in daemon.output
        assert marked(marker) == []
        assert [process for process in below if process.alive()] == []


@pytest.mark.row("1", "broker down at start: waits for it, with backoff, and connects")
async def test_a_broker_that_comes_later() -> None:
    with socket.socket() as reserved:
        reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        reserved.bind(("127.0.0.1", 0))
        port = reserved.getsockname()[1]
        settings = {"HEALTH_CHECK_SERVER_ENABLED": "true", "HEALTH_CHECK_SERVER_PORT": "0"}
        async with open_runner(f"http://127.0.0.1:{port}", **settings) as daemon:
            await daemon.line("Health check server listening on")
            reserved.close()
            async with open_broker(port=port) as broker:
                session = await broker.registered()
                await session.fence()
            assert "Traceback" not in daemon.output


@pytest.mark.row("1", "the broker restarts: the runner is back within a few seconds")
async def test_a_broker_that_restarts() -> None:
    async with open_broker() as broker, open_runner(broker) as daemon:
        await (await broker.registered(START_LIMIT)).fence()
        broker.rude = _hang_up
        broker.sessions[0].peer.drop()
        await broker.wait_hits(len(broker.hits) + 2, ".*")
        broker.rude = None
        await (await broker.registered()).fence()
        assert daemon.code is None


# --- brokers that cannot be talked to ---------------------------------------------------------------


@attrs.frozen
class Trial:
    """What a runner did in the seconds of a trial.

    Attributes:
        attempts: connections it made.
        code: its exit code, None if it was still running.
        output: what it wrote.
        back: whether it connected once the broker had come to its senses.
    """

    attempts: int
    code: int | None
    output: str
    back: bool


TRIAL = 3.0


async def _hang_up(stream: trio.SocketStream) -> None:
    await stream.aclose()


async def _say_nothing(stream: trio.SocketStream) -> None:
    await trio.sleep_forever()


async def _talk_nonsense(stream: trio.SocketStream) -> None:
    await stream.receive_some(4096)
    await stream.send_all(b"220 mail.example ESMTP ready\r\n")


async def _answer_ok(stream: trio.SocketStream) -> None:
    await stream.receive_some(4096)
    await stream.send_all(encode_answer(200, b"<html>a web site</html>", "text/html"))


def _upgrades_403(broker: FakeBroker) -> None:
    broker.on_upgrade = lambda hit: 403


def _upgrades_500(broker: FakeBroker) -> None:
    broker.on_upgrade = lambda hit: 500


def _upgrades_200(broker: FakeBroker) -> None:
    broker.on_upgrade = lambda hit: 200


def _closes_at_once(broker: FakeBroker) -> None:
    broker.close_at_once = True


def _auth(status: int, broker: FakeBroker) -> None:
    broker.auth_status = status


def _rude(behave: Callable[[trio.SocketStream], Awaitable[None]], broker: FakeBroker) -> None:
    broker.rude = behave


OBSTACLES: dict[str, Callable[[FakeBroker], None]] = {
    "upgrade-403": _upgrades_403,
    "upgrade-500": _upgrades_500,
    "upgrade-200": _upgrades_200,
    "closes-at-once": _closes_at_once,
    "auth-403": partial(_auth, 403),
    "auth-429": partial(_auth, 429),
    "auth-500": partial(_auth, 500),
    "hangs-up": partial(_rude, _hang_up),
    "nonsense": partial(_rude, _talk_nonsense),
    "web-site": partial(_rude, _answer_ok),
    "silent": partial(_rude, _say_nothing),
}


def _come_to_senses(broker: FakeBroker) -> None:
    broker.on_upgrade = lambda hit: 101
    broker.close_at_once = False
    broker.auth_status = 200
    broker.rude = None


async def _try_obstacle(name: str, trials: dict[str, Trial]) -> None:
    async with open_broker() as broker:
        OBSTACLES[name](broker)
        async with open_runner(broker) as daemon:
            await broker.wait_hits(1, ".*", START_LIMIT)
            with trio.move_on_after(TRIAL):
                await daemon.exit_code(TRIAL + 1)
            attempts = len(broker.asked_for(UPGRADE)) or len(broker.hits)
            _come_to_senses(broker)
            back = daemon.code is None and name != "silent" and await _is_back(broker)
            trials[name] = Trial(attempts, daemon.code, daemon.output, back)


async def _is_back(broker: FakeBroker) -> bool:
    try:
        session = await broker.registered(12)
        await session.fence()
    except AssertionError:
        return False
    return True


@pytest.fixture(scope="module")
def trials() -> Iterator[dict[str, Trial]]:
    """Put a runner before each obstacle, a few at a time."""
    found: dict[str, Trial] = {}

    async def all_of_them() -> None:
        limiter = trio.CapacityLimiter(6)

        async def one(name: str) -> None:
            async with limiter:
                await _try_obstacle(name, found)

        async with trio.open_nursery() as nursery:
            for name in OBSTACLES:
                nursery.start_soon(one, name)

    trio.run(all_of_them)
    yield found


@pytest.mark.row(
    "1", "an obstacle with an auth token (403, close at once, not a WebSocket, …): bounded rate, never a spin"
)
@pytest.mark.parametrize("name", OBSTACLES)
def test_an_obstacle_is_met_with_backoff(trials: dict[str, Trial], name: str) -> None:
    trial = trials[name]
    # n8n's broker allows 5 requests a second; backing off from 0.25 s on makes five or six attempts in 3 s.
    assert 1 <= trial.attempts <= 10, trial
    if trial.code is None and name != "silent":
        assert trial.attempts >= 2


@pytest.mark.row("1", "an obstacle that goes away: the runner connects; upgrade 403 is no reason to give up")
@pytest.mark.parametrize("name", [name for name in OBSTACLES if name not in ("silent", "auth-403")])
def test_an_obstacle_that_goes_away(trials: dict[str, Trial], name: str) -> None:
    assert trials[name].code is None
    assert trials[name].back


@pytest.mark.row(
    "1",
    "wrong auth token (403 from /runners/auth): told clearly; exits non-zero or tries again slowly",
)
def test_a_wrong_auth_token(trials: dict[str, Trial]) -> None:
    trial = trials["auth-403"]
    assert trial.back or (trial.code is not None and trial.code > 0)
    assert "403" in trial.output or "token" in trial.output.lower()


@pytest.mark.row("1", "an obstacle is told in a line that names the broker, without a traceback")
@pytest.mark.parametrize("name", [name for name in OBSTACLES if name != "silent"])
def test_an_obstacle_is_told(trials: dict[str, Trial], name: str) -> None:
    assert "Traceback" not in trials[name].output
    assert "127.0.0.1" in trials[name].output


async def _stop(daemon: Daemon) -> int:
    import signal

    daemon.signal(signal.SIGTERM)
    return await daemon.exit_code(4)


@pytest.mark.row("5", "SIGTERM while the broker cannot be reached: exit 0 at once")
@pytest.mark.parametrize("name", ["hangs-up", "silent", "upgrade-403"])
async def test_sigterm_before_a_connection(name: str) -> None:
    async with open_broker() as broker:
        OBSTACLES[name](broker)
        async with open_runner(broker) as daemon:
            await broker.wait_hits(1, ".*", START_LIMIT)
            assert await _stop(daemon) == 0
