"""Walls tested by trying to break through them."""

from __future__ import annotations

import attrs
import pytest

from trio_runner.executor.config import ProcessExecutorConfig
from trio_runner.executor.probing import WallState, probe_walls
from trio_runner.sandbox.config import WALLS, SandboxConfig

pytestmark = pytest.mark.process


async def test_what_stands_is_not_broken() -> None:
    reports = await probe_walls(ProcessExecutorConfig())
    assert [report.name for report in reports] == list(WALLS)
    by_name = {report.name: report for report in reports}
    assert [attrs.astuple(report) for report in reports if report.state is WallState.BROKEN] == []
    assert by_name["no-new-privileges"].state is WallState.TESTED
    assert by_name["limits"].state is WallState.TESTED
    assert by_name["addresses"].state is WallState.NOT_NEEDED
    for report in reports:
        if report.state is WallState.MISSING:
            assert report.why
            assert report.remedy


async def test_what_is_off_is_told_as_such_and_required_is_not_insisted_on() -> None:
    sandbox = SandboxConfig(strictness="required", disabled=frozenset({"seccomp", "pid-namespace"}))
    states = {
        report.name: report.state for report in await probe_walls(ProcessExecutorConfig(sandbox=sandbox))
    }
    assert states["seccomp"] is states["pid-namespace"] is WallState.OFF
    off = await probe_walls(ProcessExecutorConfig(sandbox=SandboxConfig(strictness="off")))
    assert {report.state for report in off} == {WallState.OFF}
