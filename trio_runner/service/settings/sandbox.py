"""The settings of the walls around each task, and the configuration they make."""

from __future__ import annotations

from typing import Any, Protocol

from ...errors import ConfigError
from ...sandbox.config import NETWORKS, PROFILES, STRICTNESSES, WALLS, Limits, SandboxConfig
from .kinds import Choice, Kind, NameList, Number, Size
from .table import Reading, setting

__all__ = ["SandboxSettings", "disabled_walls", "limit", "sandbox_config", "sandbox_word"]

_SANDBOX = "Sandbox"
_LIMITS = "Limits of one task"
# Below this the interpreter itself does not run.
_LEAST_MEMORY = 64 * 1024**2

_WORDS = {
    "strictness": (STRICTNESSES, "If this machine lacks a wall: refuse to start, or start and tell."),
    "profile": (PROFILES, "Language rules as in n8n, or none, or those without imports and network."),
    "network": (NETWORKS, "Whether tasks have the network; auto: if a module they may import is for it."),
}
_KINDS: dict[str, tuple[Kind, str]] = {
    "memory": (Size(_LEAST_MEMORY), "Memory of each process, and of all together where there is a cgroup"),
    "cpu": (Number(0, 10**9, metavar="SECONDS"), "Seconds of processor time of each process"),
    "processes": (Number(0, 4_000_000), "Processes and threads at one time"),
    "open_files": (Number(0, 1_000_000), "Open files of each process"),
    "file_size": (Size(4096), "Largest file"),
    "scratch": (Size(65536), "All files together, which are held in memory"),
}


class SandboxSettings(Protocol):
    """The part of a command's settings that is about the walls; limits are those of the profile if None."""

    @property
    def sandbox(self) -> str: ...
    @property
    def sandbox_profile(self) -> str: ...
    @property
    def sandbox_network(self) -> str: ...
    @property
    def sandbox_disable(self) -> frozenset[str]: ...


def sandbox_word(name: str) -> Any:
    """Declare the setting ``strictness``, ``profile`` or ``network``."""
    words, about = _WORDS[name]
    rest = "" if name == "strictness" else f"-{name}"
    return setting(
        f"TRIO_RUNNER_SANDBOX{rest.replace('-', '_').upper()}",
        flag=f"--sandbox{rest}",
        kind=Choice({word: word for word in words}, metavar="|".join(words)),
        default=getattr(SandboxConfig(), name),
        about=about,
        group=_SANDBOX,
        live=True,
    )


def disabled_walls() -> Any:
    """Declare the setting that leaves walls out."""
    return setting(
        "TRIO_RUNNER_SANDBOX_DISABLE",
        flag="--sandbox-disable",
        kind=NameList(),
        default=frozenset(),
        default_text="none",
        about="Walls to leave out, by their names.",
        group=_SANDBOX,
        live=True,
    )


def limit(name: str) -> Any:
    """Declare the setting of one limit."""
    kind, about = _KINDS[name]
    usual, locked = (kind.show(getattr(Limits.of_profile(profile), name)) for profile in ("", "locked"))
    return setting(
        f"TRIO_RUNNER_TASK_{name.upper()}",
        flag=f"--task-{name.replace('_', '-')}",
        kind=kind,
        default=None,
        default_text=f"{usual}; locked: {locked}",
        about=f"{about}; 0: no limit.",
        group=_LIMITS,
        live=True,
    )


def sandbox_config(reading: Reading[Any]) -> SandboxConfig:
    """Return the configuration of the walls.

    Args:
        reading: settings that are `SandboxSettings`, with a ``task_{name}`` for each limit.

    Raises:
        ConfigError: a wall does not exist or settings contradict each other; names them and the remedy.
    """
    settings: SandboxSettings = reading.settings
    if unknown := sorted(settings.sandbox_disable - WALLS.keys()):
        raise ConfigError(
            f"{reading.label('sandbox_disable')}: there is no wall {unknown[0]!r};"
            f" the walls are {', '.join(WALLS)}"
        )
    limits = Limits.of_profile(settings.sandbox_profile)
    given = {name: getattr(settings, f"task_{name}") for name in _KINDS}
    try:
        return SandboxConfig(
            profile=settings.sandbox_profile,
            strictness=settings.sandbox,
            network=settings.sandbox_network,
            disabled=settings.sandbox_disable,
            limits=Limits(
                **{name: getattr(limits, name) if value is None else value for name, value in given.items()}
            ),
        )
    except ValueError as exc:
        what, _, why = str(exc).partition(": ")
        raise ConfigError(f"{reading.label(f'sandbox_{what}')}: {why}") from None
