"""Connecting, losing and connecting again, with brokers in memory and in virtual time."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
import trio
from trio.testing import MockClock

from trio_runner.errors import AuthRejected, LinkError, LinkLost
from trio_runner.protocol import messages as m
from trio_runner.protocol.codec import BROKER_TO_RUNNER, RUNNER_TO_BROKER
from trio_runner.protocol.raw_json import RawJson
from trio_runner.runner.config import RunnerConfig
from trio_runner.runner.connection import keep_connected
from trio_runner.runner.shared import Shared
from trio_runner.scheduling import observer as events
from trio_runner.scheduling.ledger import Ledger
from trio_runner.testing import MemoryLink, RecordingObserver, ScriptedExecutor, memory_link_pair
from trio_runner.transport.http_client import HttpAnswer
from trio_runner.transport.link import Link, LinkSettings

BROKER = "http://broker:5679/prefix"
RemoteEnd = MemoryLink[m.RunnerToBroker]


class ScriptedNetwork:
    """A `Dialer` to a broker that a test scripts.

    Attributes:
        minted: when each grant token was asked for, and with what.
        dialled: when each link was asked for, its URL and its bearer.
        delay: seconds that an answer about a token takes.
    """

    def __init__(self, *, answer: HttpAnswer | LinkError | None = None) -> None:
        self.minted: list[tuple[float, str, object]] = []
        self.dialled: list[tuple[float, str, str]] = []
        self.answer = answer
        self.delay = 0.0
        self.refusal: Callable[[int], LinkError | None] = lambda attempt: None
        self.on_link: Callable[[int, RemoteEnd], None] = lambda attempt, remote: None

    async def post_json(self, url: str, body: RawJson, *, settings: LinkSettings) -> HttpAnswer:
        await trio.sleep(self.delay)
        self.minted.append((trio.current_time(), url, body.decode()))
        if isinstance(self.answer, LinkError):
            raise self.answer
        return self.answer or HttpAnswer(200, b'{"data": {"token": "grant-%d"}}' % len(self.minted))

    @asynccontextmanager
    async def open_link(
        self, url: str, *, bearer: str, settings: LinkSettings
    ) -> AsyncIterator[Link[m.BrokerToRunner]]:
        await trio.lowlevel.checkpoint()
        self.dialled.append((trio.current_time(), url, bearer))
        refusal = self.refusal(len(self.dialled))
        if refusal is not None:
            raise refusal
        mine, theirs = memory_link_pair(BROKER_TO_RUNNER, RUNNER_TO_BROKER)
        self.on_link(len(self.dialled), theirs)
        yield mine


def make_shared(network: ScriptedNetwork, *, auth_token: str = "shared", grant_token: str = "") -> Shared:
    config = RunnerConfig(brokers=(BROKER,), auth_token=auth_token, grant_token=grant_token, runner_id="r1")
    return Shared(config, Ledger(2), ScriptedExecutor(), network, RecordingObserver(), lambda: None)


def downs(shared: Shared) -> list[events.LinkDown]:
    assert isinstance(shared.observer, RecordingObserver)
    return shared.observer.of(events.LinkDown)


async def test_a_fresh_token_opens_every_connection_at_the_url_with_its_prefix(
    autojump_clock: MockClock,
) -> None:
    network = ScriptedNetwork()
    network.on_link = lambda attempt, remote: remote.drop("cut")
    shared = make_shared(network)
    with trio.move_on_after(3):
        await keep_connected(BROKER, shared)
    assert network.minted[0][1:] == ("http://broker:5679/prefix/runners/auth", {"token": "shared"})
    assert network.dialled[0][1] == "ws://broker:5679/prefix/runners/_ws?id=r1"
    assert [bearer for _, _, bearer in network.dialled[:3]] == ["grant-1", "grant-2", "grant-3"]


@pytest.mark.parametrize("status", [401, 403])
async def test_a_spent_grant_token_is_replaced_without_spinning(
    status: int, autojump_clock: MockClock
) -> None:
    network = ScriptedNetwork()
    network.refusal = lambda attempt: AuthRejected("spent", status=status)
    shared = make_shared(network)
    with trio.move_on_after(60):
        await keep_connected(BROKER, shared)
    assert len(network.minted) == len(network.dialled)
    assert 10 <= len(network.dialled) <= 60
    waits = [down.retry_in for down in downs(shared)]
    assert all(wait is not None and 0.05 <= wait <= 5 for wait in waits)


@pytest.mark.parametrize(
    ("answer", "complaint"),
    [
        (HttpAnswer(403, b""), "refused the auth token (403)"),
        (HttpAnswer(429, b""), "limiting the rate"),
        (HttpAnswer(404, b"nope"), "answered 404: is this the URI of a task broker?"),
        (
            HttpAnswer(502, b"<html>"),
            "answered 502: the broker, or a proxy before it, is in trouble; see its log",
        ),
        (
            HttpAnswer(200, b"<html>"),
            "without a grant token (it is not JSON): is this the URI of a task broker?",
        ),
        (HttpAnswer(200, b'{"data": {"token": ""}}'), "expected {'data': {'token': …}}"),
        (HttpAnswer(200, b"[]"), "expected {'data': {'token': …}}"),
        (HttpAnswer(200, b'{"data": {"token": "a\\nb"}}'), "characters that no HTTP header can carry"),
        (LinkLost("broker:5679 refused the connection"), "refused the connection"),
    ],
)
async def test_trouble_with_the_token_is_told_and_tried_again(
    answer: HttpAnswer | LinkError, complaint: str, autojump_clock: MockClock
) -> None:
    network = ScriptedNetwork(answer=answer)
    shared = make_shared(network)
    with trio.move_on_after(20):
        await keep_connected(BROKER, shared)
    assert network.dialled == []
    assert complaint in downs(shared)[0].error
    assert "shared" not in downs(shared)[0].error
    assert 4 <= len(network.minted) <= 30


async def test_a_good_session_makes_the_next_attempt_come_soon(autojump_clock: MockClock) -> None:
    network = ScriptedNetwork()
    shared = make_shared(network)

    def refuse(attempt: int) -> LinkError | None:
        return None if attempt == 10 else LinkLost("down")

    async def cut_later(remote: RemoteEnd) -> None:
        await trio.sleep(6)
        remote.drop("cut")

    network.refusal = refuse
    async with trio.open_nursery() as nursery:
        network.on_link = lambda attempt, remote: nursery.start_soon(cut_later, remote)
        with trio.move_on_after(120):
            await keep_connected(BROKER, shared)
        nursery.cancel_scope.cancel()
    waits = [down.retry_in or 0 for down in downs(shared)]
    assert waits[8] > 1
    assert "cut" in downs(shared)[9].error
    assert waits[9] <= 0.25


async def test_a_slow_refusal_is_no_good_session(autojump_clock: MockClock) -> None:
    network = ScriptedNetwork()
    network.delay = 6  # longer than a session must last to be a good one
    network.refusal = lambda attempt: LinkLost("overloaded")
    shared = make_shared(network)
    with trio.move_on_after(120):
        await keep_connected(BROKER, shared)
    assert max(down.retry_in or 0 for down in downs(shared)) > 1


async def test_with_only_a_grant_token_a_lost_connection_is_the_end(autojump_clock: MockClock) -> None:
    network = ScriptedNetwork()
    network.on_link = lambda attempt, remote: remote.drop("cut")
    shared = make_shared(network, auth_token="", grant_token="given")
    with pytest.raises(LinkLost, match="cut"):
        await keep_connected(BROKER, shared)
    assert network.minted == []
    assert [bearer for _, _, bearer in network.dialled] == ["given"]
    assert downs(shared)[0].retry_in is None


async def test_with_only_a_grant_token_a_refusal_is_the_end(autojump_clock: MockClock) -> None:
    network = ScriptedNetwork()
    network.refusal = lambda attempt: AuthRejected("spent", status=403)
    shared = make_shared(network, auth_token="", grant_token="given")
    with pytest.raises(AuthRejected):
        await keep_connected(BROKER, shared)
    assert len(network.dialled) == 1


async def test_a_given_grant_token_comes_first_and_then_minted_ones(autojump_clock: MockClock) -> None:
    network = ScriptedNetwork()
    network.on_link = lambda attempt, remote: remote.drop("cut")
    shared = make_shared(network, grant_token="given")
    with trio.move_on_after(1):
        await keep_connected(BROKER, shared)
    assert [bearer for _, _, bearer in network.dialled[:2]] == ["given", "grant-1"]


async def test_a_draining_runner_does_not_connect_again(autojump_clock: MockClock) -> None:
    network = ScriptedNetwork()
    shared = make_shared(network)
    network.on_link = lambda attempt, remote: remote.drop("cut")
    shared.ledger.drain()
    with trio.fail_after(5):
        await keep_connected(BROKER, shared)
    assert len(network.dialled) == 1
