"""Tokens, upgrades and rate limits of the broker: section 1 of the protocol's document."""

from __future__ import annotations

import json
from collections import Counter

import pytest
import trio

from .daemon import START_LIMIT, BrokerProcess, open_broker_process, open_daemon
from .fake_broker import AUTH_TOKEN, fresh_id
from .fake_peers import Refused, mint, open_fake_runner, upgrade
from .http_wire import fetch, fresh_address
from .wire import running

JSON = {"Content-Type": "application/json"}
SIDES = ["/runners", "/requesters"]


async def post(port: int, path: str, body: bytes, source: str | None = None) -> int:
    """Post to an auth endpoint and return the status."""
    answer = await fetch(
        port, "POST", f"{path}/auth", body=body, headers=JSON, source=source or fresh_address()
    )
    return answer.status


async def refusal(port: int, target: str, authorization: str | None) -> int:
    """Ask for an upgrade that must be refused, and return the status."""
    with pytest.raises(Refused) as caught:
        await upgrade(port, target, authorization)
    return caught.value.status


@pytest.mark.row(
    "1", "POST {base}/runners/auth with the auth token → {data: {token}}; the same for requesters"
)
@pytest.mark.parametrize("side", SIDES)
async def test_a_right_auth_token_gets_a_grant_token(broker: BrokerProcess, side: str) -> None:
    body = json.dumps({"token": AUTH_TOKEN}).encode()
    answer = await fetch(broker.port, "POST", f"{side}/auth", body=body, headers=JSON, source=fresh_address())
    assert answer.status == 200
    assert answer.headers["content-type"].startswith("application/json")
    data = json.loads(answer.body)
    assert set(data) == {"data"}
    assert len(data["data"]["token"]) >= 16
    assert AUTH_TOKEN not in answer.body.decode()


@pytest.mark.row("1", "a fresh grant token each time")
async def test_grant_tokens_differ(broker: BrokerProcess) -> None:
    assert len({await mint(broker.port) for _ in range(3)}) == 3


@pytest.mark.row("1", "wrong auth token: 403")
@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("token", ["wrong", "", AUTH_TOKEN + " ", AUTH_TOKEN[:-1], "ü"])
async def test_a_wrong_auth_token_is_refused(broker: BrokerProcess, side: str, token: str) -> None:
    assert await post(broker.port, side, json.dumps({"token": token}).encode()) == 403


@pytest.mark.row("1", "an auth request that is none: refused with a 4xx, the broker stays up")
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'"x"',
        b"{}",
        b'{"token": 7}',
        b'{"token": null}',
        b"\xff\xfe",
        b"x" * 200_000,
        b"[" * 50_000,
    ],
    ids=[
        "empty",
        "cut",
        "list",
        "null",
        "text",
        "no-token",
        "number",
        "null-token",
        "bytes",
        "large",
        "deep",
    ],
)
async def test_an_odd_auth_request_is_refused(broker: BrokerProcess, body: bytes) -> None:
    assert 400 <= await post(broker.port, "/runners", body) < 500
    assert broker.daemon.code is None


@pytest.mark.row("1", "upgrade without header: 401")
@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("header", [None, "", "Bearer", "Bearer ", "Basic dXNlcjpwdw=="])
async def test_an_upgrade_without_a_token(broker: BrokerProcess, side: str, header: str | None) -> None:
    assert await refusal(broker.port, f"{side}/_ws?id=x", header) == 401


@pytest.mark.row("1", "upgrade with an unknown grant token: 403")
@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("token", ["unknown", AUTH_TOKEN])
async def test_an_upgrade_with_an_unknown_token(broker: BrokerProcess, side: str, token: str) -> None:
    assert await refusal(broker.port, f"{side}/_ws?id=x", f"Bearer {token}") == 403


@pytest.mark.row("1", "a grant token is single use: upgrade with a spent one: 403")
@pytest.mark.parametrize("side", SIDES)
async def test_a_grant_token_is_good_once(broker: BrokerProcess, side: str) -> None:
    token = await mint(broker.port, side)
    async with running(await upgrade(broker.port, f"{side}/_ws?id={fresh_id('once')}", f"Bearer {token}")):
        assert await refusal(broker.port, f"{side}/_ws?id={fresh_id('twice')}", f"Bearer {token}") == 403


@pytest.mark.row("1", "a grant token lives a limited time (15 s by default)")
async def test_a_grant_token_expires() -> None:
    async with open_broker_process(grant_ttl="0.5") as broker:
        token = await mint(broker.port)
        await trio.sleep(0.7)  # the passing of its 0.5 s is what is tested
        assert await refusal(broker.port, "/runners/_ws?id=late", f"Bearer {token}") == 403


@pytest.mark.row("1", "an upgrade without a runner's id: refused with a 4xx")
@pytest.mark.parametrize("query", ["", "?id=", "?name=x"])
async def test_an_upgrade_without_an_id(broker: BrokerProcess, query: str) -> None:
    token = await mint(broker.port)
    assert 400 <= await refusal(broker.port, f"/runners/_ws{query}", f"Bearer {token}") < 500


