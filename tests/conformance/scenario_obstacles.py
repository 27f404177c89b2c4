"""Brokers that cannot be talked to, and runners before them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, suppress
from functools import partial

import attrs
import trio

from .ahead import SCENARIO_LIMIT
from .daemon import START_LIMIT, Daemon, open_runner
from .fake_broker import FakeBroker, open_broker
from .http_wire import encode_answer


@attrs.define
class Trial:
    """What a runner did in the seconds of a trial.

    Attributes:
        attempts: how often it tried within `TRIAL` seconds from its first attempt.
        again: whether it came back to the broker, however long that took.
        code: its exit code, None if it was still running.
        told: its warnings and errors about this broker.
        back: whether it connected once the broker had come to its senses.
    """

    attempts: int
    again: bool
    code: int | None
    told: list[str]
    back: bool = False


TRIAL = 3.0
# A wrong auth token may be a reason to end, and then it ends the whole runner: it has one of its own.
ALONE = ("auth-403",)


async def hang_up(stream: trio.SocketStream) -> None:
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
    "hangs-up": partial(_rude, hang_up),
    "nonsense": partial(_rude, _talk_nonsense),
    "web-site": partial(_rude, _answer_ok),
    "silent": partial(_rude, _say_nothing),
}


def _come_to_senses(broker: FakeBroker) -> None:
    broker.on_upgrade = lambda hit: 101
    broker.close_at_once = False
    broker.auth_status = 200
    broker.rude = None


async def _try(names: list[str], trials: dict[str, Trial]) -> None:
    """Put one runner before all these obstacles at once, each of them one of its brokers."""
    async with AsyncExitStack() as stack:
        brokers = {name: await stack.enter_async_context(open_broker()) for name in names}
        for name, broker in brokers.items():
            OBSTACLES[name](broker)
        urls = ",".join(broker.url for broker in brokers.values())
        daemon = await stack.enter_async_context(open_runner(urls))
        for broker in brokers.values():
            await broker.wait_hits(1, ".*", START_LIMIT)
        with trio.move_on_after(TRIAL):
            await daemon.ended.wait()
        for name, broker in brokers.items():
            again = name != "silent" and await _comes_back(name, broker, daemon)
            trials[name] = Trial(_attempts(name, broker), again, daemon.code, _told(daemon, broker))
        for broker in brokers.values():
            _come_to_senses(broker)
        for name, broker in brokers.items():
            trials[name].back = daemon.code is None and name != "silent" and await _is_back(broker)


def _attempt(name: str) -> str:
    """Return the pattern of the request that an attempt ends with."""
    return "GET .*/_ws" if name.startswith(("upgrade", "closes")) else ".*"


def _attempts(name: str, broker: FakeBroker) -> int:
    times = [hit.at for hit in broker.asked_for(_attempt(name))]
    return sum(at <= times[0] + TRIAL for at in times)


async def _comes_back(name: str, broker: FakeBroker, daemon: Daemon) -> bool:
    """Wait until a runner has told of a broker and tried again; tell whether it has, before it ended."""
    back = []

    async def see_end(scope: trio.CancelScope) -> None:
        await daemon.ended.wait()
        scope.cancel()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(see_end, nursery.cancel_scope)
        with suppress(AssertionError):  # it is for the tests to say so
            await daemon.line(rf"127\.0\.0\.1:{broker.port}\b")
            back = await broker.wait_hits(2, _attempt(name))
        nursery.cancel_scope.cancel()
    return bool(back)


def _told(daemon: Daemon, broker: FakeBroker) -> list[str]:
    return [line for line in daemon.err if f"127.0.0.1:{broker.port}" in line or "Traceback" in line]


async def _is_back(broker: FakeBroker) -> bool:
    try:
        session = await broker.registered()
        await session.fence()
    except AssertionError:
        return False
    return True


async def meet_obstacles() -> dict[str, Trial]:
    """Put runners before all obstacles."""
    trials: dict[str, Trial] = {}
    with trio.fail_after(SCENARIO_LIMIT):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_try, [name for name in OBSTACLES if name not in ALONE], trials)
            nursery.start_soon(_try, list(ALONE), trials)
    return trials
