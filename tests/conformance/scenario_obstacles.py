"""Brokers that cannot be talked to, and runners before them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from functools import partial

import attrs
import trio

from .daemon import START_LIMIT, Daemon, open_runner
from .fake_broker import FakeBroker, open_broker
from .http_wire import encode_answer


@attrs.define
class Trial:
    """What a runner did in the seconds of a trial.

    Attributes:
        attempts: connections it made.
        code: its exit code, None if it was still running.
        told: its warnings and errors about this broker.
        back: whether it connected once the broker had come to its senses.
    """

    attempts: int
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
            trials[name] = Trial(_attempts(broker), daemon.code, _told(daemon, broker))
            _come_to_senses(broker)
        for name, broker in brokers.items():
            trials[name].back = daemon.code is None and name != "silent" and await _is_back(broker)


def _attempts(broker: FakeBroker) -> int:
    return len(broker.asked_for("GET .*/_ws")) or len(broker.hits)


def _told(daemon: Daemon, broker: FakeBroker) -> list[str]:
    return [line for line in daemon.err if f"127.0.0.1:{broker.port}" in line or "Traceback" in line]


async def _is_back(broker: FakeBroker) -> bool:
    try:
        session = await broker.registered(12)
        await session.fence()
    except AssertionError:
        return False
    return True


async def meet_obstacles() -> dict[str, Trial]:
    """Put runners before all obstacles."""
    trials: dict[str, Trial] = {}
    with trio.fail_after(50):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_try, [name for name in OBSTACLES if name not in ALONE], trials)
            nursery.start_soon(_try, list(ALONE), trials)
    return trials
