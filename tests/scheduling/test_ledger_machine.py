"""The ledger against a plain model of it, whatever brokers, tasks and the clock do.

The model is written from the protocol, not from the ledger: it keeps every offer ever made with its fate, and
every held task, in dictionaries, and looks through all of them each time.
"""

from __future__ import annotations

import math
from itertools import count
from random import Random

import attrs
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from trio_runner.scheduling.ledger import (
    ALREADY_HELD,
    AT_CAPACITY,
    OFFER_EXPIRED,
    SHUTTING_DOWN,
    Accepted,
    Ledger,
    Rejected,
)
from trio_runner.scheduling.offers import Offer
from trio_runner.scheduling.phases import TaskPhase

SESSIONS = ("a", "b", "c")
TYPES = ("python", "javascript")
TYPE_CHOICES = (TYPES[:1], TYPES[1:], TYPES)
TASKS = tuple(f"t{number}" for number in range(6))

a_session = st.sampled_from(SESSIONS)
a_task = st.sampled_from(TASKS)


@attrs.define(eq=False)
class ModelSession:
    """One connection, from open to close."""

    name: str
    types: tuple[str, ...]
    registered: bool = False
    draining: bool = False


@attrs.define(eq=False)
class ModelTask:
    """One held task."""

    session: ModelSession
    task_type: str
    phase: TaskPhase = TaskPhase.AWAITING_SETTINGS


@attrs.define(eq=False)
class ModelOffer:
    """One offer ever made. `used`: taken, rejected, or void."""

    session: ModelSession
    offer: Offer
    used: bool = False


