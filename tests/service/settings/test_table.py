"""Every setting: each place it can be given in, which place wins, and what a bad value is answered with."""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import attrs
import click
import pytest

from trio_runner.errors import ConfigError
from trio_runner.sandbox.policy import DEFAULT_BUILTINS_DENY
from trio_runner.service.settings.broker import BrokerSettings
from trio_runner.service.settings.commands import TABLES
from trio_runner.service.settings.config_file import FileTable
from trio_runner.service.settings.kinds import Boolean, Presence
from trio_runner.service.settings.options import SettingsCommand, flags_given, options_for
from trio_runner.service.settings.run import RunSettings
from trio_runner.service.settings.submit import ConnectionSettings
from trio_runner.service.settings.table import (
    Setting,
    read_settings,
    secret_variables,
    settings_of,
)


@attrs.frozen
class Case:
    """A setting with two good texts and some bad ones."""

    name: str
    good: str
    value: object
    other: str
    bad: tuple[str, ...] = ()


PORT_BAD = ("x", "-1", "65536", "80.0", "١")
SECONDS_BAD = ("x", "0", "-1", "nan", "inf", "1 s")
COUNT_BAD = ("five", "0", "-1", "1.5", "1_000", "9" * 5000)
PAYLOAD_BAD = ("1GB", "0", "-5", str(4 * 1024**3))
SIZE_BAD = ("big", "-1", "1.5GiB", "1 XiB", "1KiB", "9999999999TiB", "9" * 5000)
NAMES_BAD = ("os,*", "*, json", "os sys", "a;b c")

