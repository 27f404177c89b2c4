"""What ``trio-runner install-service`` writes, prints and refuses."""

from __future__ import annotations

import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from trio_runner.errors import ConfigError
from trio_runner.service.systemd.install_command import install_service_command
from trio_runner.service.systemd.installation import (
    check_reachable,
    config_directory,
    home_access,
    systemd_version,
    unit_directory,
)


def install(*arguments: str) -> Result:
    return CliRunner().invoke(install_service_command, arguments, standalone_mode=False)


def refusal(*arguments: str) -> str:
    result = install(*arguments)
    assert isinstance(result.exception, click.ClickException)
    assert result.exception.exit_code == 2
    assert "\n" not in result.exception.message
    return result.exception.message


def test_printing_writes_nothing(tmp_path: Path) -> None:
    result = install("--print", "--directory", str(tmp_path))
    assert f"ExecStart={sys.executable} -I -m trio_runner run\n" in result.output
    assert not list(tmp_path.iterdir())


def test_the_unit_is_written_and_the_two_commands_are_told(tmp_path: Path) -> None:
    result = install("--directory", str(tmp_path / "new"), "--token-file", str(tmp_path / "token"))
    assert result.output.splitlines() == [
        f"Wrote {tmp_path}/new/trio-runner.service",
        f"The secret shared with the broker belongs into {tmp_path}/token; type it after",
        f"  sudo install -D -m 600 /dev/stdin {tmp_path}/token",
        "Enable and start it:",
        "  sudo systemctl daemon-reload",
        "  sudo systemctl enable --now trio-runner",
    ]
    text = (tmp_path / "new" / "trio-runner.service").read_text()
    assert f"LoadCredential=auth-token:{tmp_path}/token\n" in text


def test_a_users_broker_with_a_socket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    (tmp_path / "trio-runner").mkdir()
    (tmp_path / "trio-runner" / "auth-token").write_text("secret")
    units = tmp_path / "units"
    result = install("--user", "--broker", "--socket", "5679", "--name", "b", "--directory", str(units))
    assert result.output.splitlines()[-2:] == [
        "  systemctl --user daemon-reload",
        "  systemctl --user enable --now b.socket",
    ]
    assert sorted(path.name for path in units.iterdir()) == ["b.service", "b.socket"]
    assert "The secret" not in result.output


def test_another_unit_is_not_replaced_unless_told_to(tmp_path: Path) -> None:
    unit = tmp_path / "trio-runner.service"
    unit.write_text("[Service]\n")
    assert "--force" in refusal("--directory", str(tmp_path))
    assert unit.read_text() == "[Service]\n"
    install("--directory", str(tmp_path), "--force")
    assert "Type=notify" in unit.read_text()
    assert not isinstance(install("--directory", str(tmp_path)).exception, click.ClickException)


@pytest.mark.parametrize(
    ("arguments", "remedy"),
    [
        (("--socket", "1"), "add --broker"),
        (("--user", "--run-as", "x"), "leave out --user, or --run-as"),
        (("--name", "a/b"), "use letters, digits"),
        (("--directory", "/dev/null/x"), "--directory"),
    ],
)
def test_what_makes_no_sense_is_one_line(arguments: tuple[str, ...], remedy: str) -> None:
    assert remedy in refusal(*arguments)


def test_a_program_that_the_service_could_not_start_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"/tmp/venv.*temporary files.*/opt/trio-runner"):
        check_reachable([Path("/tmp/venv/bin/python")], own_user=False)
    check_reachable([Path("/usr/bin/env")], own_user=True)
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    check_reachable([], own_user=True)
    with pytest.raises(ConfigError, match="install trio-runner"):
        check_reachable([closed / "bin" / "python"], own_user=True)


def test_where_things_lie(tmp_path: Path) -> None:
    assert unit_directory({}, for_user=False) == Path("/etc/systemd/system")
    assert unit_directory({"HOME": "/home/a"}, for_user=True) == Path("/home/a/.config/systemd/user")
    assert config_directory({"XDG_CONFIG_HOME": "/x"}, for_user=True) == Path("/x/trio-runner")
    assert config_directory({}, for_user=False) == Path("/etc/trio-runner")
    assert home_access([Path("/opt/a"), Path("/home/b/venv")]) == "read-only"
    assert home_access([Path("/opt/a"), Path("/homes")]) == "yes"


@pytest.mark.parametrize(
    ("name", "version"),
    [("libsystemd-shared-252.so", 252), ("libsystemd-shared-255-6.fc40.so", 255), ("libother.so", 0)],
)
def test_the_version_of_systemd(name: str, version: int, tmp_path: Path) -> None:
    directory = tmp_path / "usr" / "lib" / "x86_64-linux-gnu" / "systemd"
    directory.mkdir(parents=True)
    (directory / name).touch()
    assert systemd_version(tmp_path) == version
