"""Grant tokens: each opens one connection, so every connection needs a fresh one."""

from __future__ import annotations

from typing import Any

from ..errors import AuthRejected, LinkLost
from ..protocol.raw_json import RawJson
from ..transport.endpoints import broker_endpoint
from ..transport.http_client import HttpAnswer
from .config import RunnerConfig
from .dialer import Dialer

__all__ = ["TokenSource"]


class TokenSource:
    """Hands out one unused grant token per call.

    Args:
        config: the runner's settings; its tokens are read here and nowhere else.
        broker: base URI of the broker that the tokens are for.
        dialer: reaches the broker.
    """

    def __init__(self, config: RunnerConfig, broker: str, dialer: Dialer) -> None:
        self._config = config
        self._dialer = dialer
        self._url = _auth_url(broker, config.runners_path)
        self._given = config.grant_token

    @property
    def renewable(self) -> bool:
        """Whether another token can be had: if not, a lost connection is the end."""
        return bool(self._given or self._config.auth_token)

    def follow(self, config: RunnerConfig) -> None:
        """Mint tokens by other settings from now on; a grant token is that of the beginning."""
        self._config = config

    async def fresh(self) -> str:
        """Return a token that no connection has used.

        Raises:
            AuthRejected: the broker does not accept the auth token.
            LinkLost: the broker cannot be reached or gives no token, or none can be had any more.

        Cancellation:
            Safe: a token in flight is simply never used.
        """
        if self._given:
            token, self._given = self._given, ""
            return token
        if not self._config.auth_token:
            raise LinkLost("the grant token has been used and there is no auth token to mint another")
        answer = await self._dialer.post_json(
            self._url, RawJson.of({"token": self._config.auth_token}), settings=self._config.link
        )
        return self._token_in(answer)

    def _token_in(self, answer: HttpAnswer) -> str:
        if answer.status in (401, 403):
            raise AuthRejected(
                f"{self._url} refused the auth token ({answer.status}): the broker has another one",
                status=answer.status,
            )
        if answer.status == 429:
            raise LinkLost(f"{self._url} is limiting the rate of token requests (429)")
        if answer.status >= 500:
            raise LinkLost(
                f"{self._url} answered {answer.status}: the broker, or a proxy before it, is in trouble;"
                " see its log"
            )
        if answer.status // 100 != 2:
            raise LinkLost(f"{self._url} answered {answer.status}: is this the URI of a task broker?")
        try:
            return _token_field(_decoded(answer.body))
        except ValueError as exc:
            raise LinkLost(
                f"{self._url} answered without a grant token ({exc}): is this the URI of a task broker?"
            ) from exc


def _auth_url(broker: str, runners_path: str) -> str:
    websocket_url = broker_endpoint(broker, f"{runners_path}/auth")
    return "http" + websocket_url.removeprefix("ws")


def _decoded(body: bytes) -> Any:
    try:
        return RawJson(body).decode()
    except ValueError:
        raise ValueError("it is not JSON") from None


def _token_field(answer: Any) -> str:
    data = answer.get("data") if isinstance(answer, dict) else None
    token = data.get("token") if isinstance(data, dict) else None
    if not isinstance(token, str) or not token:
        raise ValueError("expected {'data': {'token': …}}")
    if not (token.isascii() and token.isprintable() and token == token.strip()):
        raise ValueError("the token has characters that no HTTP header can carry")
    return token
