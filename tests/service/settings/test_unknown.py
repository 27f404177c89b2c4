"""Names that nothing reads: one line each, with the nearest one that is known."""

from __future__ import annotations

from pathlib import Path

import pytest

from trio_runner.service.settings.config_file import ConfigFile
from trio_runner.service.settings.unknown import unknown_credentials, unknown_keys, unknown_variables


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("TRIO_RUNNER_MAX_CONCURENCY", "did you mean TRIO_RUNNER_MAX_CONCURRENCY?"),
        ("TRIO_RUNNER_AUTH_TOKEN_FIEL", "did you mean TRIO_RUNNER_AUTH_TOKEN_FILE?"),
        ("TRIO_RUNNER_XYZZY", "unset it"),
        ("N8N_RUNNERS_MAX_CONCURENCY", "did you mean N8N_RUNNERS_MAX_CONCURRENCY?"),
        ("N8N_RUNNERS_STDLIB_ALLOWED", "did you mean N8N_RUNNERS_STDLIB_ALLOW?"),
        ("N8N_RUNNERS_TASK_BROKER_URL", "did you mean N8N_RUNNERS_TASK_BROKER_URI?"),
    ],
)
def test_slips(name: str, said: str) -> None:
    (line,) = unknown_variables({name: "s3cret", "HOME": "/"})
    assert line.startswith(f"{name} is no setting")
    assert line.endswith(f"; {said}")


@pytest.mark.parametrize(
    "name",
    [
        "N8N_RUNNERS_ENABLED",
        "N8N_RUNNERS_MODE",
        "N8N_RUNNERS_INSECURE_MODE",
        "N8N_RUNNERS_BROKER_PORT",
        "N8N_RUNNERS_MAX_OLD_SPACE_SIZE",
        "N8N_RUNNERS_SOMETHING_QUITE_ELSE",
        "N8N_RUNNERS_MAX_CONCURRENCY",
        "N8N_RUNNERS_STDLIB_ALLOW_FILE",
        "N8N_ENCRYPTION_KEY",
        "TRIO_RUNNER_CONFIG",
        "TRIO_RUNNER_BROKER_PORT",
        "NO_COLOUR",
    ],
)
def test_what_others_read_or_we_do(name: str) -> None:
    assert not list(unknown_variables({name: "1"}))


def keys(path: Path, text: str) -> list[str]:
    file = path / "c.toml"
    file.write_text(text)
    return [line.removeprefix(f"{file}: ") for line in unknown_keys(ConfigFile.load(file))]


def test_keys_and_tables(tmp_path: Path) -> None:
    assert keys(
        tmp_path,
        """
        max-concurrency = 5
        port = 1
        wibble = 1
        [run]
        max-concurency = 5
        stdlib_alow = []
        wibble = 1
        port = 5
        [brokers]
        [submit]
        """,
    ) == [
        "max-concurrency stands above every table and does nothing; put it below [run]",
        "port stands above every table and does nothing; put it below [broker]",
        "wibble stands above every table and does nothing; take it out",
        "[run] max-concurency is no setting and does nothing; did you mean max-concurrency?",
        "[run] stdlib_alow is no setting and does nothing; did you mean stdlib-allow?",
        "[run] wibble is no setting and does nothing; take it out",
        "[run] port is no setting and does nothing; take it out",
        "[brokers] is no table of ours and does nothing; did you mean [broker]?",
    ]


def test_every_good_key_is_known(tmp_path: Path) -> None:
    text = '[run]\nid = ""\nauth_token_file = ""\nhealth-check = true\n[broker]\nauth-token = ""\n'
    assert keys(tmp_path, text) == []
    assert keys(tmp_path, "[lunch]\n") == [
        "[lunch] is no table of ours and does nothing; there are [run], [broker], [submit]"
    ]


def test_credentials(tmp_path: Path) -> None:
    for name in ("trio-runner.auth_token", "trio-runner.auth-token", "of-somebody-else", "auth-token"):
        (tmp_path / name).write_text("x")
    (line,) = unknown_credentials({"CREDENTIALS_DIRECTORY": str(tmp_path)})
    assert line == (
        "credential trio-runner.auth_token is no secret and does nothing;"
        " did you mean trio-runner.auth-token?"
    )
    assert not list(unknown_credentials({"CREDENTIALS_DIRECTORY": str(tmp_path / "gone")}))
    assert not list(unknown_credentials({}))