@pytest.mark.row(
    "1", "both endpoints allow 5 requests a second: 429 beyond, per client; other clients are not held up"
)
@pytest.mark.parametrize("side", SIDES)
async def test_the_auth_endpoint_is_limited(broker: BrokerProcess, side: str) -> None:
    source, body = fresh_address(), json.dumps({"token": AUTH_TOKEN}).encode()
    begun = trio.current_time()
    counts: Counter[int] = Counter()
    while counts[429] < 6 and counts.total() < 100:  # a slow machine is allowed some while they are sent
        counts[await post(broker.port, side, body, source)] += 1
    took = trio.current_time() - begun
    assert set(counts) == {200, 429}
    assert 5 <= counts[200] <= 6 + 5 * took
    assert await post(broker.port, side, body, fresh_address()) == 200


@pytest.mark.row("1", "429 says when to come again, and that is true")
async def test_the_limit_passes(broker: BrokerProcess) -> None:
    source, body = fresh_address(), json.dumps({"token": "wrong"}).encode()
    statuses, wait = [0], 0.0
    while 429 not in statuses and len(statuses) < 50:  # a slow machine needs more than six
        answer = await fetch(broker.port, "POST", "/runners/auth", body=body, headers=JSON, source=source)
        statuses.append(answer.status)
        wait = float(answer.headers.get("retry-after", "nan"))
    assert statuses[1:6] == [403] * 5
    assert statuses[-1] == 429
    assert 0 < wait <= 5
    await trio.sleep(wait)  # the passing of time is what is tested
    assert await post(broker.port, "/runners", body, source) == 403


@pytest.mark.row("1", "the upgrade endpoint is limited as well")
async def test_the_upgrade_endpoint_is_limited(broker: BrokerProcess) -> None:
    source = fresh_address()
    statuses: list[int] = []
    while 429 not in statuses and len(statuses) < 50:
        with pytest.raises(Refused) as caught:
            await upgrade(broker.port, "/runners/_ws?id=x", "Bearer unknown", source=source)
        statuses.append(caught.value.status)
    assert statuses[:5] == [403] * 5
    assert statuses[-1] == 429


@pytest.mark.row("1", "GET {base}/healthz → {status: ok}, not limited")
async def test_healthz(broker: BrokerProcess) -> None:
    source = fresh_address()
    for _ in range(12):
        answer = await fetch(broker.port, "GET", "/healthz", source=source)
        assert answer.status == 200
        assert json.loads(answer.body) == {"status": "ok"}


@pytest.mark.row("1", "what is not there: 404; what is no upgrade: 4xx")
@pytest.mark.parametrize(
    ("method", "target", "statuses"),
    [
        ("GET", "/", {404}),
        ("GET", "/nowhere", {404}),
        ("POST", "/healthz", {404, 405}),
        ("GET", "/runners/auth", {404, 405}),
        ("GET", "/runners/_ws?id=x", {400, 401, 404, 426}),
        ("POST", "/runners/_ws?id=x", {400, 401, 404, 405, 426}),
        ("GET", "/runners/../healthz", {400, 404}),
        ("DELETE", "/runners/auth", {404, 405}),
    ],
)
async def test_other_paths(broker: BrokerProcess, method: str, target: str, statuses: set[int]) -> None:
    assert (await fetch(broker.port, method, target, source=fresh_address())).status in statuses


@pytest.mark.row("1", "bytes that are no HTTP, and clients that leave: the broker stays up")
@pytest.mark.parametrize(
    "junk",
    [
        b"",
        b"\x16\x03\x01\x02\x00",
        b"GET\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost:",
        b"A" * 300_000,
        b"GET / HTTP/1.1\r\n\r\n" * 50,
    ],
    ids=["nothing", "tls", "no-target", "cut", "long-line", "pipelined-without-host"],
)
async def test_bytes_that_are_no_http(broker: BrokerProcess, junk: bytes) -> None:
    stream = await trio.open_tcp_stream("127.0.0.1", broker.port, local_address=fresh_address())
    async with stream:
        try:
            await stream.send_all(junk)
            await stream.send_eof()
            with trio.move_on_after(2):
                await stream.receive_some(4096)
        except trio.BrokenResourceError:
            pass  # hanging up on nonsense is an answer too
    assert (await fetch(broker.port, "GET", "/healthz", source=fresh_address())).status == 200
    assert "Traceback" not in broker.daemon.output


@pytest.mark.row("1", "the tokens appear in no log of the broker")
async def test_the_broker_does_not_log_tokens(broker: BrokerProcess) -> None:
    async with open_fake_runner(broker.port, fresh_id("type")):
        pass
    assert AUTH_TOKEN not in broker.daemon.output


@pytest.mark.row("5", "the broker needs an auth token: one clear line, exit non-zero")
async def test_a_broker_without_a_token_is_one_line() -> None:
    async with open_daemon("broker", "--host", "127.0.0.1", "--port", "0", environment={}) as daemon:
        assert await daemon.exit_code(START_LIMIT) > 0
        assert "N8N_RUNNERS_AUTH_TOKEN" in daemon.output
        assert len([line for line in daemon.output.split("\n") if line.strip()]) == 1
