"""What a runner refuses to be told, and how it says so."""

from __future__ import annotations

import math
from typing import Any

import pytest

from trio_runner.errors import ConfigError
from trio_runner.runner.config import RunnerConfig
from trio_runner.transport.link import LinkSettings


def test_the_defaults_are_those_of_the_protocol_document() -> None:
    config = RunnerConfig(auth_token="secret")
    assert config.brokers == ("http://127.0.0.1:5679",)
    assert config.max_concurrency == 5
    assert config.task_timeout == 60
    assert config.idle_timeout == 0
    assert config.grace == 10
    assert config.link.max_message == 1024**3
    assert config.name == "Python Task Runner"


def test_ids_are_random() -> None:
    first, second = RunnerConfig(auth_token="a"), RunnerConfig(auth_token="a")
    assert first.runner_id != second.runner_id


def test_tokens_do_not_show_in_the_repr() -> None:
    assert "hush" not in repr(RunnerConfig(auth_token="hush-a", grant_token="hush-g"))


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"auth_token": ""}, "no token: set auth_token"),
        ({"brokers": ()}, "brokers is empty"),
        ({"brokers": ("localhost:5679",)}, "'localhost:5679'"),
        ({"brokers": ("http://",)}, "'http://'"),
        ({"brokers": ("http://a", "http://b", "http://a")}, "'http://a' is given twice"),
        ({"grant_token": "g", "brokers": ("http://a", "http://b")}, "good for one broker"),
        ({"max_concurrency": 0}, "max_concurrency must be at least 1, not 0"),
        ({"task_timeout": 0.0}, "task_timeout must be more than 0 seconds, not 0"),
        ({"task_timeout": math.nan}, "task_timeout must be more than 0 seconds"),
        ({"grace": -1.0}, "grace must be more than 0 seconds, not -1"),
        ({"settings_timeout": math.inf}, "settings_timeout must be more than 0 seconds"),
        (
            {"link": LinkSettings(max_message=999)},
            "the largest message must be at least 1000 bytes, not 999",
        ),
        ({"idle_timeout": -0.5}, "idle_timeout must be at least 0 seconds, not -0.5"),
    ],
)
def test_what_makes_no_sense_is_refused_by_name(change: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ConfigError) as caught:
        RunnerConfig(**{"auth_token": "hush", **change})
    assert complaint in str(caught.value)
    assert "hush" not in str(caught.value)
