"""Waking tasks that look at shared state: an event that rearms itself."""

from __future__ import annotations

import trio

__all__ = ["Wakeup"]


class Wakeup:
    """Lets any number of tasks sleep until something changes or a deadline comes.

    A waiter looks at the state and then waits, without a checkpoint in between, so no change is missed.
    """

    def __init__(self) -> None:
        self._event = trio.Event()

    def ring(self) -> None:
        """Wake every task that waits now."""
        self._event.set()
        self._event = trio.Event()

    async def wait_until(self, deadline: float) -> None:
        """Return at the next ring, or at `deadline` (`trio.current_time()`, may be infinite).

        Cancellation:
            Safe: waiting changes nothing.
        """
        with trio.move_on_at(deadline):
            await self._event.wait()
