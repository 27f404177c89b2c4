"""A runner that stays up over many tests, used from plain synchronous tests.

A test hands in code and gets back how the task went. The connection is made anew should a test have
broken it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from typing import Any, TypeVar

import trio

from .daemon import Daemon, first_session, open_runner
from .fake_broker import FakeBroker, Session, TaskRun, open_broker
from .hosting import Hosted, hosted
from .wire import PROMPT

T = TypeVar("T")


class Counter:
    """The end of the desk that lives in its thread: a broker, its runner and their connection."""

    def __init__(self, broker: FakeBroker, daemon: Daemon) -> None:
        self.broker = broker
        self.daemon = daemon
        self._session: Session | None = None

    async def serve(self, scenario: Callable[[Session], Awaitable[T]], limit: float) -> T:
        """Run something with the runner's connection, and make sure that the runner kept the protocol."""
        with trio.fail_after(limit):
            if self._session is None or self._session.peer.over.is_set():
                self._session = await first_session(self.broker, self.daemon)
            result = await scenario(self._session)
        assert self._session.peer.violations == [], self._session.peer.violations
        return result


class TaskDesk:
    """Takes tasks for one runner from a thread that is not trio's.

    Attributes:
        daemon: the runner's process.
    """

    def __init__(self, host: Hosted[Counter]) -> None:
        self.daemon = host.value.daemon
        self._host = host

    def run(self, code: str, limit: float = PROMPT, **settings: Any) -> TaskRun:
        """Run a task to its end; `settings` are keys of its settings."""
        return self.use(lambda session: session.run(code, limit, **settings))

    def result(self, code: str, limit: float = PROMPT, **settings: Any) -> Any:
        """Run a task and return its result."""
        return self.run(code, limit, **settings).result

    def error(self, code: str, limit: float = PROMPT, **settings: Any) -> dict[str, Any]:
        """Run a task that fails and return its error."""
        return self.run(code, limit, **settings).error

    def use(self, scenario: Callable[[Session], Awaitable[T]], limit: float = 50.0) -> T:
        """Run something longer with the runner's connection."""

        async def at_the_counter(counter: Counter) -> T:
            return await counter.serve(scenario, limit)

        return self._host.run(at_the_counter)


@contextmanager
def open_desk(**settings: str | None) -> Iterator[TaskDesk]:
    """Run a runner with these settings (see `open_runner`) and a desk for it."""
    with hosted(partial(_open_counter, settings)) as host:
        yield TaskDesk(host)


@asynccontextmanager
async def _open_counter(settings: dict[str, str | None]) -> AsyncIterator[Counter]:
    async with open_broker() as broker, open_runner(broker, **settings) as daemon:
        yield Counter(broker, daemon)
