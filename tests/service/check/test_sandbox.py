"""Modules and walls, with real workers."""

from __future__ import annotations

import attrs
import pytest
import trio

from trio_runner.executor.config import ProcessExecutorConfig
from trio_runner.executor.probing import WallReport, WallState
from trio_runner.runner.config import RunnerConfig
from trio_runner.sandbox.config import WALLS, SandboxConfig
from trio_runner.sandbox.policy import Policy
from trio_runner.service.check.findings import Finding, Report, Status
from trio_runner.service.check.sandbox import check_modules, check_walls, module_steps

pytestmark = pytest.mark.process

ORIGINAL = ProcessExecutorConfig
CONFIG = RunnerConfig(auth_token="t")


def allowing(*external: str, stdlib: tuple[str, ...] = ()) -> RunnerConfig:
    policy = Policy(stdlib_allow=frozenset(stdlib), external_allow=frozenset(external))
    return attrs.evolve(CONFIG, policy=policy)


async def test_every_module_is_tried_whatever_became_of_the_others() -> None:
    config = allowing("nosuchmodule", "attrs", "scikit-learn", stdlib=("json", "decimal"))
    found: list[Finding] = []
    steps = module_steps(config)
    await check_modules(config, Report("tasks", list(steps), found.append))
    assert [finding.step for finding in found] == steps
    status = {finding.step: finding.status for finding in found}
    assert status == {
        "worker starts": Status.OK,
        "import decimal": Status.OK,
        "import json": Status.OK,
        "import attrs": Status.OK,
        "import nosuchmodule": Status.FAILED,
        "import scikit-learn": Status.FAILED,
    }
    assert all(finding.remedy for finding in found if finding.status is Status.FAILED)


async def test_no_worker_no_modules(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "trio_runner.service.check.sandbox.ProcessExecutorConfig",
        lambda **more: ORIGINAL(python="/nonexistent/python", **more),
    )
    config = allowing(stdlib=("json",))
    found: list[Finding] = []
    await check_modules(config, Report("tasks", module_steps(config), found.append))
    assert [finding.status for finding in found] == [Status.FAILED, Status.SKIPPED]
    assert "/nonexistent/python" in found[0].detail
    found.clear()
    await check_walls(config, Report("sandbox", list(WALLS), found.append))
    assert found[0].status is Status.FAILED


def test_all_modules_are_not_tried_one_by_one() -> None:
    assert module_steps(allowing("*", stdlib=("*",))) == ["worker starts"]


STATES = {
    WallState.TESTED: Status.OK,
    WallState.STANDS: Status.OK,
    WallState.BROKEN: Status.FAILED,
    WallState.MISSING: Status.WARNING,
    WallState.OFF: Status.WARNING,
    WallState.NOT_NEEDED: Status.SKIPPED,
}


@pytest.mark.parametrize("required", [True, False])
async def test_every_state_of_a_wall_is_told(required: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    async def probed(_: ProcessExecutorConfig) -> list[WallReport]:
        await trio.lowlevel.checkpoint()
        return [WallReport(state.name, "does things", state, "because", "do this") for state in WallState]

    monkeypatch.setattr("trio_runner.service.check.sandbox.probe_walls", probed)
    sandbox = SandboxConfig(strictness="required" if required else "best-effort")
    found: list[Finding] = []
    steps = [state.name for state in WallState]
    await check_walls(attrs.evolve(CONFIG, sandbox=sandbox), Report("sandbox", list(steps), found.append))
    assert [finding.step for finding in found] == steps
    expected = STATES | ({WallState.MISSING: Status.FAILED} if required else {})
    assert {finding.step: finding.status for finding in found} == {
        state.name: status for state, status in expected.items()
    }
    assert all(finding.remedy for finding in found if finding.status is Status.FAILED)


async def test_the_walls_of_this_machine() -> None:
    found: list[Finding] = []
    await check_walls(CONFIG, Report("sandbox", list(WALLS), found.append))
    assert [finding.step for finding in found] == list(WALLS)
    assert not [finding for finding in found if finding.status is Status.FAILED]
