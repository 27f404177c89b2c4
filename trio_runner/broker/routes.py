"""What the broker answers over HTTP: tokens, health, and who may open a WebSocket."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import msgspec
import trio

from ..protocol.codec import REQUESTER_TO_BROKER, RUNNER_TO_BROKER
from ..scheduling.matching.requests import MAX_NAME
from ..scheduling.observer import Observer, PeerRefused
from ..scheduling.rate_limit import RateLimit
from ..transport.http_server import HttpRequest, HttpResponse, Upgrade
from .config import BrokerConfig
from .peers import Peers
from .tokens import GrantTokens, same_token

__all__ = ["Routes"]

Answer = HttpResponse | Upgrade[Any]

_BEARER = "bearer "
_HEALTH = ("/healthz", "/livez", "/readyz")


class _AuthBody(msgspec.Struct):
    token: str


class _Refusal(Exception):
    """The request is refused. `why` goes to the client and, if `news`, to the observer."""

    def __init__(self, status: int, why: str, *, retry_after: float = 0.0, news: bool = True) -> None:
        super().__init__(why)
        self.status = status
        self.why = why
        self.retry_after = retry_after
        self.news = news


class Routes:
    """Answers requests; `answer` is the route of the HTTP server.

    Args:
        config: paths, the auth token, limits.
        peers: serves the connections that are let in.
        observer: is told of every refusal, of a client that asks too often only once in a row.
        stalled: why the broker makes no progress, or None.
        draining: whether it takes no more requests.
    """

    def __init__(
        self,
        config: BrokerConfig,
        peers: Peers,
        observer: Observer,
        *,
        stalled: Callable[[], str | None] = lambda: None,
        draining: Callable[[], bool] = lambda: False,
    ) -> None:
        self._stalled = stalled
        self._draining = draining
        self._config = config
        self._peers = peers
        self._observer = observer
        self._grants = GrantTokens(ttl=config.grant_ttl, most=config.max_grants)
        runners, requesters = config.runners_path, config.requesters_path
        self._routes: Mapping[str, tuple[str, Callable[[HttpRequest], Answer]]] = {
            f"{runners}/auth": ("POST", self._auth),
            f"{requesters}/auth": ("POST", self._auth),
            f"{runners}/_ws": ("GET", self._runner),
            f"{requesters}/_ws": ("GET", self._requester),
        }
        self._limits = {path: RateLimit(config.requests_per_second) for path in self._routes}

    def answer(self, request: HttpRequest) -> Answer:
        """Answer one request."""
        if request.path in _HEALTH and request.method == "GET":
            return self._health(request.path)
        try:
            return self._handler(request)(request)
        except _Refusal as refusal:
            if refusal.news:
                self._observer.observe(PeerRefused(request.client, refusal.status, refusal.why))
            headers = (("Retry-After", str(math.ceil(refusal.retry_after))),) if refusal.retry_after else ()
            return _json(refusal.status, {"message": refusal.why}, headers)

    def _handler(self, request: HttpRequest) -> Callable[[HttpRequest], Answer]:
        """Find who answers, if the client may ask now.

        Raises:
            _Refusal: nobody does, or it may not.
        """
        method, handler = self._routes.get(request.path, ("", None))
        if handler is None:
            known = request.path in _HEALTH
            raise _Refusal(405 if known else 404, "no such method" if known else "no such path", news=False)
        verdict = self._limits[request.path].ask(request.client, trio.current_time())
        if not verdict.admitted:
            raise _Refusal(
                429,
                f"more than {self._config.requests_per_second:g} requests a second to {request.path}",
                retry_after=verdict.retry_after,
                news=verdict.news,
            )
        if request.method != method:
            raise _Refusal(405, f"{request.path} answers {method} only", news=False)
        return handler

    def _health(self, path: str) -> HttpResponse:
        """Answer whether the broker is there, makes progress, or takes requests; nothing that tells more."""
        stalled = self._stalled() if path == "/livez" else None
        if stalled is not None:
            return _json(503, {"status": "stalled", "reason": stalled})
        if path == "/readyz" and self._draining():
            return _json(503, {"status": "draining", "reason": "the broker takes no more requests and ends"})
        return _json(200, {"status": "ok"})

    def _auth(self, request: HttpRequest) -> HttpResponse:
        """Give a grant token for the auth token."""
        try:
            given = msgspec.json.decode(request.body, type=_AuthBody).token
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
            raise _Refusal(400, 'the body must be a JSON object {"token": "…"}') from exc
        if not same_token(self._config.auth_token, given):
            raise _Refusal(403, "the auth token is wrong: it must be the one that the broker was given")
        now = trio.current_time()
        grant = self._grants.mint(now)
        if grant is None:
            raise _Refusal(
                429, "too many grant tokens wait for their use", retry_after=self._grants.room_in(now)
            )
        return _json(200, {"data": {"token": grant}}, (("Cache-Control", "no-store"),))

    def _runner(self, request: HttpRequest) -> Upgrade[Any]:
        runner_id = self._let_in(request, "runner")
        return Upgrade(RUNNER_TO_BROKER, partial(self._peers.serve_runner, runner_id), self._config.link)

    def _requester(self, request: HttpRequest) -> Upgrade[Any]:
        requester_id = self._let_in(request, "requester")
        return Upgrade(
            REQUESTER_TO_BROKER, partial(self._peers.serve_requester, requester_id), self._config.link
        )

    def _let_in(self, request: HttpRequest, role: str) -> str:
        """Check all that a new connection must bring; only then is its grant token used up.

        Returns:
            The id of the peer.

        Raises:
            _Refusal: something is missing or wrong.
        """
        if not request.wants_upgrade:
            raise _Refusal(426, f"{request.path} speaks WebSocket only", news=False)
        authorization = request.headers.get("authorization", "").strip()
        token = authorization[len(_BEARER) :].strip()
        if authorization[: len(_BEARER)].lower() != _BEARER or not token:
            raise _Refusal(401, "the header 'Authorization: Bearer {grant token}' is missing")
        peer_id = request.query.get("id", "")
        if not peer_id or len(peer_id) > MAX_NAME:
            raise _Refusal(400, f"the query must name the {role}: ?id=… (1 to {MAX_NAME} characters)")
        if not self._grants.spend(token, trio.current_time()):
            raise _Refusal(403, "the grant token is unknown, expired or used: mint another one")
        return peer_id


def _json(status: int, value: object, headers: tuple[tuple[str, str], ...] = ()) -> HttpResponse:
    return HttpResponse(status, msgspec.json.encode(value), "application/json; charset=utf-8", headers)
