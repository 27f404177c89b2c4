"""From settings to the runner's configuration: what arrives, what contradicts, what is odd."""

from __future__ import annotations

import re

import pytest

from trio_runner.errors import ConfigError
from trio_runner.runner.changes import changes_to
from trio_runner.sandbox.policy import DEFAULT_BUILTINS_DENY
from trio_runner.service.settings.entry import settings_of
from trio_runner.service.settings.run import RunSettings
from trio_runner.service.settings.run_config import oddities, runner_config
from trio_runner.service.settings.table import Reading, read_settings

AUTH = {"N8N_RUNNERS_AUTH_TOKEN": "auth-token-1"}
GRANT = {"N8N_RUNNERS_GRANT_TOKEN": "grant-token-1"}


def reading(environ: dict[str, str]) -> Reading[RunSettings]:
    return read_settings(RunSettings, {}, environ)


def test_everything_arrives() -> None:
    environ = {
        **AUTH,
        "N8N_RUNNERS_TASK_BROKER_URI": "http://a:1,http://b:2/prefix",
        "N8N_RUNNERS_ID": "r1",
        "N8N_RUNNERS_PATH": "/my-runners",
        "N8N_RUNNERS_MAX_CONCURRENCY": "7",
        "N8N_RUNNERS_MAX_PAYLOAD": "1000",
        "N8N_RUNNERS_TASK_TIMEOUT": "8",
        "N8N_RUNNERS_AUTO_SHUTDOWN_TIMEOUT": "9",
        "N8N_RUNNERS_GRACEFUL_SHUTDOWN_TIMEOUT": "11",
        "N8N_RUNNERS_STDLIB_ALLOW": "json",
        "N8N_RUNNERS_EXTERNAL_ALLOW": "*",
        "N8N_RUNNERS_BUILTINS_DENY": "",
    }
    config = runner_config(reading(environ), environ)
    assert config.brokers == ("http://a:1", "http://b:2/prefix")
    assert (config.auth_token, config.grant_token) == ("auth-token-1", "")
    assert (config.runner_id, config.runners_path, config.max_concurrency) == ("r1", "/my-runners", 7)
    assert (config.task_timeout, config.idle_timeout, config.grace) == (8, 9, 11)
    assert (config.link.max_message, config.link.ca_file, config.policy.max_result) == (1000, None, 1000)
    assert config.policy.stdlib_allow == {"json"}
    assert config.policy.external_allow == {"*"}
    assert config.policy.builtins_deny == frozenset()
    assert config.policy.environment == ()


@pytest.mark.parametrize(
    ("name", "value", "remedy"),
    [
        ("N8N_RUNNERS_MAX_PAYLOAD", "999", "from 1000 to"),
        ("TRIO_RUNNER_PRELOAD", "json,a/b", "'a/b' is no name of a module"),
    ],
)
def test_a_value_that_the_runner_would_refuse_is_told_by_its_variable(
    name: str, value: str, remedy: str
) -> None:
    with pytest.raises(ConfigError, match=f"^{name}: .*{remedy}"):
        runner_config(reading({**AUTH, name: value}), {})


@pytest.mark.parametrize(
    ("environ", "preload"),
    [
        ({}, ()),
        ({"N8N_RUNNERS_EXTERNAL_ALLOW": "*"}, ()),
        ({"N8N_RUNNERS_EXTERNAL_ALLOW": "pytest,attrs,not_installed,scikit-learn,json"}, ("attrs", "pytest")),
        ({"N8N_RUNNERS_EXTERNAL_ALLOW": "attrs", "TRIO_RUNNER_PRELOAD": "json,decimal"}, ("decimal", "json")),
        ({"N8N_RUNNERS_EXTERNAL_ALLOW": "attrs", "TRIO_RUNNER_PRELOAD": ""}, ()),
    ],
)
def test_what_is_loaded_ahead_of_the_tasks(environ: dict[str, str], preload: tuple[str, ...]) -> None:
    environ = {**AUTH, **environ}
    assert runner_config(reading(environ), environ).preload == preload


def test_defaults_arrive() -> None:
    first, second = (runner_config(reading(GRANT), GRANT) for _ in range(2))
    assert first.grant_token == "grant-token-1"
    assert first.policy.builtins_deny == DEFAULT_BUILTINS_DENY
    assert first.runner_id != second.runner_id, "random by default"


def test_without_a_token_both_variables_are_named() -> None:
    with pytest.raises(ConfigError, match=r"N8N_RUNNERS_AUTH_TOKEN.*N8N_RUNNERS_GRANT_TOKEN"):
        runner_config(reading({}), {})


@pytest.mark.parametrize("more", [{}, AUTH])
def test_a_grant_token_for_several_brokers(more: dict[str, str]) -> None:
    environ = {**GRANT, **more, "TRIO_RUNNER_TASK_BROKER_URI": "http://a,http://b"}
    with pytest.raises(
        ConfigError, match=r"N8N_RUNNERS_GRANT_TOKEN .*TRIO_RUNNER_TASK_BROKER_URI names 2 brokers;"
    ):
        runner_config(reading(environ), environ)


