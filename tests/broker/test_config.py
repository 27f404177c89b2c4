"""The settings of a broker."""

from __future__ import annotations

import math
from typing import Any

import pytest

from trio_runner.broker.config import BrokerConfig
from trio_runner.errors import ConfigError


def test_the_defaults_are_those_of_the_protocol() -> None:
    config = BrokerConfig(auth_token="secret")
    assert (config.host, config.port) == ("127.0.0.1", 5679)
    assert (config.runners_path, config.requesters_path) == ("/runners", "/requesters")
    assert (config.grant_ttl, config.requests_per_second, config.heartbeat) == (15, 5, 30)
    limits = config.limits
    assert (limits.accept_timeout, limits.settings_timeout, limits.max_strikes) == (2, 2, 3)
    assert (limits.request_timeout, limits.execution_timeout) == (60, 300)
    assert (config.link.max_message, config.link.heartbeat) == (1024**3, 30)


def test_limits_and_link_follow_the_settings() -> None:
    config = BrokerConfig(auth_token="s", accept_timeout=1, max_waiting=7, max_payload=99, max_queued=5)
    assert (config.limits.accept_timeout, config.limits.max_waiting) == (1, 7)
    assert (config.link.max_message, config.link.max_queued) == (99, 5)


def test_the_secret_is_not_shown() -> None:
    assert "secret" not in repr(BrokerConfig(auth_token="secret"))


def test_no_limit_on_requests() -> None:
    assert BrokerConfig(auth_token="s", requests_per_second=math.inf).requests_per_second == math.inf


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"auth_token": ""}, "auth_token is empty"),
        ({"port": 65536}, "port must be from 0"),
        ({"port": -1}, "port must be from 0"),
        ({"runners_path": "runners"}, "runners_path must be a path such as /runners"),
        ({"runners_path": "/runners/"}, "runners_path must be a path"),
        ({"requesters_path": ""}, "requesters_path must be a path such as /requesters"),
        ({"requesters_path": "/a?b"}, "requesters_path must be a path"),
        ({"runners_path": "/x", "requesters_path": "/x"}, "give them different paths"),
        ({"grant_ttl": 0}, "grant_ttl must be more than 0 seconds, not 0"),
        ({"heartbeat": -1}, "heartbeat must be more than 0 seconds"),
        ({"info_timeout": 0}, "info_timeout must be more than 0 seconds"),
        ({"accept_timeout": math.nan}, "accept_timeout must be more than 0 seconds"),
        ({"settings_timeout": math.inf}, "settings_timeout must be more than 0 seconds"),
        ({"request_timeout": 0}, "request_timeout must be more than 0 seconds"),
        ({"execution_timeout": -5}, "execution_timeout must be more than 0 seconds"),
        ({"drain_timeout": 0}, "drain_timeout must be more than 0 seconds"),
        ({"max_strikes": 0}, "max_strikes must be at least 1, not 0"),
        ({"max_waiting": 0}, "max_waiting must be at least 1"),
        ({"max_open_offers": 0}, "max_open_offers must be at least 1"),
        ({"max_grants": 0}, "max_grants must be at least 1"),
        ({"max_connections": 0}, "max_connections must be at least 1"),
        ({"max_queued": 0}, "max_queued must be at least 1"),
        ({"max_payload": 0}, "max_payload must be at least 1"),
        ({"max_payload": 4 * 1024**3}, "max_payload must be at most 4294967295 bytes"),
        ({"requests_per_second": 0}, "requests_per_second must be more than 0"),
        ({"requests_per_second": math.nan}, "requests_per_second must be more than 0"),
    ],
)
def test_what_is_wrong_is_named(wrong: dict[str, Any], named: str) -> None:
    with pytest.raises(ConfigError) as caught:
        BrokerConfig(**{"auth_token": "s", **wrong})
    assert named in str(caught.value)