RUN_CASES = [
    Case("brokers", "https://a/n8n/, http://b:1", ("https://a/n8n", "http://b:1"), "http://c",
         ("localhost:5679", "ftp://a", "http://", "http://a,http://a/", ",", "http://a:99999", "http://u:p@a",
          "http://a b", "http://a/?x=1", "http://[::1", "http://a/#f")),
    Case("auth_token", "s3cret-token", "s3cret-token", "other-token", ("two words", "line\nbreak", "naïve")),
    Case("grant_token", "s3cret-token", "s3cret-token", "other-token", ("two words", "ünï")),
    Case("runner_id", "runner 1", "runner 1", "runner 2", ("bell\a", "two\nlines")),
    Case("runners_path", "/r/s", "/r/s", "/q", ("runners", "/r/", "/a b", "/?", "/")),
    Case("heartbeat", "5", 5.0, "6", SECONDS_BAD),
    Case("max_concurrency", "7", 7, "8", (*COUNT_BAD, "10001")),
    Case("max_payload", "4294967295", 4294967295, "2000", PAYLOAD_BAD),
    Case("task_timeout", "0.5", 0.5, "90", SECONDS_BAD),
    Case("reuse", "20", 20, "0", ("x", "-1", "1.5")),
    Case("stdlib_allow", " json , re,", frozenset({"json", "re"}), "*", NAMES_BAD),
    Case("external_allow", "*", frozenset({"*"}), "pandas", NAMES_BAD),
    Case("builtins_deny", "eval,exec", frozenset({"eval", "exec"}), "", ("*", "a b")),
    Case("preload", "numpy,pandas", frozenset({"numpy", "pandas"}), "", ("*", "a b")),
    Case("allow_transitive_imports", "true", True, "false", ("maybe", "2", "on")),
    Case("block_env_access", "FALSE", False, "1", ("nope",)),
    Case("sandbox", "required", "required", "OFF", ("on", "yes")),
    Case("sandbox_profile", "locked", "locked", "trusted", ("safe",)),
    Case("sandbox_network", "deny", "deny", "allow", ("yes",)),
    Case("sandbox_disable", "seccomp, landlock", frozenset({"seccomp", "landlock"}), "user", ("*", "a b")),
    Case("task_memory", "512 MiB", 512 * 1024**2, "0", SIZE_BAD),
    Case("task_cpu", "30", 30, "0", ("x", "-1", "1.5")),
    Case("task_processes", "10", 10, "0", ("x", "-1")),
    Case("task_open_files", "64", 64, "0", ("x", "-1")),
    Case("task_file_size", "1m", 1024**2, "0", SIZE_BAD),
    Case("task_scratch", "1GB", 1024**3, "65536", SIZE_BAD),
    Case("auto_shutdown_timeout", "15", 15.0, "0", ("x", "-1", "nan", "inf")),
    Case("max_tasks", "100", 100, "0", ("x", "-1", "1.5")),
    Case("max_uptime", "3600", 3600.0, "0", ("x", "-1", "nan", "inf")),
    Case("graceful_shutdown_timeout", "1e1", 10.0, "3", SECONDS_BAD),
    Case("health_check", "yes", True, "No", ("enabled",)),
    Case("health_check_host", "0.0.0.0", "0.0.0.0", "::", ("a\tb",)),
    Case("health_check_port", "0", 0, "65535", PORT_BAD),
    Case("metrics", "no", False, "yes", ("perhaps",)),
    Case("web_page", "yes", "true", "no", ("perhaps",)),
    Case("control_socket", "/run/x.sock", "/run/x.sock", "none", ("a\nb",)),
    Case("log_level", "WARN", "warning", "Error", ("loud", "10")),
    Case("log_format", "JSON", "json", "journald", ("xml",)),
    Case("sentry_dsn", "https://key@sentry.example/1", "https://key@sentry.example/1", "x", ("a b",)),
    Case("n8n_version", "2.41.0", "2.41.0", "2.4.0", ("a\nb",)),
    Case("environment", "production", "production", "test", ("a\nb",)),
    Case("deployment_name", "eu 1", "eu 1", "eu 2", ("a\nb",)),
    Case("otlp_endpoint", "http://127.0.0.1:4318/", "http://127.0.0.1:4318/v1/traces", "https://c/v2/traces",
         ("127.0.0.1:4318", "c:4318", "grpc://c:4317", "http://", "http://c:99999", "http://[::1", "/v1",
          "https://key@c", "http://c/?key=1", "http://c/#f", "http://c d", "a\nb")),
]  # fmt: skip
BROKER_CASES = [
    Case("host", "0.0.0.0", "0.0.0.0", "::", ("a\tb",)),
    Case("port", "0", 0, "65535", PORT_BAD),
    Case("auth_token", "s3cret-token", "s3cret-token", "other-token", ("two words",)),
    Case("generate_token", "1", True, "0", ("perhaps",)),
    Case("runners_path", "/r", "/r", "/q", ("r",)),
    Case("requesters_path", "/r", "/r", "/q", ("r",)),
    Case("request_timeout", "5", 5.0, "6", SECONDS_BAD),
    Case("execution_timeout", "5", 5.0, "6", SECONDS_BAD),
    Case("accept_timeout", "5", 5.0, "6", SECONDS_BAD),
    Case("settings_timeout", "5", 5.0, "6", SECONDS_BAD),
    Case("grant_ttl", "5", 5.0, "6", SECONDS_BAD),
    Case("heartbeat", "5", 5.0, "6", SECONDS_BAD),
    Case("drain_timeout", "5", 5.0, "6", SECONDS_BAD),
    Case("max_payload", "1000", 1000, "2000", PAYLOAD_BAD),
    Case("max_connections", "7", 7, "8", COUNT_BAD),
    Case("max_waiting", "7", 7, "8", COUNT_BAD),
    Case("max_strikes", "7", 7, "8", COUNT_BAD),
    Case("requests_per_second", "7", 7, "8", COUNT_BAD),
    Case("health_check", "yes", True, "No", ("enabled",)),
    Case("health_check_host", "0.0.0.0", "0.0.0.0", "::", ("a\tb",)),
    Case("health_check_port", "0", 0, "65535", PORT_BAD),
    Case("metrics", "no", False, "yes", ("perhaps",)),
    Case("web_page", "yes", "true", "no", ("perhaps",)),
    Case("control_socket", "/run/x.sock", "/run/x.sock", "none", ("a\nb",)),
    Case("log_level", "fatal", "critical", "silent", ("loud",)),
    Case("log_format", "human", "text", "journal", ("syslog",)),
]  # fmt: skip
SUBMIT_CASES = [
    *(case for case in RUN_CASES if case.name in {"brokers", "auth_token", "grant_token", "max_payload"}),
    Case("requesters_path", "/r", "/r", "/q", ("r",)),
]
NOT_HERE = {"no_color", "ca_file"}  # no _FILE, so each has a test of its own

