"""What a broker is told: frozen, checked on construction."""

from __future__ import annotations

import math

import attrs

from ..errors import ConfigError
from ..scheduling.matching.limits import MatchingLimits
from ..transport.link import LinkSettings

__all__ = ["BrokerConfig"]

# What a WebSocket frame header, and so n8n, has room for in a payload of the 32-bit kind.
_LARGEST_PAYLOAD = 4 * 1024**3 - 1


@attrs.frozen(kw_only=True)
class BrokerConfig:
    """The settings of one broker. Every default is that of n8n's broker where it has one.

    Attributes:
        auth_token: the secret that runners and requesters share with the broker.
        host: address to listen on.
        port: port to listen on; 0: any free one.
        runners_path: path of the endpoints for runners.
        requesters_path: path of the endpoints for requesters.
        grant_ttl: seconds in which a grant token must be used.
        max_grants: grant tokens that may wait for their use at once.
        requests_per_second: how often one address may ask at one endpoint; `math.inf`: as often as it likes.
        max_connections: connections at a time; those beyond are refused.
        info_timeout: seconds in which a new runner must say who it is.
        heartbeat: seconds between pings; a peer that leaves one unanswered until the next is dropped.
        accept_timeout: seconds in which a runner must answer an accept.
        settings_timeout: seconds in which a requester must send the settings of a ready task.
        request_timeout: seconds in which a request must be accepted by a runner.
        execution_timeout: seconds from the settings to the end of a task.
        drain_timeout: seconds that running tasks get after `BrokerHandle.drain`.
        max_strikes: accepts that a runner may leave unanswered in a row before it is dropped.
        max_waiting: requests that may wait at once, of all task types together.
        max_open_offers: offers that one runner may have open at once.
        max_payload: largest message in either direction, bytes.
        max_queued: bytes that may wait to be written to one peer before it counts as stuck and is dropped. A
            message that is larger by itself is sent nevertheless.

    Raises:
        ConfigError: a value is out of range, or values contradict each other.
    """

    auth_token: str = attrs.field(repr=False)
    host: str = "127.0.0.1"
    port: int = 5679
    runners_path: str = "/runners"
    requesters_path: str = "/requesters"
    grant_ttl: float = 15.0
    max_grants: int = 10_000
    requests_per_second: float = 5.0
    max_connections: int = 10_000
    info_timeout: float = 10.0
    heartbeat: float = 30.0
    accept_timeout: float = 2.0
    settings_timeout: float = 2.0
    request_timeout: float = 60.0
    execution_timeout: float = 300.0
    drain_timeout: float = 10.0
    max_strikes: int = 3
    max_waiting: int = 10_000
    max_open_offers: int = 10_000
    max_payload: int = 1024**3
    max_queued: int = 1024**3

    def __attrs_post_init__(self) -> None:
        if not self.auth_token:
            raise ConfigError("auth_token is empty: set the secret that runners and requesters must know")
        if not 0 <= self.port <= 65535:
            raise ConfigError(f"port must be from 0 (any free one) to 65535, not {self.port}")
        self._check_paths()
        for name in _POSITIVE_SECONDS:
            _check_seconds(name, getattr(self, name))
        for name in _POSITIVE_COUNTS:
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} must be at least 1, not {getattr(self, name)}")
        if not self.requests_per_second > 0:
            raise ConfigError(f"requests_per_second must be more than 0, not {self.requests_per_second:g}")
        if self.max_payload > _LARGEST_PAYLOAD:
            raise ConfigError(f"max_payload must be at most {_LARGEST_PAYLOAD} bytes, not {self.max_payload}")

    def _check_paths(self) -> None:
        for name in ("runners_path", "requesters_path"):
            path = getattr(self, name)
            if not path.startswith("/") or path.endswith("/") or any(mark in path for mark in "?#% "):
                raise ConfigError(f"{name} must be a path such as /{name.partition('_')[0]}, not {path!r}")
        if self.runners_path == self.requesters_path:
            raise ConfigError(
                f"runners_path and requesters_path are both {self.runners_path!r}: give them different paths"
            )

    @property
    def limits(self) -> MatchingLimits:
        """What the matching is held to."""
        return MatchingLimits(
            **{field.name: getattr(self, field.name) for field in attrs.fields(MatchingLimits)}
        )

    @property
    def link(self) -> LinkSettings:
        """The limits of every connection."""
        return LinkSettings(
            max_message=self.max_payload, heartbeat=self.heartbeat, max_queued=self.max_queued
        )


_POSITIVE_SECONDS = (
    "grant_ttl",
    "info_timeout",
    "heartbeat",
    "accept_timeout",
    "settings_timeout",
    "request_timeout",
    "execution_timeout",
    "drain_timeout",
)
_POSITIVE_COUNTS = (
    "max_grants",
    "max_connections",
    "max_strikes",
    "max_waiting",
    "max_open_offers",
    "max_payload",
    "max_queued",
)


def _check_seconds(name: str, value: float) -> None:
    if not math.isfinite(value) or value <= 0:
        raise ConfigError(f"{name} must be more than 0 seconds, not {value:g}")
