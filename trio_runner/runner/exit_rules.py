"""When a runner ends by itself: nothing to do for long, enough tasks, or old enough."""

from __future__ import annotations

import math
from random import Random

import trio

from ..scheduling.observer import RunnerIdle, RunnerSpent
from .shared import Shared

__all__ = ["wait_for_exit_rule"]

# A runner of a given age ends between this part of it and the whole: those that were started together do not
# end together.
_YOUNGEST = 0.9


async def wait_for_exit_rule(
    shared: Shared, began: float, *, random: Random | None = None
) -> RunnerIdle | RunnerSpent:
    """Wait until one of the rules of `RunnerConfig` says that the runner ends; return which.

    Args:
        shared: its configuration, and what happens in it.
        began: when the runner did, `trio.current_time()`.
        random: what the age is drawn from; None: a source of its own.

    Cancellation:
        Safe: waiting changes nothing.
    """
    share = (random or Random()).uniform(_YOUNGEST, 1.0)  # noqa: S311 - spreads load, guards nothing
    while True:
        config, now = shared.config, trio.current_time()
        if config.max_tasks and shared.tasks_taken >= config.max_tasks:
            return RunnerSpent(f"it has taken as many tasks as it was started for: {shared.tasks_taken}")
        old = began + config.max_uptime * share if config.max_uptime else math.inf
        if now >= old:
            return RunnerSpent(f"it has run for {now - began:.0f} of at most {config.max_uptime:g} seconds")
        idle = math.inf
        if config.idle_timeout and not shared.ledger.held:
            idle = shared.idle_since + config.idle_timeout
        if now >= idle:
            return RunnerIdle(config.idle_timeout)
        await shared.changed.wait_until(min(old, idle))
