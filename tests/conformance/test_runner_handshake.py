"""How a runner connects and introduces itself: sections 1 and 2 of the protocol's document."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import trio

from .daemon import START_LIMIT, open_registered, open_runner
from .fake_broker import AUTH_TOKEN, open_broker

AUTH = "POST .*/runners/auth"
UPGRADE = "GET .*/runners/_ws"


@pytest.mark.row("1", "token from POST {base}/runners/auth with the auth token")
async def test_mints_a_grant_token_and_brings_it_as_bearer() -> None:
    async with open_broker() as broker, open_registered(broker, ID="runner-of-the-test"):
        (auth,) = broker.asked_for(AUTH)
        (upgrade,) = broker.asked_for(UPGRADE)
        assert json.loads(auth.body) == {"token": AUTH_TOKEN}
        assert auth.headers["content-type"].startswith("application/json")
        assert auth.path == "/runners/auth"
        assert upgrade.path == "/runners/_ws"
        assert upgrade.query == {"id": ["runner-of-the-test"]}
        assert upgrade.bearer == broker.spent[0]


@pytest.mark.row("1", "path prefix of the base URI is kept, with a slash at its end or without")
@pytest.mark.row("1", "ws:// works as base URI like http://")
async def test_keeps_the_path_prefix() -> None:
    async with (
        open_broker("/tenant/seven") as one,
        open_broker("/tenant/eight") as other,
        open_runner(f"{one.url},{other.url.replace('http:', 'ws:')}/"),
    ):
        for broker in (one, other):
            await broker.registered(START_LIMIT)
            assert broker.asked_for(AUTH)[0].path == f"{broker.prefix}/runners/auth"
            assert broker.asked_for(UPGRADE)[0].path == f"{broker.prefix}/runners/_ws"


@pytest.mark.row(
    "1", "https → wss: an https base URI is met with TLS, and a broker without it is told clearly"
)
async def test_https_means_tls() -> None:
    greetings: list[bytes] = []

    async def listen(stream: trio.SocketStream) -> None:
        greetings.append(await stream.receive_some(100))
        await stream.send_all(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    async with open_broker() as broker:
        broker.rude = listen
        async with open_runner(broker.url.replace("http:", "https:")) as daemon:
            await broker.wait_hits(2, ".*", START_LIMIT)
            assert all(greeting.startswith(b"\x16\x03") for greeting in greetings)
            await daemon.line("(?i)tls|ssl|https")
            assert "Traceback" not in daemon.output


@pytest.mark.row("5", "N8N_RUNNERS_ID: random by default, unique")
async def test_has_an_id_of_its_own_by_default() -> None:
    async with open_broker() as broker, open_runner(broker), open_runner(broker):
        first = await broker.registered(START_LIMIT)
        second = await broker.registered(START_LIMIT)
        ids = [session.hit.query["id"][0] for session in (first, second)]
        assert len(set(ids)) == 2
        assert all(len(each) >= 8 for each in ids)


@pytest.mark.row("1", "a fresh grant token for every connection")
async def test_each_connection_has_a_fresh_token_and_the_same_id() -> None:
    async with open_broker() as broker, open_registered(broker) as (_, first):
        first.peer.drop()
        second = await broker.registered()
        second.peer.close(1001)
        third = await broker.registered()
        await third.fence()
        sessions = (first, second, third)
        assert len({session.hit.bearer for session in sessions}) == 3
        assert len({session.hit.query["id"][0] for session in sessions}) == 1
        assert len(broker.asked_for(AUTH)) == 3


@pytest.mark.row("1", "a given grant token is used as it is")
async def test_uses_a_given_grant_token() -> None:
    async with open_broker() as broker:
        token = broker.mint()
        async with open_registered(broker, AUTH_TOKEN=None, GRANT_TOKEN=token) as (_, session):
            assert session.hit.bearer == token
            assert broker.asked_for(AUTH) == []
            await session.fence()


@pytest.mark.row("5", "{NAME}_FILE: value from a file, whitespace stripped")
async def test_reads_tokens_from_files(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text(f"  {AUTH_TOKEN}\n\n")
    async with (
        open_broker() as broker,
        open_registered(broker, AUTH_TOKEN=None, AUTH_TOKEN_FILE=str(secret)) as (_, session),
    ):
        assert json.loads(broker.asked_for(AUTH)[0].body) == {"token": AUTH_TOKEN}
        await session.fence()


@pytest.mark.row("2", "broker:inforequest → runner:info with name and types, each time it is asked")
@pytest.mark.row("2", "broker:runnerregistered: no offer before it, offers at once after it")
@pytest.mark.row("3", "an accept before it is registered is rejected, not run")
async def test_introduces_itself_and_offers_nothing_before_it_is_registered() -> None:
    expected = {"type": "runner:info", "name": "Python Task Runner", "types": ["python"]}
    async with open_broker() as broker, open_runner(broker):
        session = await broker.connected(START_LIMIT)
        for _ in range(2):
            session.peer.send({"type": "broker:inforequest"})
            assert await session.peer.next("runner:info") == expected
        await session.peer.nothing("runner:taskoffer", within=0.7)
        assert (await session.accept("never-offered"))["type"] == "runner:taskrejected"
        session.peer.send({"type": "broker:runnerregistered"})
        await session.peer.next("runner:taskoffer")
