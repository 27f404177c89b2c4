"""Scenarios that are mostly waiting, begun when the suite begins, so that they wait beside the other tests.

They run one after the other, each in a trio loop of its own, in one thread beside that of the tests; a test
that looks at one waits for what is left of it.
"""

from __future__ import annotations

import threading
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import Future
from typing import Any

import trio

Scenario = Callable[[], Awaitable[object]]


# Seconds for one scenario: it ends one that hangs.
SCENARIO_LIMIT = 100.0


class Ahead:
    """The scenarios under way, by name.

    Args:
        scenarios: what to run, in this order; each has a time limit of its own.
    """

    def __init__(self, scenarios: Mapping[str, Scenario]) -> None:
        self._futures: dict[str, Future[Any]] = {name: Future() for name in scenarios}
        self._thread = threading.Thread(target=self._run, args=(scenarios,), name="scenarios")
        self._thread.start()

    def result(self, name: str, limit: float = 2 * SCENARIO_LIMIT) -> Any:
        """Wait for the end of a scenario and return what it saw; what it raised fails the test that looks."""
        return self._futures[name].result(limit)

    def join(self) -> None:
        """Wait for the end of all of them."""
        self._thread.join()

    def _run(self, scenarios: Mapping[str, Scenario]) -> None:
        for name, scenario in scenarios.items():
            try:
                self._futures[name].set_result(trio.run(scenario))
            except Exception as error:  # a test that looks at the scenario raises it
                self._futures[name].set_exception(error)
