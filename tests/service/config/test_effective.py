"""Every setting with its source, and every error at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from trio_runner.service.config.effective import Effective, EffectiveSetting, effective
from trio_runner.service.settings.commands import TABLES
from trio_runner.service.settings.entry import settings_of

NOWHERE = {"XDG_CONFIG_HOME": "/nonexistent"}
AUTH = {**NOWHERE, "N8N_RUNNERS_AUTH_TOKEN": "s3cret-token"}


def one(found: Effective, key: str) -> EffectiveSetting:
    return next(setting for setting in found.settings if setting.entry.key == key)


def test_every_setting_is_there_with_its_source(tmp_path: Path) -> None:
    config = tmp_path / "c.toml"
    config.write_text("[run]\ntask-timeout = 5\nmax-concurrency = 2\n")
    flags: dict[str, str | bool] = {"config": str(config), "max_concurrency": "3"}
    found = effective("run", flags, {**AUTH, "N8N_RUNNERS_STDLIB_ALLOW": "json"})
    assert [setting.entry.name for setting in found.settings] == [e.name for e in settings_of(TABLES["run"])]
    assert found.file == config
    assert (one(found, "max-concurrency").shown(), one(found, "max-concurrency").source) == (
        "3",
        "--max-concurrency",
    )
    assert one(found, "task-timeout").source == f"{config}: [run] task-timeout"
    assert one(found, "stdlib-allow").source == "N8N_RUNNERS_STDLIB_ALLOW"
    assert (one(found, "max-payload").source, one(found, "max-payload").is_default) == ("default", True)
    assert (found.errors, found.warnings) == ((), ())


def test_secrets_are_not_shown() -> None:
    found = effective("run", {}, AUTH)
    assert one(found, "auth-token").shown() == "***"
    assert one(found, "grant-token").shown() == "-"


def test_every_error_is_told_and_not_only_the_first() -> None:
    environ = {**AUTH, "N8N_RUNNERS_TASK_TIMEOUT": "x", "TRIO_RUNNER_MAX_CONCURRENCY": "0"}
    found = effective("run", {"config": "/nonexistent/c.toml"}, environ)
    assert [error.partition(": ")[0] for error in found.errors] == [
        "--config",
        "TRIO_RUNNER_MAX_CONCURRENCY",
        "N8N_RUNNERS_TASK_TIMEOUT",
    ]
    assert one(found, "task-timeout").shown() == "?"
    assert one(found, "task-timeout").source == "N8N_RUNNERS_TASK_TIMEOUT"


@pytest.mark.parametrize(
    ("command", "environ", "said"),
    [
        ("run", NOWHERE, "no token is given; "),
        (
            "run",
            {"TRIO_RUNNER_GRANT_TOKEN": "g", "TRIO_RUNNER_TASK_BROKER_URI": "http://a,http://b"},
            "TRIO_RUNNER_GRANT_TOKEN opens one connection, but TRIO_RUNNER_TASK_BROKER_URI names 2 brokers; ",
        ),
        (
            "run",
            {**AUTH, "N8N_RUNNERS_STDLIB_ALLOW": "*,json"},
            "N8N_RUNNERS_STDLIB_ALLOW: '*' stands for all",
        ),
        ("broker", {**AUTH, "N8N_RUNNERS_PATH": "/requesters"}, "N8N_RUNNERS_PATH and "),
    ],
)
def test_contradictions_are_one_line(command: str, environ: dict[str, str], said: str) -> None:
    (error,) = effective(command, {}, {**NOWHERE, **environ}).errors
    assert error.startswith(said)


def test_what_is_odd_is_told() -> None:
    environ = {
        **AUTH,
        "TRIO_RUNNER_IDD": "x",
        "N8N_RUNNERS_STDLIB_ALLOW": "jsn",
        "N8N_RUNNERS_EXTERNAL_ALLOW": "",
    }
    warnings = effective("run", {}, environ).warnings
    assert len(warnings) == 3
    for part in ("TRIO_RUNNER_IDD is no setting", "'jsn' is no module", "EXTERNAL_ALLOW is set but empty"):
        assert any(part in warning for warning in warnings)
    assert effective("submit", {}, {**NOWHERE, "TRIO_RUNNER_IDD": "x"}).warnings
