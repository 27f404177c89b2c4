"""The grant token for a requester's one connection, minted from the broker's auth token."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from ..errors import AuthRejected, LinkLost
from ..protocol.raw_json import RawJson
from ..transport.http_client import HttpAnswer, post_json
from ..transport.link import LinkSettings

__all__ = ["mint_grant_token"]


async def mint_grant_token(base: str, path: str, auth_token: str, *, settings: LinkSettings) -> str:
    """Ask a broker for a grant token.

    Args:
        base: base URL of the broker.
        path: the broker's path for requesters.
        auth_token: the broker's shared secret.
        settings: limits of the connection.

    Raises:
        AuthRejected: the broker does not accept the auth token.
        LinkLost: the broker cannot be reached, or what answers is no broker for requesters.
    """
    url = _auth_url(base, path)
    answer = await post_json(url, RawJson.of({"token": auth_token}), settings=settings)
    _check_status(url, answer)
    try:
        return _token_in(RawJson(answer.body).decode())
    except ValueError as exc:
        raise LinkLost(f"{url} answered without a grant token: is this the URL of a task broker?") from exc


def _auth_url(base: str, path: str) -> str:
    parts = urlsplit(base)
    scheme = {"ws": "http", "wss": "https"}.get(parts.scheme, parts.scheme)
    joined = f"{parts.path.rstrip('/')}/{path.strip('/')}/auth"
    return parts._replace(scheme=scheme, path=joined, query="", fragment="").geturl()


def _check_status(url: str, answer: HttpAnswer) -> None:
    status = answer.status
    if status in (401, 403):
        raise AuthRejected(
            f"{url} refused the auth token ({status}): it must be the one that the broker was started with",
            status=status,
        )
    if status == 404:
        raise LinkLost(
            f"{url} does not exist (404): is this a broker that serves requesters? n8n's own does not"
        )
    if status == 429:
        raise LinkLost(f"{url} limits the rate of connections (429): try again in a second")
    if status >= 500:
        raise LinkLost(
            f"{url} answered {status}: the broker, or a proxy before it, is in trouble; see its log"
        )
    if status // 100 != 2:
        raise LinkLost(f"{url} answered {status}: is this the URL of a task broker?")


def _token_in(answer: Any) -> str:
    data = answer.get("data") if isinstance(answer, dict) else None
    token = data.get("token") if isinstance(data, dict) else None
    if not isinstance(token, str) or not token:
        raise ValueError("expected {'data': {'token': …}}")
    if not (token.isascii() and token.isprintable() and token == token.strip()):
        raise ValueError("the token has characters that no HTTP header can carry")
    return token
