"""What all sessions of a runner share: the slots, the executor, and the news that something changed."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from typing import Protocol

import attrs
import trio

from ..executor.contract import Executor
from ..scheduling.expectations import Expectations
from ..scheduling.ledger import Ledger
from ..scheduling.observer import Event, Observer
from ..scheduling.offers import Offer
from .config import RunnerConfig
from .dialer import Dialer
from .statistics import ConnectionStatistics, HeldTask
from .wakeup import Wakeup

__all__ = ["OpenSession", "Shared"]


class OpenSession(Protocol):
    """What a session shows to the others and to the runner. See `trio_runner.runner.session.Session`."""

    @property
    def broker(self) -> str:
        """Base URI of the broker."""
        ...

    def offer_free_slots(self) -> None:
        """Offer every free slot that is not on offer yet, now."""
        ...

    def drain(self, deadline: float) -> None:
        """Take part in a shutdown: the running tasks end by `deadline` at the latest."""
        ...

    def leave(self, deadline: float) -> None:
        """Offer no more, because this broker is wanted no more; its tasks end by `deadline` at the latest."""
        ...

    async def flush(self) -> None:
        """Wait until everything queued so far has been written, or the connection is lost."""
        ...

    def close(self) -> None:
        """Begin to close the connection, after everything that is queued."""
        ...

    def overdue(self, now: float) -> str | None:
        """Return why the session should have been given up by itself long ago, or None."""
        ...

    def statistics(self) -> ConnectionStatistics:
        """Return a snapshot."""
        ...

    def tasks(self) -> tuple[HeldTask, ...]:
        """Return a snapshot of the tasks that hold a slot, the oldest first."""
        ...


@attrs.define(eq=False)
class Shared:
    """The common ground of a runner's sessions.

    Attributes:
        config: the runner's settings; others take their place while it runs, so nobody keeps them.
        ledger: the slots, shared by all brokers and task types.
        executor: what runs the tasks.
        dialer: reaches the brokers.
        observer: who is told what happens.
        on_registered: called whenever a broker has registered the runner.
        sessions: the connections that are open now, in the order in which they are offered free slots.
        changed: rung whenever a slot was taken or freed, a session came or went, or the settings changed.
        token_changed: rung when there is another auth token: who waits for another try need not any more.
        outcomes: how many tasks ended in which way.
        expectations: what must happen next, and by when.
        tasks_taken: accepts that were honoured.
        idle_since: when the runner last had a task, or could first have had one; infinite before that.
    """

    config: RunnerConfig
    ledger: Ledger
    executor: Executor
    dialer: Dialer
    observer: Observer
    on_registered: Callable[[], None]
    sessions: list[OpenSession] = attrs.field(factory=list)
    changed: Wakeup = attrs.field(factory=Wakeup)
    token_changed: Wakeup = attrs.field(factory=Wakeup)
    outcomes: Counter[str] = attrs.field(factory=Counter)
    expectations: Expectations = attrs.field(factory=Expectations)
    tasks_taken: int = 0
    idle_since: float = math.inf

    def observe(self, event: Event) -> None:
        """Tell the observer."""
        self.observer.observe(event)

    def offers_due(self, session: str, now: float) -> tuple[Offer, ...]:
        """Return what a session has to offer now; see `Ledger.offers_due`."""
        return self.ledger.offers_due(session, now, available=self.executor.available)

    @property
    def can_offer(self) -> bool:
        """Whether a slot is free and there is something that it can be offered for."""
        return self.ledger.free > 0 and any(map(self.executor.available, self.executor.task_types))

    def slots_changed(self) -> None:
        """Offer what is free, in the same instant, and wake who waits for a change.

        The session that took a task last is offered slots last: of several busy brokers each gets its turn.
        """
        for session in self.sessions:
            session.offer_free_slots()
        self.changed.ring()

    def took_task(self, session: OpenSession) -> None:
        """Note that a session took a slot: it goes to the end of the line."""
        self.expectations.progressed()
        self.tasks_taken += 1
        if self.config.max_tasks and self.tasks_taken >= self.config.max_tasks:
            self.ledger.drain()  # at once: the next message may be another accept
        self.sessions.remove(session)
        self.sessions.append(session)
        self.changed.ring()

    def task_over(self, outcome: str) -> None:
        """Note that a task has ended and its slot is free."""
        self.outcomes[outcome] += 1
        self.idle_since = trio.current_time()
        self.slots_changed()
