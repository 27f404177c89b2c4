"""A matchmaker with a clock and short words for what peers do."""

from __future__ import annotations

import math
from collections.abc import Iterable
from itertools import count
from typing import TypeVar

from trio_runner.protocol import messages as m
from trio_runner.protocol.raw_json import RawJson
from trio_runner.scheduling.matching.decisions import Decision, Drop, Ignored, Observe, Send
from trio_runner.scheduling.matching.limits import MatchingLimits
from trio_runner.scheduling.matching.matchmaker import Matchmaker

__all__ = ["DATA", "PYTHON", "Desk"]

PYTHON = "python"
DATA = RawJson(b'{"result":1}')

MessageT = TypeVar("MessageT")
EventT = TypeVar("EventT")


class Desk:
    """Drives a matchmaker; what it decides is kept in `news` until it is looked at.

    Attributes:
        now: current time, seconds.
        news: decisions not looked at yet.
        receiving: connections over which a large message is arriving.
    """

    def __init__(self, **limits: float) -> None:
        ids, self._names = count(1), count(1)
        self._connections = count(1)
        self.receiving: set[int] = set()
        self.matchmaker = Matchmaker(
            MatchingLimits(**limits),  # type: ignore[arg-type]
            new_id=lambda: f"task{next(ids)}",
            receiving=lambda connection: connection in self.receiving,
        )
        self.now = 1000.0
        self.news: list[Decision] = []

    # --- peers --------------------------------------------------------------------------------------

    def runner(self, runner_id: str = "", types: Iterable[str] = (PYTHON,)) -> int:
        """Let a runner join; returns its connection."""
        connection = next(self._connections)
        runner_id = runner_id or f"runner{connection}"
        self.news += self.matchmaker.runner_joined(connection, runner_id, "Fake", types, self.now)
        return connection

    def requester(self, requester_id: str = "") -> int:
        """Let a requester join; returns its connection."""
        connection = next(self._connections)
        self.news += self.matchmaker.requester_joined(
            connection, requester_id or f"requester{connection}", self.now
        )
        return connection

    def runner_leaves(self, connection: int) -> None:
        self.news += self.matchmaker.runner_left(connection, "gone", self.now)

    def requester_leaves(self, connection: int) -> None:
        self.news += self.matchmaker.requester_left(connection, "gone", self.now)

    def from_runner(self, connection: int, message: m.RunnerToBroker) -> None:
        self.news += self.matchmaker.runner_said(connection, message, self.now)

    def from_requester(self, connection: int, message: m.RequesterToBroker) -> None:
        self.news += self.matchmaker.requester_said(connection, message, self.now)

    # --- steps of a task ----------------------------------------------------------------------------

    def offer(self, runner: int, task_type: str = PYTHON, valid_for: int = 5000) -> str:
        """Offer a slot; returns the offer's id."""
        offer_id = f"offer{next(self._names)}"
        self.from_runner(runner, m.TaskOffer(offer_id, task_type, valid_for))
        return offer_id

    def request(self, requester: int, task_type: str = PYTHON) -> str:
        """Request a task; returns the request's id."""
        request_id = f"request{next(self._names)}"
        self.from_requester(requester, m.TaskRequest(request_id, task_type))
        return request_id

    def pending(self, runner: int, requester: int) -> str:
        """Bring a task to where the runner must answer the accept; returns its id."""
        self.offer(runner)
        self.request(requester)
        return self.sent(runner, m.TaskOfferAccept)[-1].task_id

    def ready(self, runner: int, requester: int) -> str:
        """Bring a task to where its settings are awaited; returns its id."""
        task_id = self.pending(runner, requester)
        self.from_runner(runner, m.TaskAccepted(task_id))
        return task_id

    def running(self, runner: int, requester: int) -> str:
        """Bring a task to where it runs; returns its id. What was decided on the way is forgotten."""
        task_id = self.ready(runner, requester)
        self.from_requester(requester, m.RequesterTaskSettings(task_id, DATA))
        self.news.clear()
        return task_id

    # --- time ---------------------------------------------------------------------------------------

    def wait(self, seconds: float) -> None:
        """Let time pass as the broker does: with a tick at every deadline."""
        end = self.now + seconds
        while (deadline := self.matchmaker.next_deadline()) <= end:
            self.now = max(self.now, deadline)
            self.news += self.matchmaker.tick(self.now)
        self.now = end

    def sleep(self, seconds: float) -> None:
        """Let time pass without the broker noticing: its loop stands still."""
        self.now += seconds

    # --- what was decided ---------------------------------------------------------------------------

    def sent(self, connection: int, kind: type[MessageT]) -> list[MessageT]:
        """Return the messages of a kind that were sent to a peer."""
        return [
            decision.message
            for decision in self.news
            if isinstance(decision, Send)
            and decision.connection == connection
            and isinstance(decision.message, kind)
        ]

    def sends(self) -> list[tuple[int, object]]:
        """Return and forget everything that was sent."""
        sends: list[tuple[int, object]] = [
            (d.connection, d.message) for d in self.news if isinstance(d, Send)
        ]
        self.news.clear()
        return sends

    def events(self, kind: type[EventT]) -> list[EventT]:
        """Return what the observer was told, of one kind."""
        return [d.event for d in self.news if isinstance(d, Observe) and isinstance(d.event, kind)]

    def dropped(self) -> list[int]:
        """Return the connections that were dropped."""
        return [d.connection for d in self.news if isinstance(d, Drop)]

    def ignored(self) -> list[tuple[int, str]]:
        """Return and forget which messages were ignored, and why; nothing else must have been decided."""
        assert all(isinstance(d, Ignored) for d in self.news), self.news
        ignored = [(d.connection, d.why) for d in self.news if isinstance(d, Ignored)]
        self.news.clear()
        return ignored

    def idle(self) -> bool:
        """Tell whether nothing is left that could happen by itself."""
        return self.matchmaker.next_deadline() == math.inf
