"""The executors that attacks run on."""

from __future__ import annotations

from collections.abc import Sequence

from trio_runner.executor.config import ProcessExecutorConfig
from trio_runner.sandbox.config import Limits, SandboxConfig
from trio_runner.sandbox.policy import Policy

from .attack import Attack

FREE = Policy(stdlib_allow=frozenset("*"), external_allow=frozenset("*"), builtins_deny=frozenset())
"""The language lets everything pass: what stops an attack is the kernel."""

CHECKED = Policy()
"""The default: nothing may be imported, and code is checked."""

MODULES = Policy(stdlib_allow=frozenset("json operator string importlib sys re functools".split()))
"""The default with some modules, through which others could be had."""

MAX_RESULT = 2 * 1024**2
MIB = 1024**2

# Bombs that go off pass these by far; see the attacks.
_LIMITS = {
    "memory": 512 * MIB,
    "processes": 48,
    "open_files": 256,
    "file_size": 40 * MIB,
    "scratch": 64 * MIB,
}


def setting_of(attack: Attack, *, checked: bool) -> str:
    """Return the name of the executor that an attack runs on."""
    if not checked:
        return attack.setting
    if attack.setting == "short":
        return "checked-short"
    return "modules" if attack.modules else "checked"


def config_of(
    setting: str, disabled: Sequence[str] = (), *, ports: Sequence[int] = ()
) -> ProcessExecutorConfig:
    """Return the configuration of an executor.

    Args:
        setting: its name: ``checked``, ``checked-short``, ``modules`` check the language; ``free``, ``short``
            and ``network`` do not. The short ones have one second of processor time; the network is open in
            the one that is called so.
        disabled: walls that are switched off.
        ports: ports of this machine that play the runner's own.
    """
    policy = {"checked": CHECKED, "checked-short": CHECKED, "modules": MODULES}.get(setting, FREE)
    sandbox = SandboxConfig(
        network="allow" if setting == "network" else "deny",
        limits=Limits(cpu=1 if setting.endswith("short") else 30, **_LIMITS),
        disabled=frozenset(disabled),
        closed_ports=tuple(ports),
    )
    return ProcessExecutorConfig(policy=policy, sandbox=sandbox, workers=3, warm=3, max_payload=MAX_RESULT)
