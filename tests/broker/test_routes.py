"""What the broker answers over HTTP, without a server."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
import trio
import trio.testing

from trio_runner.broker.config import BrokerConfig
from trio_runner.broker.exchange import Exchange
from trio_runner.broker.peers import Peers
from trio_runner.broker.routes import Routes
from trio_runner.protocol.codec import REQUESTER_TO_BROKER, RUNNER_TO_BROKER
from trio_runner.scheduling.observer import PeerRefused
from trio_runner.testing import RecordingObserver
from trio_runner.transport.http_server import HttpRequest, HttpResponse, Upgrade

SECRET = "the secret"
SIDES = ["/runners", "/requesters"]


class Front:
    """The routes of a broker, and short words for asking them."""

    def __init__(self, **settings: Any) -> None:
        self.config = BrokerConfig(**{"auth_token": SECRET, "requests_per_second": math.inf, **settings})
        self.observer = RecordingObserver()
        peers = Peers(Exchange(self.config.limits, self.observer), self.observer, info_timeout=10)
        self.routes = Routes(self.config, peers, self.observer)

    def ask(self, method: str, path: str, body: bytes = b"", client: str = "1.1.1.1") -> HttpResponse:
        answer = self.routes.answer(HttpRequest(method, path, body=body, client=client))
        assert isinstance(answer, HttpResponse)
        return answer

    def auth(self, token: object = SECRET, side: str = "/runners", client: str = "1.1.1.1") -> HttpResponse:
        return self.ask("POST", f"{side}/auth", json.dumps({"token": token}).encode(), client)

    def grant(self, side: str = "/runners") -> str:
        """Mint a grant token."""
        answer = self.auth(side=side)
        assert (answer.status, answer.content_type.split(";")[0]) == (200, "application/json")
        body = json.loads(answer.body)
        assert list(body) == ["data"] and list(body["data"]) == ["token"]
        return str(body["data"]["token"])

    def knock(
        self, authorization: str | None, side: str = "/runners", peer_id: str | None = "x"
    ) -> HttpResponse | Upgrade[Any]:
        """Ask for a WebSocket."""
        headers = {"connection": "keep-alive, Upgrade", "upgrade": "websocket"}
        if authorization is not None:
            headers["authorization"] = authorization
        query = {} if peer_id is None else {"id": peer_id}
        return self.routes.answer(HttpRequest("GET", f"{side}/_ws", query, headers, client="2.2.2.2"))

    def refusal(self, *args: Any, **kwargs: Any) -> int:
        """Ask for a WebSocket that must be refused; return the status."""
        answer = self.knock(*args, **kwargs)
        assert isinstance(answer, HttpResponse)
        return answer.status


# --- health and unknown paths -----------------------------------------------------------------------


async def test_health() -> None:
    front = Front(requests_per_second=1)
    for _ in range(10):
        answer = front.ask("GET", "/healthz")
        assert (answer.status, json.loads(answer.body)) == (200, {"status": "ok"})


@pytest.mark.parametrize(
    ("stalled", "draining", "live", "ready"),
    [(None, False, 200, 200), (None, True, 200, 503), ("it hangs", False, 503, 200)],
)
async def test_progress_and_readiness(stalled: str | None, draining: bool, live: int, ready: int) -> None:
    front = Front(requests_per_second=1)
    front.routes = Routes(
        front.config, front.routes._peers, front.observer, stalled=lambda: stalled, draining=lambda: draining
    )
    for _ in range(10):
        assert [front.ask("GET", path).status for path in ("/healthz", "/livez", "/readyz")] == [
            200,
            live,
            ready,
        ]
    if stalled:
        assert json.loads(front.ask("GET", "/livez").body) == {"status": "stalled", "reason": "it hangs"}


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 404),
        ("GET", "/runners", 404),
        ("POST", "/runners/_ws/", 404),
        ("POST", "/healthz", 405),
        ("GET", "/runners/auth", 405),
        ("DELETE", "/requesters/auth", 405),
        ("POST", "/runners/_ws", 405),
        ("GET", "/runners/_ws", 426),
        ("GET", "/requesters/_ws", 426),
    ],
)
async def test_other_requests(method: str, path: str, status: int) -> None:
    front = Front()
    answer = front.ask(method, path)
    assert answer.status == status
    assert json.loads(answer.body)["message"]
    assert front.observer.events == []


async def test_paths_are_settings() -> None:
    front = Front(runners_path="/a/b", requesters_path="/c")
    token = front.grant(side="/a/b")
    assert isinstance(front.knock(f"Bearer {token}", side="/c"), Upgrade)
    assert front.ask("POST", "/runners/auth").status == 404


# --- tokens -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("token", ["", "wrong", SECRET + " ", SECRET[:-1], "ü\ud83d"])
@pytest.mark.parametrize("side", SIDES)
async def test_a_wrong_auth_token(side: str, token: str) -> None:
    front = Front()
    body = json.dumps({"token": token}).encode()
    answer = front.ask("POST", f"{side}/auth", body)
    assert answer.status in ((403,) if token != "ü\ud83d" else (400, 403))
    [event] = front.observer.of(PeerRefused)
    assert (event.address, event.status) == ("1.1.1.1", answer.status)
    assert SECRET not in event.why and SECRET.encode() not in answer.body


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b"null", b"{}", b'{"token": 7}', b'{"token": null}', b"\xff", b"[" * 60_000],
    ids=range(9),
)
async def test_a_body_that_is_no_auth_request(body: bytes) -> None:
    front = Front()
    assert front.ask("POST", "/runners/auth", body).status == 400
    assert [event.status for event in front.observer.of(PeerRefused)] == [400]


async def test_unknown_fields_of_an_auth_request_are_tolerated() -> None:
    body = json.dumps({"token": SECRET, "more": [1, 2]}).encode()
    assert Front().ask("POST", "/runners/auth", body).status == 200


async def test_a_token_is_not_to_be_cached() -> None:
    assert ("Cache-Control", "no-store") in Front().auth().headers


async def test_tokens_that_wait_for_their_use_are_bounded(autojump_clock: trio.testing.MockClock) -> None:
    front = Front(max_grants=2, grant_ttl=15)
    front.grant()
    front.grant()
    answer = front.auth()
    assert answer.status == 429
    assert dict(answer.headers)["Retry-After"] == "15"
    await trio.sleep(15)
    front.grant()


# --- upgrades ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("minted_at", SIDES)
@pytest.mark.parametrize(
    ("side", "codec"), [("/runners", RUNNER_TO_BROKER), ("/requesters", REQUESTER_TO_BROKER)]
)
async def test_a_grant_token_opens_one_connection(side: str, codec: object, minted_at: str) -> None:
    front = Front(max_payload=12345, heartbeat=7)
    token = front.grant(minted_at)
    upgrade = front.knock(f"Bearer {token}", side)
    assert isinstance(upgrade, Upgrade)
    assert upgrade.codec is codec
    assert (upgrade.settings.max_message, upgrade.settings.heartbeat) == (12345, 7)
    assert front.refusal(f"Bearer {token}", side) == 403


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("header", [None, "", "Bearer", "Bearer ", "Basic dXNlcjpwdw==", "Bear er"])
async def test_without_a_token(side: str, header: str | None) -> None:
    front = Front()
    assert front.refusal(header, side) == 401
    assert [event.status for event in front.observer.of(PeerRefused)] == [401]


async def test_the_scheme_is_not_case_sensitive() -> None:
    front = Front()
    assert isinstance(front.knock(f"bearer  {front.grant()}"), Upgrade)


@pytest.mark.parametrize("token", ["unknown", SECRET, "\xff"])
async def test_an_unknown_token(token: str) -> None:
    assert Front().refusal(f"Bearer {token}") == 403


async def test_an_expired_token(autojump_clock: trio.testing.MockClock) -> None:
    front = Front()
    token = front.grant()
    await trio.sleep(15)
    assert front.refusal(f"Bearer {token}") == 403


@pytest.mark.parametrize("peer_id", [None, "", "i" * 1001])
async def test_without_an_id_the_token_is_not_used_up(peer_id: str | None) -> None:
    front = Front()
    token = front.grant()
    assert front.refusal(f"Bearer {token}", peer_id=peer_id) == 400
    assert isinstance(front.knock(f"Bearer {token}"), Upgrade)


# --- rate limit -------------------------------------------------------------------------------------


@pytest.mark.parametrize("side", SIDES)
async def test_five_a_second_per_address_and_endpoint(
    autojump_clock: trio.testing.MockClock, side: str
) -> None:
    front = Front(requests_per_second=5)
    assert [front.auth("wrong", side).status for _ in range(7)] == [403] * 5 + [429] * 2
    answer = front.auth(side=side)
    assert (answer.status, dict(answer.headers)["Retry-After"]) == (429, "1")
    assert front.auth(side=side, client="3.3.3.3").status == 200
    assert front.auth(side=SIDES[1 - SIDES.index(side)]).status == 200
    assert front.refusal("Bearer x", side) == 403
    await trio.sleep(0.2)
    assert front.auth(side=side).status == 200


async def test_a_flood_is_told_once() -> None:
    front = Front(requests_per_second=5)
    for _ in range(100):
        front.auth("wrong")
    assert [event.status for event in front.observer.of(PeerRefused)] == [403] * 5 + [429]


async def test_upgrades_are_limited_before_their_token_is_used_up(
    autojump_clock: trio.testing.MockClock,
) -> None:
    front = Front(requests_per_second=5)
    token = front.grant()
    assert [front.refusal("Bearer x") for _ in range(6)] == [403] * 5 + [429]
    assert front.refusal(f"Bearer {token}") == 429
    await trio.sleep(1)
    assert isinstance(front.knock(f"Bearer {token}"), Upgrade)