ALL_CASES = {RunSettings: RUN_CASES, BrokerSettings: BROKER_CASES, ConnectionSettings: SUBMIT_CASES}
CASES = [(cls, case) for cls, cases in ALL_CASES.items() for case in cases]
every_case = pytest.mark.parametrize(
    ("cls", "case"), CASES, ids=[f"{cls.__name__}-{case.name}" for cls, case in CASES]
)
every_table = pytest.mark.parametrize("cls", ALL_CASES)


def entry_of(cls: type[attrs.AttrsInstance], name: str) -> Setting:
    return next(entry for entry in settings_of(cls) if entry.name == name)


def read(
    cls: type[attrs.AttrsInstance], arguments: list[str], environ: Mapping[str, str]
) -> tuple[Any, Mapping[str, str]]:
    """Read settings as the command does; return them and where they came from."""
    readings: list[Any] = []

    def callback(**_: object) -> None:
        readings.append(read_settings(cls, flags_given(click.get_current_context()), environ))

    command = SettingsCommand("test", params=options_for(cls), callback=callback)
    command.main(arguments, standalone_mode=False)
    return readings[0].settings, readings[0].origins


def as_flag(entry: Setting, text: str) -> list[str]:
    if isinstance(entry.kind, Boolean):
        return [entry.flag if entry.kind.parse(text) else f"--no-{entry.flag.removeprefix('--')}"]
    return [entry.flag, text]


def test_every_setting_has_a_case() -> None:
    assert set(ALL_CASES) == set(TABLES.values())
    for cls, cases in ALL_CASES.items():
        assert {entry.name for entry in settings_of(cls)} - NOT_HERE == {case.name for case in cases}


@every_case
def test_given_by_variable_file_or_flag(cls: type[attrs.AttrsInstance], case: Case, tmp_path: Path) -> None:
    entry = entry_of(cls, case.name)
    file = tmp_path / "value"
    file.write_text(f"\n  {case.good} \n")
    for variable in entry.variables:
        settings, origins = read(cls, [], {variable: case.good})
        assert (getattr(settings, case.name), origins) == (case.value, {case.name: variable})
        settings, origins = read(cls, [], {f"{variable}_FILE": str(file)})
        assert (getattr(settings, case.name), origins) == (case.value, {case.name: f"{variable}_FILE"})
    settings, origins = read(cls, as_flag(entry, case.good), {})
    assert (getattr(settings, case.name), origins) == (case.value, {case.name: entry.flag})


@every_case
def test_which_place_wins(cls: type[attrs.AttrsInstance], case: Case, tmp_path: Path) -> None:
    """Each place, given the value, beats all places after it, which hold another one."""
    entry = entry_of(cls, case.name)
    good, other = tmp_path / "good", tmp_path / "other"
    good.write_text(case.good)
    other.write_text(case.other)
    places = [place for name in entry.variables for place in ((name, name), (f"{name}_FILE", name))]
    for winner in range(len(places)):
        environ = {
            place: (str(good) if index == winner else str(other))
            if place.endswith("_FILE")
            else (case.good if index == winner else case.other)
            for index, (place, _) in enumerate(places)
            if index >= winner
        }
        settings, origins = read(cls, [], environ)
        assert (getattr(settings, case.name), origins[case.name]) == (case.value, places[winner][0])
    everywhere = {place: str(other) if place.endswith("_FILE") else case.other for place, _ in places}
    settings, _ = read(cls, as_flag(entry, case.good), everywhere)
    assert getattr(settings, case.name) == case.value


