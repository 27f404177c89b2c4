"""What tasks would find on this machine: a worker, the modules they may import, the walls around them."""

from __future__ import annotations

import trio

from ...errors import ConfigError
from ...executor.config import ProcessExecutorConfig
from ...executor.contract import Executor, ExecutorEvent, Job
from ...executor.pool import open_process_executor
from ...executor.probing import WallReport, WallState, probe_walls
from ...protocol.raw_json import RawJson
from ...runner.config import RunnerConfig
from ...scheduling.outcome import Completed, Failed
from .findings import Report

__all__ = ["check_modules", "check_walls", "module_steps"]

# Seconds for one import: the largest packages take several on a slow disk.
_IMPORT_LIMIT = 60.0
_WORKER = "worker starts"


def module_steps(config: RunnerConfig) -> list[str]:
    """Return what `check_modules` will try."""
    return [_WORKER, *(f"import {module}" for module in _modules(config))]


async def check_modules(config: RunnerConfig, report: Report) -> None:
    """Import every module that is allowed by name, each in a worker of its own.

    Args:
        config: the runner's settings.
        report: takes the findings, one for each of `module_steps`.
    """
    processes = ProcessExecutorConfig(policy=config.policy, sandbox=config.sandbox, workers=1)
    try:
        async with open_process_executor(processes) as executor:
            first = await _run(executor, "return 1")
            if not isinstance(first, Completed):
                report.fail(_said(first), "see the settings of the sandbox, and the limits of the machine")
                return
            report.ok("ran a task")
            for module in _modules(config):
                await _try_import(executor, module, report)
    except ConfigError as exc:
        report.fail(str(exc), "mend what that names, then check again")


async def check_walls(config: RunnerConfig, report: Report) -> None:
    """Tell of each wall around tasks how it stands, and try to break through it.

    Args:
        config: the runner's settings.
        report: takes the findings, one for each of `WALLS`.
    """
    try:
        found = await probe_walls(ProcessExecutorConfig(policy=config.policy, sandbox=config.sandbox))
    except ConfigError as exc:
        report.fail(str(exc), "mend what that names, then check again")
        return
    for wall in found:
        _note_wall(wall, report, required=config.sandbox.strictness == "required")


def _note_wall(wall: WallReport, report: Report, *, required: bool) -> None:
    match wall.state:
        case WallState.TESTED:
            report.ok("stands: an attempt to break through failed", timed=False)
        case WallState.STANDS:
            report.ok("stands", timed=False)
        case WallState.BROKEN:
            report.fail(f"broken through: {wall.why}", wall.remedy or "report this fault", alone=True)
        case WallState.MISSING if required:
            report.fail(f"missing, and required: {wall.why}", wall.remedy, alone=True)
        case WallState.MISSING:
            report.warn(f"missing: {wall.why}", wall.remedy)
        case WallState.OFF:
            report.warn("switched off by the settings", wall.remedy)
        case WallState.NOT_NEEDED:
            report.skip("not needed with these settings")


def _modules(config: RunnerConfig) -> list[str]:
    policy = config.policy
    return [*sorted(policy.stdlib_allow - {"*"}), *sorted(policy.external_allow - {"*"})]


async def _try_import(executor: Executor, module: str, report: Report) -> None:
    if not module.isidentifier():
        report.fail("not a name one can import", "write the name that stands behind import", alone=True)
        return
    with trio.move_on_after(_IMPORT_LIMIT) as limit:
        outcome = await _run(executor, f"import {module}\nreturn 1")
        if isinstance(outcome, Completed):
            report.ok()
        else:
            report.fail(
                _said(outcome), "install it for the Python of the runner, or allow another", alone=True
            )
    if limit.cancelled_caught:
        report.fail(f"not done within {_IMPORT_LIMIT:g} s", "see what its import does", alone=True)


async def _run(executor: Executor, code: str) -> object:
    fields = {"code": code, "nodeMode": "runOnceForAllItems", "items": []}
    return await executor.run(Job("check", "python", RawJson.of(fields)), _ignore)


def _ignore(event: ExecutorEvent) -> None:
    """Nobody waits for what these tasks print."""


def _said(outcome: object) -> str:
    if isinstance(outcome, Failed):
        first = outcome.description.strip().splitlines()[0] if outcome.kind == "policy" else ""
        return f"{outcome.message}{f': {first}' if first else ''}"
    return str(getattr(outcome, "description", "")) or "the worker ended without a result"
