"""What an executor with processes can do beyond what every executor can."""

from __future__ import annotations

from typing import Protocol

from .config import ProcessExecutorConfig
from .contract import Executor

__all__ = ["ProcessExecutor"]


class ProcessExecutor(Executor, Protocol):
    """An `Executor` with processes, which can be told to work by another configuration."""

    async def reconfigure(self, config: ProcessExecutorConfig, *, afresh: bool = False) -> None:
        """Have later tasks run by another configuration. Running tasks are not touched and none is lost.

        Args:
            config: what differs takes effect: rules, modules and walls in workers forked from here on.
            afresh: modules are loaded afresh even if nothing differs, as after `reload`.

        Raises:
            ConfigError: workers cannot be started with it; everything stays as it is.
            trio.ClosedResourceError: the executor has been closed.

        Cancellation:
            The new configuration may take effect all the same.
        """
        ...
