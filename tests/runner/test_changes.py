"""What may change in a runner that runs, and what of a new configuration has to wait."""

from __future__ import annotations

from typing import Any

import attrs
import pytest

from trio_runner.errors import ConfigError
from trio_runner.runner.changes import changes_to
from trio_runner.runner.config import RunnerConfig
from trio_runner.sandbox.config import SandboxConfig
from trio_runner.sandbox.policy import Policy
from trio_runner.scheduling.offers import OfferPolicy
from trio_runner.transport.link import LinkSettings

RUNNING = RunnerConfig(auth_token="a", runner_id="r")
STRICT = Policy(stdlib_allow=frozenset({"json"}))
LIVE: dict[str, Any] = {
    "brokers": ("http://b",),
    "auth_token": "b",
    "max_concurrency": 7,
    "task_timeout": 1.0,
    "max_tasks": 100,
    "max_uptime": 3600.0,
    "idle_timeout": 1.0,
    "grace": 1.0,
    "policy": STRICT,
    "preload": ("json",),
    "sandbox": SandboxConfig(strictness="off"),
    "reuse": 5,
}
FIXED: dict[str, Any] = {
    "grant_token": "g",
    "runner_id": "s",
    "name": "n",
    "runners_path": "/r",
    "settings_timeout": 1.0,
    "link": LinkSettings(max_message=5000),
    "offers": OfferPolicy(validity=1.0),
}


def test_every_field_is_one_or_the_other() -> None:
    assert set(LIVE) | set(FIXED) == {field.name for field in attrs.fields(RunnerConfig)}


@pytest.mark.parametrize("name", LIVE)
def test_what_changes_at_once(name: str) -> None:
    report = changes_to(RUNNING, attrs.evolve(RUNNING, **{name: LIVE[name]}))
    assert (report.applied, report.need_restart) == ((name,), ())
    assert report.config == attrs.evolve(RUNNING, **{name: LIVE[name]})


@pytest.mark.parametrize("name", FIXED)
def test_what_needs_a_restart(name: str) -> None:
    report = changes_to(RUNNING, attrs.evolve(RUNNING, **{name: FIXED[name]}))
    assert (report.applied, report.need_restart) == ((), (name,))
    assert report.config == RUNNING


def test_nothing_is_changed_by_the_same() -> None:
    report = changes_to(RUNNING, attrs.evolve(RUNNING))
    assert (report.applied, report.need_restart, report.config) == ((), (), RUNNING)


def test_rules_and_walls_are_the_matter_of_an_executor_that_was_given() -> None:
    wanted = attrs.evolve(RUNNING, policy=STRICT, preload=("json",), sandbox=SandboxConfig(strictness="off"))
    report = changes_to(RUNNING, wanted, own_workers=False)
    assert set(report.need_restart) == {"policy", "preload", "sandbox"}
    assert report.config == RUNNING


def test_the_largest_result_stays_with_the_payload_limit() -> None:
    policy = Policy(max_result=5000, builtins_deny=frozenset())
    report = changes_to(RUNNING, attrs.evolve(RUNNING, link=LinkSettings(max_message=5000), policy=policy))
    assert (report.applied, report.need_restart) == (("policy",), ("link",))
    assert report.config.policy == Policy(max_result=RUNNING.policy.max_result, builtins_deny=frozenset())


def test_what_contradicts_what_stays_is_refused() -> None:
    running = RunnerConfig(brokers=("http://a",), grant_token="g", runner_id="r")
    wanted = RunnerConfig(brokers=("http://a", "http://b"), auth_token="a", runner_id="r")
    with pytest.raises(ConfigError, match="a grant token is good for one broker"):
        changes_to(running, wanted)
