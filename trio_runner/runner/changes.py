"""What of a runner's configuration may change while it runs, and what a change comes to. No I/O."""

from __future__ import annotations

import dataclasses
from typing import Any

import attrs

from .config import RunnerConfig

__all__ = ["ReconfigureReport", "changes_to"]

# The rest is part of what brokers have been told, or of connections that are open.
_LIVE = (
    "brokers",
    "auth_token",
    "max_concurrency",
    "task_timeout",
    "idle_timeout",
    "max_tasks",
    "max_uptime",
    "grace",
    "policy",
    "preload",
    "sandbox",
    "reuse",
)


@attrs.frozen
class ReconfigureReport:
    """What a new configuration changes in a runner.

    Attributes:
        config: what is in force now.
        applied: fields of `RunnerConfig` that have changed.
        need_restart: fields that differ and cannot change while the runner runs; the old values stay.
    """

    config: RunnerConfig
    applied: tuple[str, ...] = ()
    need_restart: tuple[str, ...] = ()


def changes_to(running: RunnerConfig, wanted: RunnerConfig, *, own_workers: bool = True) -> ReconfigureReport:
    """Compare two configurations.

    Args:
        running: the configuration that is in force.
        wanted: the one that should be.
        own_workers: the runner's Python tasks run in worker processes of its own; if an executor was given
            to it, their rules, modules and walls are that executor's.

    Raises:
        ConfigError: what can change contradicts what must stay.
    """
    # The largest result follows from the payload limit of the connections, which stays.
    policy = dataclasses.replace(wanted.policy, max_result=running.policy.max_result)
    wanted = attrs.evolve(wanted, policy=policy)
    different = [
        field.name
        for field in attrs.fields(RunnerConfig)
        if getattr(running, field.name) != getattr(wanted, field.name)
    ]
    live = set(_LIVE) - (set() if own_workers else {"policy", "preload", "sandbox", "reuse"})
    applied = tuple(name for name in different if name in live)
    values: dict[str, Any] = {name: getattr(wanted, name) for name in applied}
    return ReconfigureReport(
        attrs.evolve(running, **values), applied, tuple(name for name in different if name not in live)
    )
