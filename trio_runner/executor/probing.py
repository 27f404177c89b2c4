"""Which walls stand around tasks on this machine, found out by trying to break through each of them."""

from __future__ import annotations

import dataclasses
import enum
import json
import os
import tempfile
from pathlib import Path

import attrs
import trio

from ..protocol.raw_json import RawJson
from ..sandbox.config import LIMIT_SETTINGS, WALLS, SandboxConfig
from ..sandbox.policy import Policy
from ..sandbox.walls.probes import MEMORY_PROBE, PROBES
from ..scheduling.outcome import Completed, Outcome, WorkerDied
from .config import ProcessExecutorConfig
from .contract import Executor, Job
from .pool import open_process_executor
from .strictness import remedy_for
from .zygote import start_zygote

__all__ = ["WallReport", "WallState", "probe_walls"]

# Seconds for one attempt, which takes milliseconds.
_LIMIT = 10.0
# Bytes that all processes of a task may take while that limit is tried: enough for Python, and soon reached.
_MEMORY = 192 * 1024**2
_EVERYTHING = frozenset("*")
_LIMITS = {
    "memory": "RLIMIT_AS",
    "cpu": "RLIMIT_CPU",
    "processes": "RLIMIT_NPROC",
    "open_files": "RLIMIT_NOFILE",
    "file_size": "RLIMIT_FSIZE",
}


class WallState(enum.Enum):
    """How a wall stands.

    Attributes:
        TESTED: it stands, and an attempt to break through has failed.
        STANDS: it stands; it cannot be tested from inside.
        BROKEN: it was believed to stand, and an attempt has come through.
        MISSING: it is wanted, and this machine does not have it.
        OFF: it has been switched off.
        NOT_NEEDED: the configuration has no use for it, as for the wall against a network that is open.
    """

    TESTED = "tested"
    STANDS = "stands"
    BROKEN = "broken"
    MISSING = "missing"
    OFF = "off"
    NOT_NEEDED = "not needed"


@attrs.frozen
class WallReport:
    """What was found out about one wall.

    Attributes:
        name: of `sandbox.config.WALLS`.
        about: what it does.
        state: how it stands.
        why: what came through, or why it is missing; may be empty.
        remedy: what an operator can do; empty if nothing is to be done.
    """

    name: str
    about: str
    state: WallState
    why: str = ""
    remedy: str = ""


async def probe_walls(config: ProcessExecutorConfig) -> list[WallReport]:
    """Raise the walls as a runner would, try to break through each in a throw-away process, and report.

    Args:
        config: as for the runner; what is required is not insisted on.

    Returns:
        One report for each wall, in the order of `WALLS`.

    Raises:
        ConfigError: workers cannot be started at all.

    Cancellation:
        Nothing is left.
    """
    wanted = config.sandbox.wanted(config.sandbox.policy_for(config.policy))
    standing, missing = await _greeted(config)
    broken = await _attempts(config, standing)
    return [_report(name, wanted, standing, missing, broken, config.sandbox) for name in WALLS]


async def _greeted(config: ProcessExecutorConfig) -> tuple[tuple[str, ...], dict[str, str]]:
    """Return the walls that a zygote has, and those that it lacks with the reasons."""
    sandbox = _lenient(config.sandbox)
    zygote = await start_zygote(attrs.evolve(config, sandbox=sandbox, preload=()), lambda worker: None)
    with trio.CancelScope(shield=True):
        await zygote.close()
    return zygote.walls, dict(zygote.missing)


async def _attempts(config: ProcessExecutorConfig, standing: tuple[str, ...]) -> dict[str, str]:
    """Return what each attempt got, empty for nothing, by wall."""
    # The language is not to be what stops an attempt; the network is to be as it would be.
    network = "allow" if config.sandbox.opens_network(config.policy) else "deny"
    sandbox = dataclasses.replace(_lenient(config.sandbox), network=network)
    policy = Policy(stdlib_allow=_EVERYTHING, external_allow=_EVERYTHING, builtins_deny=frozenset())
    probing = attrs.evolve(config, sandbox=sandbox, policy=policy, preload=(), workers=1, warm=1)
    found = {"cgroup": await _use_up_memory(probing)} if "cgroup" in standing else {}
    with tempfile.NamedTemporaryFile(prefix="trio-runner-probe-") as marker:
        async with open_process_executor(probing) as executor:
            for name in standing:
                if name in PROBES:
                    code = PROBES[name].format(
                        marker=marker.name,
                        pid=os.getpid(),
                        namespaces=_namespaces(),
                        limits=[_LIMITS[limit] for limit in _LIMITS if getattr(sandbox.limits, limit)],
                    )
                    found[name] = await _attempt(executor, code)
    return found


async def _use_up_memory(probing: ProcessExecutorConfig) -> str:
    """Return what came of a task whose processes together take more memory than it may, each of them less."""
    limits = dataclasses.replace(probing.sandbox.limits, memory=_MEMORY)
    probing = attrs.evolve(probing, sandbox=dataclasses.replace(probing.sandbox, limits=limits))
    async with open_process_executor(probing) as executor:
        outcome = await _run(executor, MEMORY_PROBE.format(processes=3, size=_MEMORY // 2))
    if isinstance(outcome, WorkerDied) and LIMIT_SETTINGS["memory"] in outcome.description:
        return ""
    return _told(outcome)


async def _attempt(executor: Executor, code: str) -> str:
    return _told(await _run(executor, code))


async def _run(executor: Executor, code: str) -> Outcome | None:
    """Return how an attempt ended; None: it took too long."""
    settings = {"code": code, "nodeMode": "runOnceForAllItems", "items": []}
    with trio.move_on_after(_LIMIT):
        return await executor.run(Job("probe", "python", RawJson.of(settings)), lambda event: None)
    return None


def _told(outcome: Outcome | None) -> str:
    if outcome is None:
        return "the attempt took too long"
    if isinstance(outcome, Completed):
        return str(json.loads(outcome.result.data))
    return f"the attempt itself failed: {outcome}"


def _report(
    name: str,
    wanted: tuple[str, ...],
    standing: tuple[str, ...],
    missing: dict[str, str],
    broken: dict[str, str],
    sandbox: SandboxConfig,
) -> WallReport:
    about = WALLS[name]
    if name in missing:
        return WallReport(name, about, WallState.MISSING, missing[name], remedy_for(name))
    if name not in wanted:
        off = name in sandbox.disabled or sandbox.strictness == "off"
        return WallReport(name, about, WallState.OFF if off else WallState.NOT_NEEDED)
    if name not in standing or broken.get(name):
        return WallReport(name, about, WallState.BROKEN, broken.get(name, ""), remedy_for(name))
    return WallReport(name, about, WallState.TESTED if name in broken else WallState.STANDS)


def _lenient(sandbox: SandboxConfig) -> SandboxConfig:
    """Return the same walls without insisting on any."""
    strictness = "off" if sandbox.strictness == "off" else "best-effort"
    return dataclasses.replace(sandbox, profile="n8n-compat", strictness=strictness)


def _namespaces() -> dict[str, str]:
    """Return the namespaces of this process, by kind; empty without procfs."""
    try:
        return {entry.name: str(entry.readlink()) for entry in Path("/proc/self/ns").iterdir()}
    except OSError:
        return {"user": "", "ipc": "", "net": ""}
