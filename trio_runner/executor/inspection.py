"""Looking at the walls that workers would have here, without running a task."""

from __future__ import annotations

import attrs
import trio

from .config import ProcessExecutorConfig
from .zygote import start_zygote

__all__ = ["StandingWalls", "inspect_walls"]

# Seconds for the end of a process that has done nothing.
_END = 10.0


@attrs.frozen
class StandingWalls:
    """The walls around workers.

    Attributes:
        names: those that stand.
        missing: those that are wanted and that this machine does not have, each with the reason.
    """

    names: tuple[str, ...]
    missing: tuple[tuple[str, str], ...]


async def inspect_walls(config: ProcessExecutorConfig) -> StandingWalls:
    """Start the process that forks workers, ask it for the walls, and end it.

    Args:
        config: the configuration that workers would have.

    Raises:
        ConfigError: it cannot be started; the message says why, with a remedy.

    Cancellation:
        Nothing is left of it.
    """
    zygote = await start_zygote(config, lambda _: None)
    try:
        return StandingWalls(zygote.walls, zygote.missing)
    finally:
        zygote.kill("it was only looked at")
        with trio.move_on_after(_END, shield=True):
            await zygote.close()
