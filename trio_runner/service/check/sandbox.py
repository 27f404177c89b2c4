"""What tasks would find on this machine: a worker, the modules they may import, the walls around them."""

from __future__ import annotations

import trio

from ...errors import ConfigError
from ...executor.config import ProcessExecutorConfig
from ...executor.contract import Executor, ExecutorEvent, Job
from ...executor.inspection import inspect_walls
from ...executor.pool import open_process_executor
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
    """Tell which walls stand around tasks, and which are missing.

    Args:
        config: the runner's settings.
        report: takes one finding.
    """
    if config.sandbox.strictness == "off":
        report.warn("none, as the settings say", "take --sandbox off away unless a container is the wall")
        return
    try:
        walls = await inspect_walls(ProcessExecutorConfig(policy=config.policy, sandbox=config.sandbox))
    except ConfigError as exc:
        report.fail(str(exc), "mend what that names, or let --sandbox best-effort do without it")
        return
    if walls.missing:
        missing = "; ".join(f"{name} ({why})" for name, why in walls.missing)
        report.warn(
            f"{len(walls.names)} stand, missing: {missing}",
            "the others hold; a newer kernel, or a unit of systemd with Delegate=yes, has more",
        )
    else:
        report.ok(f"all {len(walls.names)} that are wanted stand: {', '.join(walls.names)}")


def _modules(config: RunnerConfig) -> list[str]:
    policy = config.policy
    return [*sorted(policy.stdlib_allow - {"*"}), *sorted(policy.external_allow - {"*"})]


async def _try_import(executor: Executor, module: str, report: Report) -> None:
    if not module.isidentifier():
        _note_failure(report, "not a name one can import", "write the name that stands behind import")
        return
    with trio.move_on_after(_IMPORT_LIMIT) as limit:
        outcome = await _run(executor, f"import {module}\nreturn 1")
        if isinstance(outcome, Completed):
            report.ok()
        else:
            _note_failure(report, _said(outcome), "install it for the Python of the runner, or allow another")
    if limit.cancelled_caught:
        _note_failure(report, f"not done within {_IMPORT_LIMIT:g} s", "see what it does when it is imported")


def _note_failure(report: Report, detail: str, remedy: str) -> None:
    """Note a failure that says nothing about the next step."""
    rest, report.steps[1:] = report.steps[1:], []
    report.fail(detail, remedy)
    report.steps.extend(rest)


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
