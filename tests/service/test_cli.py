"""The command line: help, versions, one line for every mistake, and nothing imported before it is needed."""

from __future__ import annotations

import subprocess
import sys

import pytest

from trio_runner import __version__
from trio_runner.service.cli import application, main

HELP_WIDTH = 80


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("N8N_RUNNERS_AUTH_TOKEN", "N8N_RUNNERS_GRANT_TOKEN", "TRIO_RUNNER_AUTH_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("COLUMNS", str(HELP_WIDTH))
    monkeypatch.setenv("XDG_CONFIG_HOME", "/nonexistent")


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as exit_:
        main(arguments)
    code = exit_.value.code
    assert isinstance(code, int)
    return code, *capsys.readouterr()


def complaint(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """Return the one line that a mistake is answered with."""
    code, out, err = run(capsys, *arguments)
    assert (code, out) == (2, "")
    assert err.count("\n") == 1
    assert "Traceback" not in err
    return err.rstrip("\n")


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, "--version") == (0, f"trio-runner {__version__}\n", "")


def test_alone_it_shows_its_help(capsys: pytest.CaptureFixture[str]) -> None:
    alone, asked = run(capsys), run(capsys, "--help")
    assert alone == asked
    code, out, err = alone
    assert (code, err) == (0, "")
    assert all(f"\n  {name} " in out for name in ("run", "broker", "submit", "demo", "check", "config"))


@pytest.mark.parametrize("command", ["run", "broker", "submit", "demo", "check", "config"])
def test_help_screens(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(capsys, command, "--help")
    assert (code, err) == (0, "")
    assert out.startswith(f"Usage: trio-runner {command} ")
    assert max(map(len, out.splitlines())) <= HELP_WIDTH + 3
    assert out == run(capsys, command, "-h")[1]


@pytest.mark.parametrize("command", ["run", "broker"])
def test_help_screens_of_daemons(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = run(capsys, command, "--help")
    assert out.isascii(), "it shows in every locale"
    assert max(map(len, out.splitlines())) <= HELP_WIDTH
    assert "Exit codes:" in out
    assert "Examples:" in out
    assert "N8N_RUNNERS_AUTH_TOKEN" in out


def test_the_list_of_commands_says_what_they_say_themselves(capsys: pytest.CaptureFixture[str]) -> None:
    _, listing, _ = run(capsys)
    for name in ("run", "broker", "submit", "demo", "check", "config"):
        _, out, _ = run(capsys, name, "--help")
        summary = next(line.strip() for line in out.splitlines()[1:] if line.strip())
        assert summary in " ".join(listing.split())


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["rum"], "trio-runner: No such command 'rum'. ('trio-runner --help' tells more)"),
        (["--nope"], "trio-runner: No such option '--nope'. ('trio-runner --help' tells more)"),
        (["run", "--max-payloat", "1"], "trio-runner run: No such option '--max-payloat'."),
        (["run", "--max-payload"], "trio-runner run: Option '--max-payload' requires an argument."),
        (["run", "now"], "trio-runner run: Got unexpected extra argument (now)"),
        (
            ["run", "--max-payload", "x"],
            "trio-runner run: --max-payload: 'x' is not a whole number; give one",
        ),
        (
            ["broker", "--port", "99999"],
            "trio-runner broker: --port: 99999 is out of range; give a whole number",
        ),
        (["run"], "trio-runner run: no token is given; set N8N_RUNNERS_AUTH_TOKEN"),
        (["broker"], "trio-runner broker: no token is given; set N8N_RUNNERS_AUTH_TOKEN"),
        (["run", "--auth-token", "a b"], "trio-runner run: --auth-token: the token holds spaces"),
        (
            ["run", "--grant-token", "abcdef", "--broker", "http://a,http://b"],
            "trio-runner run: --grant-token opens one connection, but --broker names 2 brokers;",
        ),
        (
            ["broker", "--auth-token", "abcdef", "--runners-path", "/requesters"],
            "trio-runner broker: --runners-path and TRIO_RUNNER_BROKER_REQUESTERS_PATH are both",
        ),
    ],
)
def test_a_mistake_is_one_line(arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert complaint(capsys, *arguments).startswith(said)


def test_a_wrong_variable_is_named(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("N8N_RUNNERS_AUTH_TOKEN", "auth-token-1")
    monkeypatch.setenv("N8N_RUNNERS_HEALTH_CHECK_SERVER_PORT", "http")
    assert complaint(capsys, "run") == (
        "trio-runner run: N8N_RUNNERS_HEALTH_CHECK_SERVER_PORT: 'http' is not a whole number;"
        " give one from 0 to 65535"
    )


def test_every_command_can_be_found() -> None:
    with application.make_context("trio-runner", ["run"]) as ctx:
        for name in application.list_commands(ctx):
            command = application.get_command(ctx, name)
            assert command is not None
            assert command.name == name


@pytest.mark.process
@pytest.mark.parametrize("arguments", [["--version"], ["--help"], ["run", "--help"], ["broker", "--help"]])
def test_help_and_version_import_nothing_heavy(arguments: list[str]) -> None:
    code = (
        "import sys\n"
        "from trio_runner.service.cli import main\n"
        "try:\n    main(sys.argv[1:])\n"
        "finally:\n    print(sorted(sys.modules), file=sys.stderr)\n"
    )
    ended = subprocess.run(
        [sys.executable, "-I", "-c", code, *arguments], capture_output=True, text=True, timeout=50, check=True
    )
    for heavy in ("trio", "cattrs", "msgspec", "rich", "h11", "ssl"):
        assert f"'{heavy}'" not in ended.stderr


@pytest.mark.process
def test_the_module_is_the_command() -> None:
    ended = subprocess.run(
        [sys.executable, "-I", "-m", "trio_runner", "--version"],
        capture_output=True,
        text=True,
        timeout=50,
        check=True,
    )
    assert ended.stdout == f"trio-runner {__version__}\n"


@pytest.mark.process
@pytest.mark.parametrize(
    ("command", "code"),
    [
        ("{python} -I -m trio_runner run --help >/dev/full", 1),
        ("{python} -I -m trio_runner run --max-payload x 2>&-", 2),
        ("{python} -I -m trio_runner --version >&-", 0),
        ("{python} -I -m trio_runner run --help | true", 0),
    ],
)
def test_odd_standard_streams(command: str, code: int) -> None:
    """Full, closed, or without a reader."""
    ended = subprocess.run(
        ["bash", "-c", command.format(python=sys.executable)],
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert "Traceback" not in ended.stderr
    assert ended.returncode == code
    assert ended.stderr.count("\n") <= 1
