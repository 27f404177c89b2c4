"""From settings to the broker's configuration."""

from __future__ import annotations

import attrs
import pytest

from trio_runner.broker.config import BrokerConfig
from trio_runner.errors import ConfigError
from trio_runner.service.settings.broker import BrokerSettings, broker_config
from trio_runner.service.settings.table import Reading, read_settings

AUTH = {"N8N_RUNNERS_AUTH_TOKEN": "auth-token-1"}
# Left to embedding applications: an operator has no reason to turn these.
INTERNAL = {"info_timeout", "max_grants", "max_open_offers", "max_queued"}


def reading(environ: dict[str, str]) -> Reading[BrokerSettings]:
    return read_settings(BrokerSettings, {}, environ)


def test_defaults_are_those_of_the_configuration() -> None:
    assert broker_config(reading(AUTH)) == BrokerConfig(auth_token="auth-token-1")


def test_every_field_of_the_configuration_can_be_set() -> None:
    fields = {field.name for field in attrs.fields(BrokerConfig)}
    assert fields - {field.name for field in attrs.fields(BrokerSettings)} == INTERNAL


def test_everything_arrives() -> None:
    config = broker_config(
        reading(
            {
                **AUTH,
                "N8N_RUNNERS_BROKER_LISTEN_ADDRESS": "::",
                "N8N_RUNNERS_BROKER_PORT": "0",
                "N8N_RUNNERS_PATH": "/r",
                "N8N_RUNNERS_TASK_REQUEST_TIMEOUT": "7",
                "N8N_RUNNERS_TASK_TIMEOUT": "8",
                "N8N_RUNNERS_HEARTBEAT_INTERVAL": "9",
                "N8N_RUNNERS_MAX_PAYLOAD": "1000",
            }
        )
    )
    assert (config.host, config.port, config.runners_path) == ("::", 0, "/r")
    assert (config.request_timeout, config.execution_timeout, config.heartbeat) == (7, 8, 9)
    assert config.max_payload == 1000


def test_a_secret_is_made_up_only_when_asked_for() -> None:
    with pytest.raises(ConfigError, match=r"N8N_RUNNERS_AUTH_TOKEN .*--generate-token"):
        broker_config(reading({}))
    asked = {"TRIO_RUNNER_BROKER_GENERATE_TOKEN": "true"}
    first, second = broker_config(reading(asked)), broker_config(reading(asked))
    assert len(first.auth_token) >= 32
    assert first.auth_token != second.auth_token
    assert broker_config(reading({**asked, **AUTH})).auth_token == "auth-token-1"


def test_paths_must_differ() -> None:
    environ = {**AUTH, "N8N_RUNNERS_PATH": "/requesters"}
    with pytest.raises(
        ConfigError, match=r"N8N_RUNNERS_PATH and TRIO_RUNNER_BROKER_REQUESTERS_PATH are both"
    ):
        broker_config(reading(environ))
