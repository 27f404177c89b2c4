"""Waking tasks: an event that rearms itself, for shared state; a deadline that may be brought forward."""

from __future__ import annotations

import trio

__all__ = ["Alarm", "Wakeup"]


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


class Alarm:
    """Lets one task sleep until a time that others bring forward, without waking it before that time."""

    def __init__(self) -> None:
        self._sleep: trio.CancelScope | None = None

    def bring_forward(self, deadline: float) -> None:
        """Have the sleeper wake at `deadline` (`trio.current_time()`), if it would sleep longer."""
        if self._sleep is not None and deadline < self._sleep.deadline:
            self._sleep.deadline = deadline

    async def sleep_until(self, deadline: float) -> None:
        """Return at `deadline` (`trio.current_time()`, may be infinite), or when it was brought forward to.

        Cancellation:
            Safe: sleeping changes nothing.
        """
        with trio.move_on_at(deadline) as self._sleep:
            try:
                await trio.sleep_forever()
            finally:
                self._sleep = None
