"""All places together, and a line for what is odd about them."""

from __future__ import annotations

from pathlib import Path

import pytest

from trio_runner.errors import ConfigError
from trio_runner.service.settings.loading import load_settings
from trio_runner.service.settings.run import RunSettings
from trio_runner.service.settings.table import Reading


def load(environ: dict[str, str], **flags: str | bool) -> Reading[RunSettings]:
    return load_settings(RunSettings, "run", flags, {"XDG_CONFIG_HOME": "/nowhere", **environ})


def test_each_place_wins_over_those_after_it(tmp_path: Path) -> None:
    credentials = tmp_path / "credentials"
    credentials.mkdir()
    (credentials / "auth-token").write_text("of-the-credential")
    (tmp_path / "token").write_text("of-the-file-of-n8n")
    config = tmp_path / "c.toml"
    config.write_text('[run]\nauth-token = "of-the-configuration"\n')
    config.chmod(0o600)
    places: list[tuple[dict[str, str], str, str]] = [
        ({"TRIO_RUNNER_AUTH_TOKEN": "of-ours"}, "of-ours", "TRIO_RUNNER_AUTH_TOKEN"),
        ({"N8N_RUNNERS_AUTH_TOKEN": "of-n8n"}, "of-n8n", "N8N_RUNNERS_AUTH_TOKEN"),
        (
            {"N8N_RUNNERS_AUTH_TOKEN_FILE": str(tmp_path / "token")},
            "of-the-file-of-n8n",
            "N8N_RUNNERS_AUTH_TOKEN_FILE",
        ),
        ({"CREDENTIALS_DIRECTORY": str(credentials)}, "of-the-credential", "credential auth-token"),
        ({"TRIO_RUNNER_CONFIG": str(config)}, "of-the-configuration", f"{config}: [run] auth-token"),
    ]
    assert load(
        {key: text for place, _, _ in places for key, text in place.items()}, auth_token="f"
    ).origins == {"auth_token": "--auth-token"}
    for first, (_, token, origin) in enumerate(places):
        reading = load({key: text for place, _, _ in places[first:] for key, text in place.items()})
        assert (reading.settings.auth_token, reading.origins["auth_token"]) == (token, origin)
        assert not reading.warnings
    assert load({}).settings.auth_token == ""


@pytest.mark.parametrize("name", ["STDLIB_ALLOW", "EXTERNAL_ALLOW"])
def test_an_empty_allow_list_is_told(name: str) -> None:
    (line,) = load({f"N8N_RUNNERS_{name}": " "}).warnings
    assert line.startswith(f"N8N_RUNNERS_{name} is set but empty: code may import no ")
    assert not load({f"TRIO_RUNNER_{name}": "", f"N8N_RUNNERS_{name}": "json"}).warnings
    assert not load({"N8N_RUNNERS_ID": ""}).warnings, "nobody misses an empty id"


@pytest.mark.parametrize(
    ("mode", "line", "told"),
    [
        (0o644, 'auth-token = "s3cret-token"', True),
        (0o600, 'auth-token = "s3cret-token"', False),
        (0o644, 'auth-token-file = "token"', False),
        (0o644, 'id = "x"', False),
    ],
)
def test_a_secret_where_others_may_read_it(mode: int, line: str, told: bool, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("s3cret-token")
    config = tmp_path / "c.toml"
    config.write_text(f"[run]\n{line}\n")
    config.chmod(mode)
    warnings = load({}, config=str(config)).warnings
    assert [warning.partition(" holds a secret")[0] for warning in warnings] == (
        [f"{config}: [run] auth-token"] if told else []
    )
    assert "s3cret" not in "".join(warnings)


def test_everything_odd_is_told_at_once(tmp_path: Path) -> None:
    config = tmp_path / "c.toml"
    config.write_text("[run]\nmax-concurency = 5\n")
    environ = {"TRIO_RUNNER_CONFIG": str(config), "TRIO_RUNNER_IDD": "x", "N8N_RUNNERS_STDLIB_ALLOW": ""}
    warnings = load(environ).warnings
    assert len(warnings) == 3
    for part in ("STDLIB_ALLOW is set but empty", "max-concurency is no setting", "TRIO_RUNNER_IDD is no"):
        assert any(part in warning for warning in warnings)


def test_a_broken_file_is_an_error_that_names_what_named_it(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"^--config: cannot read"):
        load({}, config=str(tmp_path / "gone"))