@every_case
def test_bad_values_are_named_by_place(cls: type[attrs.AttrsInstance], case: Case, tmp_path: Path) -> None:
    entry = entry_of(cls, case.name)
    file = tmp_path / "value"
    for bad in case.bad:
        file.write_text(bad)
        attempts: list[tuple[str, list[str], dict[str, str]]] = []
        for variable in entry.variables:
            attempts.append((variable, [], {variable: bad}))
            attempts.append((f"{variable}_FILE", [], {f"{variable}_FILE": str(file)}))
        if not isinstance(entry.kind, Boolean):
            attempts.append((entry.flag, [entry.flag, bad], {}))
        for place, arguments, environ in attempts:
            with pytest.raises(click.ClickException) as caught:
                read(cls, arguments, environ)
            message = caught.value.format_message()
            assert message.startswith(f"{place}: "), message
            assert "; " in message, "says what to do"
            assert len(message) < 300
            assert message.isprintable()
            if entry.secret:
                assert bad not in message


@every_case
def test_given_by_a_configuration_file(cls: type[attrs.AttrsInstance], case: Case, tmp_path: Path) -> None:
    """Under either spelling of its name; whatever else holds a value comes before it."""
    entry = entry_of(cls, case.name)
    for key in (entry.key, case.name, entry.flag.removeprefix("--")):
        table = FileTable(tmp_path / "c.toml", "run", {key: case.good})
        origin = f"{tmp_path}/c.toml: [run] {key}"
        reading = read_settings(cls, {}, {}, table)
        assert (getattr(reading.settings, case.name), reading.origins) == (case.value, {case.name: origin})
        reading = read_settings(
            cls, {}, {entry.variables[-1]: case.good}, FileTable(table.path, "run", {key: case.other})
        )
        assert getattr(reading.settings, case.name) == case.value
        assert reading.origins == {case.name: entry.variables[-1]}


@every_case
def test_bad_values_in_a_configuration_file(
    cls: type[attrs.AttrsInstance], case: Case, tmp_path: Path
) -> None:
    key = case.name.replace("_", "-")
    strange = ([{"a": 1}], {"a": 1}, datetime(2026, 1, 1, tzinfo=UTC), [1])
    for bad in (*case.bad, *strange):
        with pytest.raises(ConfigError) as caught:
            read_settings(cls, {}, {}, FileTable(tmp_path / "c.toml", "run", {key: bad}))
        message = str(caught.value)
        assert message.startswith(f"{tmp_path}/c.toml: [run] {key}: "), message
        assert "; " in message, "says what to do"
        assert message.isprintable()
        assert not (entry_of(cls, case.name).secret and isinstance(bad, str) and bad in message)


@every_case
def test_given_as_a_credential(cls: type[attrs.AttrsInstance], case: Case, tmp_path: Path) -> None:
    """Secrets only: after every variable, before the configuration file, under either name."""
    entry = entry_of(cls, case.name)
    environ = {"CREDENTIALS_DIRECTORY": str(tmp_path)}
    table = FileTable(tmp_path / "c.toml", "run", {entry.key: case.other})
    for name in (entry.key, f"trio-runner.{entry.key}"):
        (tmp_path / name).write_text(f"{case.good}\n")
        reading = read_settings(cls, {}, environ, table)
        if not entry.secret:
            assert reading.origins[case.name] == f"{tmp_path}/c.toml: [run] {entry.key}"
            continue
        assert (getattr(reading.settings, case.name), reading.origins[case.name]) == (
            case.value,
            f"credential {name}",
        )
        reading = read_settings(cls, {}, {**environ, entry.variables[-1]: case.other}, table)
        assert reading.origins[case.name] == entry.variables[-1]