class LedgerMachine(RuleBasedStateMachine):
    """Drives ledger and model side by side and compares after every step."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 1000.0
        self.open: dict[str, ModelSession] = {}
        self.offers: list[ModelOffer] = []
        self.tasks: dict[tuple[str, str], ModelTask] = {}
        self.draining = False
        self.largest = 0  # the most slots there have been while offers or tasks of now were made
        self.answers = {"accepts": 0, "accepted": 0, "rejected": 0}

    @initialize(
        slots=st.integers(1, 4),
        seed=st.integers(0, 1000),
        types=st.lists(st.sampled_from(TYPE_CHOICES), min_size=1, max_size=len(SESSIONS)),
    )
    def make_ledger(self, slots: int, seed: int, types: list[tuple[str, ...]]) -> None:
        """Begin with some brokers that have offers: runs that start from nothing rarely get that far."""
        ids = count(1)
        self.slots = self.largest = slots
        self.ledger = Ledger(slots, random=Random(seed), new_id=lambda: f"o{next(ids)}")
        for name, own in zip(SESSIONS, types, strict=False):
            self.open_session(name, own, register=True)

    # --- what the model knows -----------------------------------------------------------------------

    def open_offers(self, session: ModelSession, task_type: str | None = None) -> list[Offer]:
        """Offers that the broker of a session could still take, as far as it can know."""
        return [
            entry.offer
            for entry in self.offers
            if entry.session is session
            and not entry.used
            and entry.offer.deadline > self.now
            and task_type in (None, entry.offer.task_type)
        ]

    def takeable(self) -> list[ModelOffer]:
        """Every offer that is open, of all sessions."""
        return [entry for entry in self.offers if not entry.used and entry.offer.deadline > self.now]

    def held(self, session: ModelSession, task_type: str) -> int:
        return sum(t.session is session and t.task_type == task_type for t in self.tasks.values())

    def expected_answer(self, name: str, entry: ModelOffer | None, task_id: str) -> str | None:
        """The reason for a rejection, or None if the accept has to be granted."""
        session = self.open.get(name)
        if self.draining or (session and session.draining):
            return SHUTTING_DOWN
        if session is None or entry is None or entry.session is not session or entry.used:
            return OFFER_EXPIRED
        if entry.offer.deadline <= self.now:
            return OFFER_EXPIRED
        if (name, task_id) in self.tasks:
            return ALREADY_HELD
        return AT_CAPACITY if len(self.tasks) >= self.slots else None

    # --- slots --------------------------------------------------------------------------------------

    @rule(slots=st.integers(1, 4), offer=st.booleans())
    def resize(self, slots: int, offer: bool) -> None:
        self.ledger.resize(slots)
        self.slots = slots
        self.largest = max(self.largest, slots)
        if offer:
            for name in self.open:
                self.offer(name)

    # --- sessions and time --------------------------------------------------------------------------

    @rule(name=a_session, types=st.sampled_from(TYPE_CHOICES), register=st.booleans())
    def open_session(self, name: str, types: tuple[str, ...], register: bool) -> None:
        if name in self.open:
            return
        self.ledger.open_session(name, types)
        self.open[name] = ModelSession(name, types, draining=self.draining)
        if register:
            self.register(name)

    @rule(name=a_session)
    def register(self, name: str) -> None:
        if name in self.open:
            self.ledger.register(name)
            self.open[name].registered = True
            self.offer(name)

    @rule(name=a_session, reconnect=st.booleans())
    def close_session(self, name: str, reconnect: bool) -> None:
        session = self.open.pop(name, None)
        if session is None:
            return
        own = {task_id: task for (_, task_id), task in self.tasks.items() if task.session is session}
        assert set(self.ledger.close_session(name)) == set(own)
        for task in own.values():
            task.phase = TaskPhase.ENDING
        self.void_offers(session)
        if reconnect:
            self.open_session(name, session.types, register=True)

    def void_offers(self, session: ModelSession) -> None:
        for entry in self.offers:
            entry.used = entry.used or entry.session is session

    @rule(name=a_session, rarely=st.integers(0, 3))
    def drain_one(self, name: str, rarely: int) -> None:
        session = self.open.get(name)
        if session is not None and rarely == 3:
            self.ledger.drain(name)
            session.draining = True
            self.void_offers(session)

    @rule(rarely=st.integers(0, 15))
    def drain_all(self, rarely: int) -> None:
        if rarely == 15:
            self.ledger.drain()
            self.draining = True
            for session in self.open.values():
                session.draining = True
                self.void_offers(session)

    @rule(seconds=st.floats(0, 3))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @rule(name=a_session)
    def time_passes_to_the_next_deadline(self, name: str) -> None:
        deadline = self.ledger.next_deadline(name)
        if self.now < deadline < math.inf:
            self.now = deadline

    # --- offers and accepts -------------------------------------------------------------------------

    @rule(name=a_session)
    def offer(self, name: str) -> None:
        session = self.open.get(name)
        made = self.ledger.offers_due(name, self.now)
        if session is None or not session.registered or session.draining:
            assert made == ()
            return
        free = max(0, self.slots - len(self.tasks))
        before = {task_type: len(self.open_offers(session, task_type)) for task_type in session.types}
        for offer in made:
            assert all(offer.offer_id != entry.offer.offer_id for entry in self.offers)
            assert 4.9 - 1e-9 <= offer.deadline - self.now <= 5.4 + 1e-9
            assert 5000 <= offer.valid_for_ms <= 5500
            self.offers.append(ModelOffer(session, offer))
        for task_type, already in before.items():
            assert len(self.open_offers(session, task_type)) == max(already, free)
        assert self.ledger.next_deadline(name) > self.now

    @precondition(lambda self: self.takeable())
    @rule(which=st.integers(0, 31), task_id=a_task)
    def accept_open_offer(self, which: int, task_id: str) -> None:
        entries = self.takeable()
        entry = entries[which % len(entries)]
        self.accept(entry.session.name, entry.offer.offer_id, entry, task_id)

    @precondition(lambda self: self.takeable())
    @rule(which=st.integers(0, 31), task_id=a_task)
    def accept_open_offer_late(self, which: int, task_id: str) -> None:
        """At its own deadline at the earliest, before anybody asked what is due."""
        entries = self.takeable()
        entry = entries[which % len(entries)]
        self.now = entry.offer.deadline
        self.accept(entry.session.name, entry.offer.offer_id, entry, task_id)

    @precondition(lambda self: self.offers)
    @rule(name=a_session, recent=st.integers(0, 31), task_id=a_task)
    def accept_any_offer(self, name: str, recent: int, task_id: str) -> None:
        """Also those of other sessions, of earlier connections, expired and used ones."""
        entry = self.offers[-1 - recent % len(self.offers)]
        self.accept(name, entry.offer.offer_id, entry, task_id)

    @rule(name=a_session, task_id=a_task)
    def accept_invented_offer(self, name: str, task_id: str) -> None:
        self.accept(name, "invented", None, task_id)

    def accept(self, name: str, offer_id: str, entry: ModelOffer | None, task_id: str) -> None:
        reason = self.expected_answer(name, entry, task_id)
        answer = self.ledger.accept(name, offer_id, task_id, self.now)
        self.answers["accepts"] += 1
        if entry is not None and entry.session is self.open.get(name):
            entry.used = True
        if reason is not None:
            assert answer == Rejected(task_id, reason)
            self.answers["rejected"] += 1
            return
        assert entry is not None
        assert answer == Accepted(task_id, entry.offer.task_type, self.now + 5.0)
        self.tasks[name, task_id] = ModelTask(entry.session, entry.offer.task_type)
        self.answers["accepted"] += 1

    # --- tasks --------------------------------------------------------------------------------------

    @precondition(lambda self: self.tasks)
    @rule(which=st.integers(0, 3))
    def settings_arrive_in_time(self, which: int) -> None:
        self.settings_arrive(*list(self.tasks)[which % len(self.tasks)])

    @rule(name=a_session, task_id=a_task)
    def settings_arrive(self, name: str, task_id: str) -> None:
        task = self.tasks.get((name, task_id))
        possible = task is not None and task.phase is TaskPhase.AWAITING_SETTINGS
        assert self.ledger.start(name, task_id) is possible
        if task and possible:
            task.phase = TaskPhase.RUNNING

    @precondition(lambda self: self.tasks)
    @rule(which=st.integers(0, 3), cancel=st.booleans())
    def held_task_is_stopped(self, which: int, cancel: bool) -> None:
        self.cancel_or_deadline(*list(self.tasks)[which % len(self.tasks)], cancel=cancel)

    @rule(name=a_session, task_id=a_task, cancel=st.booleans())
    def cancel_or_deadline(self, name: str, task_id: str, cancel: bool) -> None:
        task = self.tasks.get((name, task_id))
        possible = task is not None and task.phase is not TaskPhase.ENDING
        happened = self.ledger.cancel(name, task_id) if cancel else self.ledger.expire(name, task_id)
        assert happened is possible
        if task:
            task.phase = TaskPhase.ENDING

    @precondition(lambda self: self.tasks)
    @rule(which=st.integers(0, 5))
    def finish(self, which: int) -> None:
        """Also late, when the session is gone. Every lane that is short offers the slot in this instant."""
        name, task_id = list(self.tasks)[which % len(self.tasks)]
        self.ledger.finish(name, task_id)
        del self.tasks[name, task_id]
        for other, session in self.open.items():
            self.offer(other)
            if session.registered and not session.draining and len(self.tasks) < self.slots:
                assert all(self.open_offers(session, task_type) for task_type in session.types)

    # --- what always holds --------------------------------------------------------------------------

    @invariant()
    def held_tasks_never_exceed_the_slots(self) -> None:
        """Nor the slots that there were when they were accepted; see `expected_answer` for the accept."""
        facts = self.ledger.statistics()
        assert facts.slots == self.slots
        assert facts.held == len(self.tasks) <= self.largest
        assert self.ledger.free == max(0, self.slots - facts.held)
        assert sum(session.held for session in facts.sessions.values()) <= facts.held

    @invariant()
    def the_past_is_forgotten_when_nothing_of_it_is_left(self) -> None:
        """So the invariants below hold for the slots of now as soon as they can."""
        if not self.tasks and not self.takeable():
            self.largest = self.slots

    @invariant()
    def open_offers_and_held_tasks_never_exceed_the_slots(self) -> None:
        for session in self.open.values():
            for task_type in session.types:
                offered = len(self.open_offers(session, task_type))
                assert offered + self.held(session, task_type) <= self.largest

    @invariant()
    def the_next_deadline_comes_no_later_than_an_offer_expires(self) -> None:
        for name in SESSIONS:
            session = self.open.get(name)
            deadlines = [offer.deadline for offer in self.open_offers(session)] if session else []
            assert self.ledger.next_deadline(name) <= min(deadlines, default=math.inf)
            if session is None or session.draining or not session.registered:
                assert self.ledger.next_deadline(name) == math.inf

    @invariant()
    def every_task_is_in_the_phase_the_model_knows(self) -> None:
        for name in SESSIONS:
            for task_id in TASKS:
                task = self.tasks.get((name, task_id))
                assert self.ledger.phase(name, task_id) is (task.phase if task else None)

    @invariant()
    def every_accept_has_one_answer_and_every_offer_one_fate(self) -> None:
        facts = self.ledger.statistics()
        assert facts.offers_accepted == self.answers["accepted"]
        assert sum(facts.rejections.values()) == self.answers["rejected"]
        assert self.answers["accepted"] + self.answers["rejected"] == self.answers["accepts"]
        still_open = sum(session.open_offers for session in facts.sessions.values())
        spent = facts.rejections.get(AT_CAPACITY, 0) + facts.rejections.get(ALREADY_HELD, 0)
        gone = facts.offers_accepted + facts.offers_expired + facts.offers_voided + spent
        assert facts.offers_sent == len(self.offers) == still_open + gone


TestLedgerMachine = LedgerMachine.TestCase
TestLedgerMachine.settings = settings(
    max_examples=150, stateful_step_count=60, deadline=None, derandomize=True
)
