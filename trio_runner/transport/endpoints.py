"""URLs of brokers: taken apart, checked, and put together with a path."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import SplitResult, urlencode, urlsplit

import attrs

from ..errors import ConfigError

__all__ = ["Endpoint", "broker_endpoint", "parse_endpoint"]

_SCHEMES = {"http": False, "ws": False, "https": True, "wss": True}
"""Whether a scheme asks for TLS."""
_PLAIN_PORT = 80
_TLS_PORT = 443
_EXAMPLE = "write it like http://broker.example:5679"


@attrs.frozen
class Endpoint:
    """Where to connect to.

    Attributes:
        secure: TLS is wanted.
        host: name or address, without brackets.
        port: TCP port.
        target: path and query as they go into the request line.
        scheme: as it was written: ``http``, ``https``, ``ws`` or ``wss``.
    """

    secure: bool
    host: str
    port: int
    target: str
    scheme: str

    @property
    def authority(self) -> str:
        """Host and port for people: ``broker:5679``, ``[::1]:5679``."""
        return f"{_bracketed(self.host)}:{self.port}"

    @property
    def host_header(self) -> str:
        """Host and port for the Host header, which leaves out the scheme's usual port."""
        usual = _TLS_PORT if self.secure else _PLAIN_PORT
        return _bracketed(self.host) if self.port == usual else self.authority

    @property
    def shown(self) -> str:
        """The URL for logs and errors, without the query."""
        return f"{self.scheme}://{self.authority}{self.target.partition('?')[0]}"


def parse_endpoint(url: str) -> Endpoint:
    """Take a URL apart.

    Args:
        url: an ``http``, ``https``, ``ws`` or ``wss`` URL; the path and the query are kept.

    Raises:
        ConfigError: it is no such URL; the message names it and the remedy.
    """
    parts, port = _split(url)
    secure = _SCHEMES[parts.scheme]
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    if not target.isascii() or any(character <= " " for character in target):
        raise ConfigError(f"{url!r} has characters in its path that must be percent-encoded; {_EXAMPLE}")
    usual = _TLS_PORT if secure else _PLAIN_PORT
    return Endpoint(secure, parts.hostname or "", usual if port is None else port, target, parts.scheme)


def broker_endpoint(base: str, path: str, *, query: Mapping[str, str] | None = None) -> str:
    """Return the WebSocket URL of a path at a broker.

    Args:
        base: the broker's base URL; ``http`` becomes ``ws``, ``https`` ``wss``; a path prefix is kept.
        path: what to append, such as ``/runners/_ws``.
        query: query parameters, not encoded yet.

    Raises:
        ConfigError: `base` is no URL of a broker; the message names it and the remedy.
    """
    parts, _ = _split(base)
    if parts.query or parts.fragment:
        raise ConfigError(f"{base!r} must end with its path, without '?' or '#'; {_EXAMPLE}")
    scheme = "wss" if _SCHEMES[parts.scheme] else "ws"
    encoded = f"?{urlencode(query)}" if query else ""
    return f"{scheme}://{parts.netloc}{parts.path.rstrip('/')}/{path.lstrip('/')}{encoded}"


def _split(url: str) -> tuple[SplitResult, int | None]:
    """Check what every URL here must be, and return its parts and its port.

    Raises:
        ConfigError: it is not.
    """
    try:
        parts = urlsplit(url.strip())
        port = parts.port
    except ValueError as exc:
        raise ConfigError(f"{url!r} is not a URL: {exc}; {_EXAMPLE}") from exc
    if parts.scheme not in _SCHEMES or not parts.hostname:
        raise ConfigError(f"{url!r} is not the URL of a broker; {_EXAMPLE}")
    if port == 0:
        raise ConfigError(f"{url!r} names port 0, to which nothing can connect; {_EXAMPLE}")
    if "@" in parts.netloc:
        where = parts.netloc.rpartition("@")[2]
        raise ConfigError(
            f"the URL for {where} holds a user name or password; tokens have settings of their own"
        )
    return parts, port


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
