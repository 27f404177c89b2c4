"""``trio-runner check`` as a process: output, exit code, no traceback."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.process

NOWHERE = "http://127.0.0.1:9"  # the discard port: nobody listens


def check(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-I", "-m", "trio_runner", "check", *arguments],
        env={"PATH": os.environ["PATH"], **environment},
        capture_output=True,
        text=True,
        timeout=55,
        check=False,
    )


def test_a_broker_that_is_not_there() -> None:
    ended = check("--broker", NOWHERE, "--auth-token", "some-token", "--stdlib-allow", "json")
    assert (ended.returncode, ended.stderr) == (1, "")
    assert "FAIL  port open" in ended.stdout
    assert "-> is the broker running" in ended.stdout
    assert "ok    import json" in ended.stdout, "the rest is checked all the same"
    assert "\x1b" not in ended.stdout
    assert max(map(len, ended.stdout.splitlines())) <= 80


def test_json() -> None:
    ended = check("--broker", NOWHERE, "--json", TRIO_RUNNER_AUTH_TOKEN="some-token")
    assert (ended.returncode, ended.stderr) == (1, "")
    document = json.loads(ended.stdout)
    assert document["ok"] is False
    assert {entry["status"] for entry in document["checks"]} >= {"ok", "failed", "skipped"}


def test_settings_that_are_wrong() -> None:
    ended = check("--broker", NOWHERE)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.startswith("trio-runner check: no token is given; ")
    assert ended.stderr.count("\n") == 1
