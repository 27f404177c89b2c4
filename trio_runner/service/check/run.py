"""The whole check: the settings, each broker, the modules, the walls."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import attrs

from ...runner.config import RunnerConfig
from ...runner.dialer import Dialer
from ...sandbox.config import WALLS
from .broker import BROKER_STEPS, check_broker
from .findings import Finding, Report, Status
from .sandbox import check_modules, check_walls, module_steps

__all__ = ["check_all"]


async def check_all(
    config: RunnerConfig,
    oddities: Iterable[str],
    *,
    dialer: Dialer,
    step_limit: float,
    tell: Callable[[Finding], None],
) -> None:
    """Try everything that a runner with these settings needs, one thing after the other.

    Args:
        config: the runner's settings.
        oddities: what is odd about them, one line each.
        dialer: reaches the brokers.
        step_limit: seconds for each step with a broker.
        tell: called with each finding as it comes.
    """
    for line in oddities:
        what, _, remedy = line.partition("; ")
        tell(Finding("settings", "odd", Status.WARNING, what, remedy))
    config = attrs.evolve(config, link=attrs.evolve(config.link, connect_timeout=step_limit))
    for broker in config.brokers:
        await check_broker(broker, config, dialer, Report(f"broker {broker}", list(BROKER_STEPS), tell))
    await check_modules(config, Report("tasks", module_steps(config), tell))
    await check_walls(config, Report("sandbox", list(WALLS), tell))
