"""``trio-runner config``: what is written where, and the exit code."""

from __future__ import annotations

import json
import os

import pytest

from trio_runner.service.cli import main


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith(("TRIO_RUNNER", "N8N")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_CONFIG_HOME", "/nonexistent")
    monkeypatch.setenv("N8N_RUNNERS_AUTH_TOKEN", "s3cret-token")


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as exit_:
        main(["config", *arguments])
    assert isinstance(exit_.value.code, int)
    return exit_.value.code, *capsys.readouterr()


@pytest.mark.parametrize(
    "arguments", [[], ["--help"], ["show", "--help"], ["show", "run", "-h"], ["example", "-h"]]
)
def test_help(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(capsys, *arguments)
    assert (code, err) == (0, "")
    assert out.startswith("Usage: trio-runner config")
    assert max(map(len, out.splitlines())) <= 83


def test_a_pipe_gets_a_line_per_setting(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(capsys, "show", "--max-concurrency", "7")
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[1] == "[run]"
    assert "max-concurrency = 7  # --max-concurrency" in lines
    assert "auth-token = ***  # N8N_RUNNERS_AUTH_TOKEN" in lines
    assert "task-timeout = 60  # default" in lines
    assert "s3cret" not in out


@pytest.mark.parametrize("command", ["run", "broker", "submit"])
def test_json(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(capsys, "show", command, "--json")
    assert (code, err) == (0, "")
    document = json.loads(out)
    assert (document["command"], document["config_file"]) == (command, None)
    by_key = {setting["key"]: setting for setting in document["settings"]}
    assert by_key["auth-token"]["value"] == "***"
    assert by_key["auth-token"]["source"] == "N8N_RUNNERS_AUTH_TOKEN"
    assert by_key["max-payload"] | {"live": None} == {
        "key": "max-payload",
        "value": 1073741824,
        "source": "default",
        "variables": by_key["max-payload"]["variables"],
        "flag": "--max-payload",
        "secret": False,
        "live": None,
        "error": None,
    }
    assert "s3cret" not in out


def test_errors_and_warnings_go_to_stderr_and_make_the_exit_code(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRIO_RUNNER_IDD", "x")
    code, out, err = run(capsys, "show", "broker", "--port", "http")
    assert code == 2
    assert "port = ?  # --port" in out.splitlines()
    assert err.splitlines() == [
        "warning: TRIO_RUNNER_IDD is no setting and does nothing; did you mean TRIO_RUNNER_ID?",
        "error: --port: 'http' is not a whole number; give one from 0 to 65535",
    ]
    assert json.loads(run(capsys, "show", "broker", "--port", "http", "--json")[1])["errors"]


def test_the_example_is_written(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(capsys, "example", "broker")
    assert (code, err) == (0, "")
    assert "[broker]" in out
    assert "[run]" not in out


@pytest.mark.parametrize(
    "arguments", [["shw"], ["show", "rum"], ["example", "rum"], ["show", "run", "--nope"]]
)
def test_a_mistake_is_one_line(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(capsys, *arguments)
    assert (code, out, err.count("\n")) == (2, "", 1)