def test_ports_of_the_runner_on_this_machine_are_shut_to_tasks() -> None:
    environ = {
        **AUTH,
        "TRIO_RUNNER_TASK_BROKER_URI": "http://127.0.0.1:5679,https://broker.example:5680",
        "TRIO_RUNNER_OTLP_ENDPOINT": "http://localhost:4318",
    }
    assert runner_config(reading(environ), environ).sandbox.closed_ports == (4318, 5679)


def test_code_sees_the_environment_without_the_secrets() -> None:
    secret = {
        "N8N_RUNNERS_AUTH_TOKEN": "auth-token-1",
        "N8N_RUNNERS_AUTH_TOKEN_FILE": "/run/secrets/a",
        "TRIO_RUNNER_AUTH_TOKEN": "auth-token-1",
        "TRIO_RUNNER_AUTH_TOKEN_FILE": "/run/secrets/b",
        "N8N_RUNNERS_GRANT_TOKEN": "grant-token-1",
        "N8N_RUNNERS_GRANT_TOKEN_FILE": "/run/secrets/c",
        "TRIO_RUNNER_GRANT_TOKEN": "grant-token-1",
        "N8N_SENTRY_DSN": "https://key@sentry.example/1",
        "N8N_SENTRY_DSN_FILE": "/run/secrets/d",
        "OTEL_EXPORTER_OTLP_HEADERS": "api-key=collector-key-1",
        "OTEL_EXPORTER_OTLP_TRACES_HEADERS": "api-key=collector-key-2",
    }
    environ = {**secret, "HOME": "/home/runner", "N8N_BLOCK_RUNNER_ENV_ACCESS": "false"}
    config = runner_config(reading(environ), environ)
    assert dict(config.policy.environment) == {"HOME": "/home/runner", "N8N_BLOCK_RUNNER_ENV_ACCESS": "false"}


@pytest.mark.parametrize(
    ("variable", "text", "said"),
    [
        ("N8N_RUNNERS_STDLIB_ALLOW", "json,pandas", "'pandas' is no module of the standard library"),
        ("N8N_RUNNERS_EXTERNAL_ALLOW", "json", "'json' is a module of the standard library"),
        ("N8N_RUNNERS_EXTERNAL_ALLOW", "no-such.module", "'no-such.module' cannot be imported here"),
        ("N8N_RUNNERS_EXTERNAL_ALLOW", "nosuchmodule", "'nosuchmodule' cannot be imported here"),
        ("N8N_RUNNERS_BUILTINS_DENY", "eval,evil", "there is no builtin 'evil'"),
    ],
)
def test_odd_settings_are_one_line_each(variable: str, text: str, said: str) -> None:
    (line,) = oddities(reading({**AUTH, variable: text}))
    assert variable in line
    assert re.search(re.escape(said), line)
    assert "key@" not in line


@pytest.mark.parametrize("limit", [{"TRIO_RUNNER_TASK_CPU": "9"}, {"TRIO_RUNNER_SANDBOX_PROFILE": "locked"}])
def test_processes_with_a_limit_of_processor_time_run_one_task_each(limit: dict[str, str]) -> None:
    environ = {**AUTH, **limit, "TRIO_RUNNER_REUSE": "9"}
    (line,) = oddities(reading(environ))
    assert line.startswith("TRIO_RUNNER_REUSE has no effect: processor time is limited")
    assert "set TRIO_RUNNER_TASK_CPU to 0" in line
    assert not list(oddities(reading({**environ, "TRIO_RUNNER_SANDBOX": "off"})))
    assert not list(oddities(reading({**environ, "TRIO_RUNNER_TASK_CPU": "0"})))


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"N8N_RUNNERS_STDLIB_ALLOW": "*", "N8N_RUNNERS_EXTERNAL_ALLOW": "*"},
        {"N8N_RUNNERS_STDLIB_ALLOW": "json,re", "N8N_RUNNERS_EXTERNAL_ALLOW": "attrs"},
        {"N8N_RUNNERS_BUILTINS_DENY": "eval"},
    ],
)
def test_sound_settings_are_not_odd(environ: dict[str, str]) -> None:
    assert not list(oddities(reading(environ)))


CHANGED = {
    "brokers": "http://b",
    "auth_token": "other-token",
    "grant_token": "a-grant-token",
    "runner_id": "other",
    "runners_path": "/other",
    "max_concurrency": "9",
    "max_payload": "5000",
    "task_timeout": "9",
    "reuse": "9",
    "stdlib_allow": "json",
    "external_allow": "attrs",
    "builtins_deny": "eval",
    "preload": "json",
    "block_env_access": "false",
    "auto_shutdown_timeout": "9",
    "graceful_shutdown_timeout": "9",
    "sandbox": "off",
    "sandbox_profile": "locked",
    "sandbox_network": "deny",
    "sandbox_disable": "seccomp",
    "task_memory": "1GiB",
    "task_open_files": "99",
}


@pytest.mark.parametrize("name", CHANGED)
def test_what_the_table_calls_live_is_live_in_the_runner(name: str) -> None:
    entry = next(entry for entry in settings_of(RunSettings) if entry.name == name)
    before = runner_config(reading(AUTH), AUTH)
    environ = {"N8N_RUNNERS_ID": before.runner_id, **AUTH, entry.variables[0]: CHANGED[name]}
    report = changes_to(before, runner_config(reading(environ), environ))
    assert bool(report.applied) is entry.live
    assert bool(report.need_restart) is not entry.live
