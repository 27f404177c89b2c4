"""The text of the units, and what systemd itself says about it."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import attrs
import pytest

from trio_runner.service.systemd.unit import UnitFacts, service_unit, socket_unit

RUNNER = UnitFacts(
    command=(sys.executable, "-I", "-m", "trio_runner", "run"),
    role="run",
    name="trio-runner",
    token_file="/etc/trio-runner/auth-token",
)
BROKER = attrs.evolve(
    RUNNER,
    command=(*RUNNER.command[:-1], "broker"),
    role="broker",
    name="trio-runner-broker",
    listen="127.0.0.1:5679",
)
analyzed = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed"
)
# 0 is a service that can do nothing, 10 one that can do everything; most of a distribution are above 9. What
# the runner may do beyond the broker is what the walls around its tasks are made of.
MOST_EXPOSED = {"run": 3.4, "broker": 1.6}


def settings(text: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name, value in re.findall(r"^(\w+)=(.*)$", text, re.MULTILINE):
        found.setdefault(name, []).append(value)
    return found


def analyze(tmp_path: Path, *command: str) -> str:
    done = subprocess.run(
        ["systemd-analyze", *command],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    return f"{done.returncode}\n{done.stdout}{done.stderr}"


def write(tmp_path: Path, facts: UnitFacts) -> str:
    (tmp_path / f"{facts.name}.service").write_text(service_unit(facts))
    if facts.listen:
        (tmp_path / f"{facts.name}.socket").write_text(socket_unit(facts))
    return f"{facts.name}.service"


@analyzed
@pytest.mark.process
@pytest.mark.parametrize(
    "facts",
    [RUNNER, attrs.evolve(RUNNER, for_user=True), attrs.evolve(RUNNER, run_as="root"), BROKER],
    ids=["runner", "user", "root", "broker"],
)
def test_systemd_finds_nothing_wrong(facts: UnitFacts, tmp_path: Path) -> None:
    unit = write(tmp_path, facts)
    assert analyze(tmp_path, "verify", f"./{unit}") == "0\n"


@analyzed
@pytest.mark.process
@pytest.mark.parametrize("facts", [RUNNER, BROKER], ids=["runner", "broker"])
def test_systemd_says_that_it_is_confined(facts: UnitFacts, tmp_path: Path) -> None:
    text = analyze(tmp_path, "security", "--offline=yes", "--no-pager", f"./{write(tmp_path, facts)}")
    found = re.search(r"Overall exposure level for \S+: (\d+\.\d)", text)
    assert found is not None, text
    print(found[0])
    assert float(found[1]) <= MOST_EXPOSED[facts.role]


def test_a_reload_is_waited_for_where_systemd_can() -> None:
    assert settings(service_unit(RUNNER))["Type"] == ["notify"]
    assert settings(service_unit(RUNNER))["ExecReload"] == ["/bin/kill -HUP $MAINPID"]
    newer = settings(service_unit(attrs.evolve(RUNNER, systemd=253)))
    assert newer["Type"] == ["notify-reload"]
    assert "ExecReload" not in newer


def test_what_the_walls_around_tasks_need_is_not_taken_away() -> None:
    found = settings(service_unit(RUNNER))
    assert set(found["RestrictNamespaces"][0].split()) == {"user", "mnt", "pid", "ipc", "net", "uts"}
    for calls in ("@mount", "landlock_restrict_self", "seccomp", "sethostname"):
        assert calls in found["SystemCallFilter"][0]
    covering_proc = {"ProtectKernelTunables", "ProtectKernelLogs", "ProtectProc", "ProcSubset"}
    assert not covering_proc & found.keys()
    assert found["Delegate"] == ["cpu memory pids"]
    assert (found["KillMode"], found["OOMPolicy"]) == (["mixed"], ["continue"])


def test_a_user_unit_has_nothing_that_only_the_system_can_do() -> None:
    found = settings(service_unit(attrs.evolve(RUNNER, for_user=True)))
    assert not {"DynamicUser", "User", "ProtectSystem", "PrivateTmp", "CapabilityBoundingSet"} & found.keys()
    assert found["WantedBy"] == ["default.target"]


def test_words_of_the_command_are_quoted_as_systemd_reads_them() -> None:
    facts = attrs.evolve(RUNNER, command=("/opt/my python/bin/python", "a$b", "50%", 'say "x"', ""))
    command = settings(service_unit(facts))["ExecStart"][0]
    assert command == '"/opt/my python/bin/python" a$$b 50%% "say \\"x\\"" ""'


def test_the_socket_of_a_broker() -> None:
    assert settings(socket_unit(BROKER))["ListenStream"] == ["127.0.0.1:5679"]
    found = settings(service_unit(BROKER))
    assert found["Requires"] == ["trio-runner-broker.socket"]
