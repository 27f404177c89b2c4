"""The configuration file: where it is found, what its values may be, and one line for whatever is wrong."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from trio_runner.errors import ConfigError
from trio_runner.service.settings.broker import BrokerSettings
from trio_runner.service.settings.config_file import ConfigFile, find_config, search_path
from trio_runner.service.settings.run import RunSettings
from trio_runner.service.settings.table import Reading, read_settings


def written(path: Path, text: str) -> ConfigFile:
    path.write_text(text)
    return ConfigFile.load(path)


def read(path: Path, text: str) -> Reading[RunSettings]:
    return read_settings(RunSettings, {}, {}, written(path, text).table("run"))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "config.toml"


# --- where it is ------------------------------------------------------------------------------------


def test_the_search_path_is_the_persons_own_then_the_machines() -> None:
    system = Path("/etc/trio-runner/config.toml")
    own = Path("/c/trio-runner/config.toml")
    assert search_path({"XDG_CONFIG_HOME": "/c", "HOME": "/h"}) == (own, system)
    assert search_path({"HOME": "/h"}) == (Path("/h/.config/trio-runner/config.toml"), system)
    assert search_path({"XDG_CONFIG_HOME": "relative", "HOME": "/h"})[0].is_relative_to("/h/.config")
    assert search_path({}) == (system,), "a service without a home"


def test_the_flag_before_the_variable_before_the_search_path(tmp_path: Path) -> None:
    home = tmp_path / "trio-runner"
    home.mkdir()
    files = {name: tmp_path / f"{name}.toml" for name in ("flag", "variable")} | {"own": home / "config.toml"}
    for name, file in files.items():
        file.write_text(f'[run]\nid = "{name}"\n')
    environ = {"XDG_CONFIG_HOME": str(tmp_path)}
    named = {**environ, "TRIO_RUNNER_CONFIG": str(files["variable"])}
    for flag, variables, expected in (
        (str(files["flag"]), named, "flag"),
        (None, named, "variable"),
        (" ", named, "variable"),
        (None, environ, "own"),
        (None, {**environ, "TRIO_RUNNER_CONFIG": ""}, "own"),
    ):
        config = find_config(flag, variables)
        assert config is not None
        assert config.path == files[expected]
    assert find_config("/dev/null", environ) == ConfigFile(Path("/dev/null"), {}, exposed=True)


def test_without_a_file_there_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "config.toml").write_text("[run]\n")
    (tmp_path / "trio-runner.toml").write_text("[run]\n")
    monkeypatch.chdir(tmp_path)
    environ = {"XDG_CONFIG_HOME": str(tmp_path / "none")}
    assert [file for file in search_path(environ) if file.exists()] == []
    assert find_config(None, environ) is None, "the working directory is not searched"


def test_a_file_that_is_found_but_cannot_be_read_is_not_passed_over(tmp_path: Path) -> None:
    (tmp_path / "trio-runner").mkdir()
    (tmp_path / "trio-runner" / "config.toml").symlink_to(tmp_path / "gone")
    with pytest.raises(ConfigError, match=r"cannot read '.*trio-runner/config.toml' \(No such file"):
        find_config(None, {"XDG_CONFIG_HOME": str(tmp_path)})


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (None, "(No such file or directory); name a readable file"),
        (b"[run\n", "is not TOML: "),
        (b"[run]\nid = 'a'\nid = 'b'\n", "is not TOML: "),
        (b"a = \xff", "is not UTF-8 text; "),
        (b"# " + b"x" * 1024 * 1024, "is larger than 1 MiB; "),
    ],
)
def test_what_is_no_configuration_is_one_line(data: bytes | None, said: str, path: Path) -> None:
    if data is not None:
        path.write_bytes(data)
    for flag, environ, place in (
        (str(path), {}, "--config: "),
        (None, {"TRIO_RUNNER_CONFIG": str(path)}, "TRIO_RUNNER_CONFIG: "),
    ):
        with pytest.raises(ConfigError) as caught:
            find_config(flag, environ)
        message = str(caught.value)
        assert message.startswith(place)
        assert str(path) in message
        assert said in message
        assert message.isprintable()


def test_the_line_of_a_syntax_error_is_named(path: Path) -> None:
    with pytest.raises(ConfigError, match="line 3"):
        written(path, "[run]\nid = 'a'\nmax-concurrency = five\n")


def test_a_value_where_a_table_should_be(path: Path) -> None:
    with pytest.raises(ConfigError, match=r"config.toml: run must be a table; write \[run\]"):
        written(path, "run = 5\n").table("run")


# --- what may stand in it ---------------------------------------------------------------------------


def test_types_of_toml(path: Path) -> None:
    settings = read(
        path,
        """
        [run]
        brokers = ["http://a:1", "https://b/n8n"]
        max_concurrency = 7
        task-timeout = 90
        graceful-shutdown-timeout = 0.5
        stdlib-allow = ["json", "re"]
        external-allow = "pandas, numpy"
        builtins-deny = []
        block-env-access = false
        health-check = true
        no-color = true
        log-level = "debug"
        """,
    ).settings
    assert settings.brokers == ("http://a:1", "https://b/n8n")
    assert (settings.max_concurrency, settings.task_timeout) == (7, 90.0)
    assert settings.graceful_shutdown_timeout == 0.5
    assert settings.stdlib_allow == {"json", "re"}
    assert settings.external_allow == {"pandas", "numpy"}
    assert settings.builtins_deny == frozenset()
    assert (settings.block_env_access, settings.health_check, settings.no_color) == (False, True, True)
    assert settings.log_level == "debug"


def test_a_truth_for_what_is_set_by_its_presence(path: Path) -> None:
    assert read(path, "[run]\nno-color = false\n").settings.no_color is False
    assert read(path, "[run]\nno-color = true\n").settings.no_color is True


def test_an_empty_list_is_a_list_of_nothing_and_an_empty_text_is_no_value(path: Path) -> None:
    assert read(path, "[run]\nstdlib-allow = []\n").origins == {"stdlib_allow": f"{path}: [run] stdlib-allow"}
    reading = read(path, '[run]\nstdlib-allow = ""\n')
    assert not reading.origins
    assert reading.empties == {"stdlib_allow": f"{path}: [run] stdlib-allow"}
    with pytest.raises(ConfigError, match=r"\[run\] brokers: no URI in it; "):
        read(path, "[run]\nbrokers = []\n")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("max-concurrency = 5.5", "'5.5' is not a whole number; give one from 1 to 10000"),
        ("max-concurrency = true", "'true' is not a whole number; "),
        ("task-timeout = nan", "'nan' is out of range; "),
        ("max-concurrency = [5]", "a list is not understood here; write a number or a text"),
        ("runner-id = 7", "a number is not understood here; write a text in quotes"),
        ("health-check = 1", "a number is not understood here; write true or false"),
        ("task-timeout = 2026-01-01", "a date or time is not understood here; write a number or a text"),
        ("brokers = {uri = 'http://a'}", "a table is not understood here; write a text, or a list such as"),
        ("stdlib-allow = ['json', 1]", "the list holds more than texts; write "),
        ("stdlib-allow = ['*', 'json']", "'*' stands for all and must stand alone; "),
    ],
)
def test_a_value_of_the_wrong_type(line: str, said: str, path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        read(path, f"[run]\n{line}\n")
    assert str(caught.value).startswith(f"{path}: [run] {line.partition(' ')[0]}: {said}")


def test_every_command_has_its_own_table(path: Path) -> None:
    config = written(path, '[run]\nlog-level = "debug"\n[broker]\nlog-level = "error"\nport = 1\n')
    assert read_settings(RunSettings, {}, {}, config.table("run")).settings.log_level == "debug"
    broker = read_settings(BrokerSettings, {}, {}, config.table("broker")).settings
    assert (broker.log_level, broker.port) == ("error", 1)
    assert not config.table("submit").values


@pytest.mark.parametrize(
    "pair",
    [("runner-id", "runner_id"), ("id", "runner-id"), ("auth-token", "auth-token-file")],
)
def test_one_setting_given_twice(pair: tuple[str, str], path: Path) -> None:
    with pytest.raises(ConfigError, match=rf"\[run\] {pair[0]} and {pair[1]} are one setting; keep one"):
        read(path, "[run]\n" + "".join(f'{key} = "x"\n' for key in pair))


def test_files_that_it_names_are_beside_it(path: Path) -> None:
    (path.parent / "secret").write_text("s3cret\n")
    reading = read(path, '[run]\nauth-token-file = "secret"\n')
    assert reading.settings.auth_token == "s3cret"
    assert reading.origins == {"auth_token": f"{path}: [run] auth-token-file"}
    with pytest.raises(ConfigError, match=rf"auth-token-file: cannot read '{path.parent}/gone' \(No such"):
        read(path, '[run]\nauth-token-file = "gone"\n')
    with pytest.raises(ConfigError, match=rf"ca-file: cannot read '{path.parent}/ca.pem' \(No such"):
        read(path, '[run]\nca-file = "ca.pem"\n')
    assert read(path, '[run]\nca-file = ""\n').settings.ca_file == ""


def test_secrets_are_in_no_repr(path: Path) -> None:
    config = written(path, '[run]\nauth-token = "s3cret-token"\n')
    assert "s3cret" not in repr(config)
    assert "s3cret" not in repr(config.table("run"))


def test_whether_others_may_read_it(path: Path) -> None:
    path.write_text("")
    for mode, exposed in ((0o600, False), (0o640, True), (0o604, True)):
        path.chmod(mode)
        assert ConfigFile.load(path).exposed is exposed
    assert os.path.lexists(path)
