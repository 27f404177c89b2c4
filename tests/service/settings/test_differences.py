"""What differs between two readings, told to people, and what of it is in force."""

from __future__ import annotations

from trio_runner.service.settings.differences import differences, in_force
from trio_runner.service.settings.run import RunSettings


def told(before: RunSettings, after: RunSettings) -> list[str]:
    return [difference.told() for difference in differences(before, after)]


def test_nothing_differs() -> None:
    assert told(RunSettings(auth_token="a"), RunSettings(auth_token="a")) == []


def test_what_is_live_and_what_is_not() -> None:
    after = RunSettings(stdlib_allow=frozenset({"re", "json"}), task_timeout=2.5, health_check_port=9)
    assert told(RunSettings(), after) == [
        "task-timeout is now 2.5, was 60",
        "stdlib-allow is now json,re, was none",
        "health-check-port cannot change while the daemon runs: it stays 5681 until a restart makes it 9",
    ]


def test_empty_values_and_defaults_have_words() -> None:
    before = RunSettings(builtins_deny=frozenset({"eval"}), runner_id="me")
    assert told(before, RunSettings(builtins_deny=frozenset())) == [
        "runner-id cannot change while the daemon runs: it stays me until a restart makes it random",
        "builtins-deny is now empty, was eval",
    ]


def test_secrets_are_not_shown() -> None:
    assert told(RunSettings(), RunSettings(auth_token="s3cret")) == ["auth-token is now ***, was not set"]
    assert told(RunSettings(auth_token="s3cret"), RunSettings(auth_token="s3cre2")) == [
        "auth-token is now ***, was ***"
    ]


def test_what_is_in_force_is_compared_the_next_time() -> None:
    before = RunSettings()
    after = RunSettings(task_timeout=5, health_check_port=9)
    assert in_force(before, after) == RunSettings(task_timeout=5)
