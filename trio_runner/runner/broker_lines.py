"""The brokers of a runner: one connection is kept to each, and brokers may come and go while it runs.

Theory of operation. A *line* is the keeping of one broker's connection, over as many connections as it takes.
A broker that leaves the configuration is left in good order: no more offers, running tasks finish within the
grace, then the connection is closed and not made again. If it comes back meanwhile, its new line begins when
the old one has ended: a broker takes a second connection of one runner for the first one made again.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

import attrs
import trio

from ..errors import ConfigError, LinkError
from .connection import keep_connected
from .shared import OpenSession, Shared

__all__ = ["BrokerLines"]


@attrs.define(eq=False)
class _Line:
    """The keeping of one broker's connection.

    Attributes:
        broker: base URI.
        begun: it has not waited for an earlier one, or no longer does.
        leaving: the broker is wanted no more.
        scope: cancels it.
        ended: set when nothing of it is left.
    """

    broker: str
    begun: bool = False
    leaving: bool = False
    scope: trio.CancelScope = attrs.field(factory=trio.CancelScope)
    ended: trio.Event = attrs.field(factory=trio.Event)


class BrokerLines:
    """Keeps a connection to each of a set of brokers.

    Args:
        shared: what the runner's sessions have in common.
        nursery: where the lines run; its end is theirs.
        give_up: called with the error when the connection to a broker cannot be had again.
    """

    def __init__(
        self, shared: Shared, nursery: trio.Nursery, give_up: Callable[[ConfigError | LinkError], None]
    ) -> None:
        self._shared = shared
        self._nursery = nursery
        self._give_up = give_up
        self._lines: dict[str, _Line] = {}  # of each broker the newest

    def serve(self, brokers: Iterable[str]) -> None:
        """Connect to the brokers that are new, and leave those that are not among them."""
        wanted = dict.fromkeys(brokers)
        for broker, line in self._lines.items():
            if broker not in wanted and not line.leaving:
                self._leave(line)
        for broker in wanted:
            before = self._lines.get(broker)
            if before is None or before.leaving:
                self._lines[broker] = line = _Line(broker)
                self._nursery.start_soon(self._keep, line, before)

    async def _keep(self, line: _Line, before: _Line | None) -> None:
        try:
            with line.scope:
                if before is not None:
                    await before.ended.wait()
                line.begun = True
                await keep_connected(line.broker, self._shared, leaving=lambda: line.leaving)
        except (ConfigError, LinkError) as exc:
            if not line.leaving:
                self._give_up(exc)
        finally:
            if self._lines.get(line.broker) is line and line.leaving:
                del self._lines[line.broker]
            line.ended.set()

    def _leave(self, line: _Line) -> None:
        """Offer a broker no more, from this moment on."""
        line.leaving = True
        session = self._session_with(line.broker) if line.begun else None
        if session is None:
            line.scope.cancel()
            return
        deadline = trio.current_time() + self._shared.config.grace
        session.leave(deadline)
        self._nursery.start_soon(self._hang_up, line, session, deadline)

    async def _hang_up(self, line: _Line, session: OpenSession, deadline: float) -> None:
        """Let what runs for a broker finish, and close the connection."""
        while session.statistics().running_tasks:
            await self._shared.changed.wait_until(math.inf)
        with trio.move_on_at(deadline):
            await session.flush()
        session.close()
        with trio.move_on_after(self._shared.config.link.close_timeout):
            await line.ended.wait()
        line.scope.cancel()

    def _session_with(self, broker: str) -> OpenSession | None:
        return next((session for session in self._shared.sessions if session.broker == broker), None)