@every_case
def test_empty_counts_as_unset(cls: type[attrs.AttrsInstance], case: Case) -> None:
    entry = entry_of(cls, case.name)
    for variable in entry.variables:
        settings, origins = read(cls, [], {variable: "", f"{variable}_FILE": " "})
        if entry.empty_counts:
            assert getattr(settings, case.name) == frozenset()
        else:
            assert (getattr(settings, case.name), dict(origins)) == (entry.default, {})
    if not isinstance(entry.kind, Boolean) and not entry.empty_counts:
        settings, _ = read(cls, [entry.flag, ""], {entry.variables[0]: case.good})
        assert getattr(settings, case.name) == case.value


@every_table
def test_defaults(cls: type[attrs.AttrsInstance]) -> None:
    settings, origins = read(cls, [], {})
    assert not origins
    assert settings == cls()


def test_defaults_are_those_of_the_protocol() -> None:
    settings = RunSettings()
    assert settings.brokers == ("http://127.0.0.1:5679",)
    assert (settings.max_concurrency, settings.max_payload, settings.task_timeout) == (5, 1073741824, 60)
    assert (settings.auto_shutdown_timeout, settings.graceful_shutdown_timeout) == (0, 10)
    assert (settings.stdlib_allow, settings.external_allow) == (frozenset(), frozenset())
    assert settings.builtins_deny == DEFAULT_BUILTINS_DENY
    assert (settings.allow_transitive_imports, settings.block_env_access) == (False, True)
    assert (settings.health_check, settings.health_check_host, settings.health_check_port) == (
        False,
        "127.0.0.1",
        5681,
    )
    assert settings.log_level == "info"


@pytest.mark.parametrize("text", ["true", "TRUE", "1", "yes", "Yes"])
def test_words_for_yes(text: str) -> None:
    assert Boolean().parse(text) is True


@pytest.mark.parametrize("text", ["false", "False", "0", "no", "NO"])
def test_words_for_no(text: str) -> None:
    assert Boolean().parse(text) is False


def test_an_unset_deny_list_is_the_default_and_an_empty_file_denies_nothing(tmp_path: Path) -> None:
    file = tmp_path / "deny"
    file.write_text("\n")
    assert read(RunSettings, [], {})[0].builtins_deny == DEFAULT_BUILTINS_DENY
    assert (
        read(RunSettings, [], {"N8N_RUNNERS_BUILTINS_DENY_FILE": str(file)})[0].builtins_deny == frozenset()
    )
    assert read(RunSettings, ["--builtins-deny", ""], {})[0].builtins_deny == frozenset()


def test_no_color_is_set_by_anything_and_has_no_file(tmp_path: Path) -> None:
    file = tmp_path / "x"
    file.write_text("1")
    assert isinstance(entry_of(RunSettings, "no_color").kind, Presence)
    assert read(RunSettings, [], {"NO_COLOR": "0"})[0].no_color is True
    assert read(RunSettings, ["--no-color"], {})[0].no_color is True
    assert read(RunSettings, [], {"NO_COLOR": ""})[0].no_color is False
    assert read(RunSettings, [], {"NO_COLOR_FILE": str(file)})[0].no_color is False


def test_ca_file(tmp_path: Path) -> None:
    nonsense = tmp_path / "nonsense.pem"
    nonsense.write_text("not a certificate")
    for path, why in ((str(nonsense), "no certificates"), (str(tmp_path / "gone"), "No such file")):
        with pytest.raises(ConfigError, match=f"TRIO_RUNNER_CA_FILE: .*{why}.*; "):
            read_settings(RunSettings, {}, {"TRIO_RUNNER_CA_FILE": path})
        with pytest.raises(ConfigError, match=f"--ca-file: .*{why}.*; "):
            read_settings(RunSettings, {"ca_file": path}, {})


@pytest.mark.parametrize("name", ["auth_token", "grant_token", "sentry_dsn"])
def test_secrets_by_file_flag(name: str, tmp_path: Path) -> None:
    entry = entry_of(RunSettings, name)
    file = tmp_path / "secret"
    file.write_text("from-the-file\n")
    settings, origins = read(
        RunSettings, [f"{entry.flag}-file", str(file)], {entry.variables[0]: "from-variable"}
    )
    assert (getattr(settings, name), origins) == ("from-the-file", {name: f"{entry.flag}-file"})
    with pytest.raises(click.ClickException, match=f"{entry.flag} and {entry.flag}-file are both given"):
        read(RunSettings, [f"{entry.flag}-file", str(file), entry.flag, "x"], {})


