"""Scenarios that are mostly waiting, begun when the suite begins, so that they wait beside the other tests.

Each runs in a trio loop in a thread of its own; a test that looks at one waits for what is left of it.
"""

from __future__ import annotations

import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from typing import Any

import trio


class Ahead:
    """The scenarios under way, by name."""

    def __init__(self) -> None:
        self._futures: dict[str, Future[Any]] = {}
        self._threads: list[threading.Thread] = []

    def begin(self, name: str, scenario: Callable[[], Awaitable[object]]) -> None:
        """Begin a scenario, unless it is already under way."""
        if name in self._futures:
            return
        future = self._futures[name] = Future()
        thread = threading.Thread(target=_run, args=(scenario, future), name=f"scenario {name}")
        self._threads.append(thread)
        thread.start()

    def result(self, name: str, limit: float = 55.0) -> Any:
        """Wait for the end of a scenario and return what it saw; what it raised fails the test that looks."""
        return self._futures[name].result(limit)

    def join(self) -> None:
        """Wait for the end of all of them: each has a time limit of its own."""
        for thread in self._threads:
            thread.join()


def _run(scenario: Callable[[], Awaitable[object]], future: Future[Any]) -> None:
    try:
        future.set_result(trio.run(scenario))
    except Exception as error:  # a test that looks at the scenario raises it
        future.set_exception(error)