def test_unreadable_files(tmp_path: Path) -> None:
    binary, empty = tmp_path / "binary", tmp_path / "empty"
    binary.write_bytes(b"\xff\xfe\x00")
    empty.write_text(" \n")
    for path, why in (
        (str(tmp_path / "gone"), "No such file or directory"),
        (str(tmp_path), "Is a directory"),
        (str(binary), "not UTF-8 text"),
        ("a\x00b", "null"),
        ("/dev/zero", "larger than 1 MiB"),
        (str(empty), "is empty"),
    ):
        with pytest.raises(ConfigError) as caught:
            read_settings(RunSettings, {}, {"N8N_RUNNERS_AUTH_TOKEN_FILE": path})
        message = str(caught.value)
        assert message.startswith("N8N_RUNNERS_AUTH_TOKEN_FILE: ")
        assert why in message
        assert "; " in message
        assert message.isprintable()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_permission(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text("x")
    file.chmod(0)
    with pytest.raises(ConfigError, match="Permission denied"):
        read_settings(RunSettings, {}, {"N8N_RUNNERS_AUTH_TOKEN_FILE": str(file)})


def test_a_file_is_not_read_when_something_before_it_counts(tmp_path: Path) -> None:
    environ = {"N8N_RUNNERS_TASK_TIMEOUT": "5", "N8N_RUNNERS_TASK_TIMEOUT_FILE": str(tmp_path / "gone")}
    assert read_settings(RunSettings, {}, environ).settings.task_timeout == 5


def test_settings_do_not_show_their_secrets() -> None:
    assert "s3cret" not in repr(RunSettings(auth_token="s3cret", grant_token="s3cret", sentry_dsn="s3cret"))
    assert "s3cret" not in repr(BrokerSettings(auth_token="s3cret"))


def test_names_of_secret_variables() -> None:
    names = secret_variables(RunSettings, BrokerSettings)
    for base in ("AUTH_TOKEN", "GRANT_TOKEN"):
        for prefix in ("N8N_RUNNERS", "TRIO_RUNNER"):
            assert {f"{prefix}_{base}", f"{prefix}_{base}_FILE"} <= names
    assert {"N8N_SENTRY_DSN", "N8N_SENTRY_DSN_FILE", "TRIO_RUNNER_SENTRY_DSN"} <= names
    assert "N8N_RUNNERS_ID" not in names


@every_table
def test_the_tables_are_sound(cls: type[attrs.AttrsInstance]) -> None:
    entries = settings_of(cls)
    flags = [entry.flag for entry in entries]
    variables = [variable for entry in entries for variable in entry.variables]
    assert len(set(flags)) == len(flags)
    assert len(set(variables)) == len(variables)
    for entry in entries:
        assert entry.flag.startswith("--")
        assert entry.about.endswith(".")
        assert entry.name in {field.name for field in attrs.fields(cls)}


def test_labels_name_the_place_or_the_known_variable() -> None:
    reading = read_settings(RunSettings, {"runner_id": "x"}, {"TRIO_RUNNER_TASK_TIMEOUT": "3"})
    assert reading.label("runner_id") == "--id"
    assert reading.label("task_timeout") == "TRIO_RUNNER_TASK_TIMEOUT"
    assert reading.label("max_payload") == "N8N_RUNNERS_MAX_PAYLOAD"


def test_every_variable_of_n8n_has_the_alias_that_the_help_promises() -> None:
    for entry in settings_of(RunSettings):
        for variable in entry.variables:
            if variable.startswith("N8N_RUNNERS_"):
                alias = variable.replace("N8N_RUNNERS_", "TRIO_RUNNER_")
                assert entry.variables.index(alias) < entry.variables.index(variable)
