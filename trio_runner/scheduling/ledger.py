"""The ledger: who may use which slot, decided in one place for all brokers.

Theory of operation. A runner has a number of slots. It may be connected to several brokers, each
connection being a *session*, and run several task types; slots belong to none of them. A pair of session
and task type is a *lane*. Every lane is offered every free slot: with f slots free, a registered lane has f
offers open. So any broker can use the whole runner, and the same free slot may be promised more than once.
That is safe because an offer books nothing: the slot is booked at the accept, and an accept that finds no
free slot is rejected, upon which its broker offers the task elsewhere.

What always holds, whatever peers do:

- an accept never takes the tasks held over the slots;
- in a lane, open offers and the tasks it holds together never exceed the slots;
- an offer is used once, by the session it was made to, before its deadline;
- an accept has exactly one answer, and a rejected one uses its offer up;
- while a slot is free, every registered lane that does not drain has an offer open after `offers_due`.

The number of slots may change at any time. When there are more, they are offered at once; when there are
fewer, no task is stopped for it and no offer is taken back, since that is impossible: until the offers made
before have expired, and the tasks accepted before have ended, there may be more of them than the slots.

A task holds its slot from accept to `finish`, however it ends, also when its session is gone before it. The
ledger never waits and has no clock. Whoever drives it asks `offers_due` of every session after `register`,
`accept` and `finish`, and again when `next_deadline` passes, and sends what it returns.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from random import Random

import attrs

from ..errors import ConfigError, LocalProtocolError
from ..protocol.ids import new_id as _new_id
from .admission import (
    ALREADY_HELD,
    AT_CAPACITY,
    OFFER_EXPIRED,
    SHUTTING_DOWN,
    Accepted,
    LedgerStatistics,
    Rejected,
    SessionStatistics,
)
from .offers import NewId, Offer, OfferBook, OfferPolicy, draw_offer
from .phases import SessionPhase, TaskEvent, TaskPhase, advance, allows

__all__ = [
    "ALREADY_HELD",
    "AT_CAPACITY",
    "OFFER_EXPIRED",
    "SHUTTING_DOWN",
    "Accepted",
    "Ledger",
    "LedgerStatistics",
    "Rejected",
    "SessionPhase",
    "SessionStatistics",
]

_DEFAULT_POLICY = OfferPolicy()


@attrs.define(eq=False)
class _Session:
    name: str
    offers: OfferBook
    phase: SessionPhase


@attrs.define(eq=False)
class _Task:
    session: _Session
    phase: TaskPhase = TaskPhase.AWAITING_SETTINGS


@attrs.define
class _Totals:
    sent: int = 0
    accepted: int = 0
    expired: int = 0
    voided: int = 0
    rejections: Counter[str] = attrs.field(factory=Counter)


class Ledger:
    """Slots, offers and held tasks of one runner.

    Args:
        slots: tasks that may run at once, over all brokers and task types.
        policy: how long offers live.
        settings_timeout: seconds that an accepted task waits for its settings.
        random: source of the offers' jitter; None: one of its own.
        new_id: makes offer ids.

    Raises:
        ConfigError: `slots` is no positive whole number, or `settings_timeout` is not positive.
    """

    def __init__(
        self,
        slots: int,
        *,
        policy: OfferPolicy = _DEFAULT_POLICY,
        settings_timeout: float = 5.0,
        random: Random | None = None,
        new_id: NewId = _new_id,
    ) -> None:
        _check_slots(slots)
        if not settings_timeout > 0:
            raise ConfigError(f"the settings timeout must be seconds > 0, not {settings_timeout!r}")
        self._slots = slots
        self._policy = policy
        self._settings_timeout = settings_timeout
        self._random = random or Random()  # noqa: S311 - spreads load, guards nothing
        self._new_id = new_id
        self._draining = False
        self._sessions: dict[str, _Session] = {}
        # A task outlives its session here, until it is finished. So the name of a new session may be that of
        # an earlier one whose tasks are still dying; the key then keeps a task id from being held twice.
        self._tasks: dict[tuple[str, str], _Task] = {}
        self._totals = _Totals()

    # --- sessions -----------------------------------------------------------------------------------

    def open_session(self, session: str, task_types: Sequence[str]) -> None:
        """Begin a session: one connection to one broker. No offers before `register`.

        Args:
            session: its name, unique among the open sessions.
            task_types: the types to offer.

        Raises:
            LocalProtocolError: a session of that name is open, or there is no task type.
        """
        if session in self._sessions:
            raise LocalProtocolError(f"session {session!r} is open already")
        if not task_types:
            raise LocalProtocolError(f"session {session!r} has no task types to offer")
        phase = SessionPhase.DRAINING if self._draining else SessionPhase.CONNECTED
        self._sessions[session] = _Session(session, OfferBook(task_types), phase)

    def register(self, session: str) -> None:
        """Let offers flow, because the broker has registered the runner. Changes nothing while draining.

        Raises:
            LocalProtocolError: no such session is open.
        """
        found = self._session(session)
        if found.phase is SessionPhase.CONNECTED:
            found.phase = SessionPhase.REGISTERED

    def close_session(self, session: str) -> tuple[str, ...]:
        """End a session: its offers are void and its tasks are to be stopped.

        Returns:
            The ids of its tasks. Each keeps its slot until `finish`, which works without the session.

        Raises:
            LocalProtocolError: no such session is open.
        """
        found = self._session(session)
        del self._sessions[session]
        self._totals.voided += found.offers.clear()
        orphans = [(task_id, task) for (_, task_id), task in self._tasks.items() if task.session is found]
        for _, task in orphans:
            task.phase = advance(task.phase, TaskEvent.LINK_LOST)
        return tuple(task_id for task_id, _ in orphans)

    def drain(self, session: str | None = None) -> None:
        """Stop offering and reject every accept from now on; held tasks go on to their end.

        Args:
            session: only this session, because its broker asked for it. None: the whole runner, sessions
                that are opened later included.

        Raises:
            LocalProtocolError: no such session is open.
        """
        self._draining = self._draining or session is None
        for found in list(self._sessions.values()) if session is None else [self._session(session)]:
            found.phase = SessionPhase.DRAINING
            self._totals.voided += found.offers.clear()

    def resize(self, slots: int) -> None:
        """Have another number of slots from now on; `offers_due` then offers what has become free.

        Raises:
            ConfigError: it is not positive.
        """
        _check_slots(slots)
        self._slots = slots

    # --- offers and accepts -------------------------------------------------------------------------

    def offers_due(
        self, session: str, now: float, *, available: Callable[[str], bool] = bool
    ) -> tuple[Offer, ...]:
        """Drop the session's expired offers; book the new ones that its lanes are short of, to be sent now.

        Args:
            session: which session; for one that is closed nothing is due.
            now: current time on a monotonic clock, seconds.
            available: whether tasks of a type can be run at present; slots are not offered to others.
        """
        found = self._sessions.get(session)
        if found is None:
            return ()
        self._totals.expired += found.offers.drop_expired(now)
        if found.phase is not SessionPhase.REGISTERED:
            return ()
        due = [
            draw_offer(self._policy, task_type, now, self._new_id(), self._random)
            for task_type in found.offers.task_types
            if available(task_type)
            for _ in range(self.free - found.offers.count(task_type))
        ]
        for offer in due:
            found.offers.add(offer)
        self._totals.sent += len(due)
        return tuple(due)

    def next_deadline(self, session: str) -> float:
        """Return when `offers_due` must be asked again even if nothing happens; `math.inf`: never."""
        found = self._sessions.get(session)
        return math.inf if found is None else found.offers.next_deadline()

    def accept(self, session: str, offer_id: str, task_id: str, now: float) -> Accepted | Rejected:
        """Answer a broker that takes an offer. Whatever the answer, the offer is used up.

        Args:
            session: the session that the accept came over.
            offer_id: the offer it names.
            task_id: the broker's id for the task.
            now: current time on the clock of `offers_due`, seconds.
        """
        found = self._sessions.get(session)
        offer = found.offers.take(offer_id) if found else None
        if self._draining or (found and found.phase is SessionPhase.DRAINING):
            return self._reject(task_id, SHUTTING_DOWN)
        if found is None or offer is None:
            return self._reject(task_id, OFFER_EXPIRED)
        if offer.expired(now):
            self._totals.expired += 1
            return self._reject(task_id, OFFER_EXPIRED)
        if (session, task_id) in self._tasks:
            return self._reject(task_id, ALREADY_HELD)
        if len(self._tasks) >= self._slots:
            return self._reject(task_id, AT_CAPACITY)
        self._tasks[session, task_id] = _Task(found)
        self._totals.accepted += 1
        return Accepted(task_id, offer.task_type, now + self._settings_timeout)

    # --- held tasks ---------------------------------------------------------------------------------

    def start(self, session: str, task_id: str) -> bool:
        """Take note that the settings came. False: the task is unknown, started or ending; ignore them."""
        return self._happens(session, task_id, TaskEvent.SETTINGS)

    def cancel(self, session: str, task_id: str) -> bool:
        """Decide that a task ends as cancelled. True exactly once, for a task that was not ending yet."""
        return self._happens(session, task_id, TaskEvent.CANCEL)

    def expire(self, session: str, task_id: str) -> bool:
        """Decide that a task ends because a deadline of it has passed. True if it was not ending yet."""
        return self._happens(session, task_id, TaskEvent.DEADLINE)

    def finish(self, session: str, task_id: str) -> None:
        """Free the slot of a task: it is over, and nothing of it is left.

        Raises:
            LocalProtocolError: no such task is held.
        """
        task = self._tasks.pop((session, task_id), None)
        if task is None:
            raise LocalProtocolError(f"session {session!r} holds no task {task_id!r} that could finish")
        task.phase = advance(task.phase, TaskEvent.FINISHED)

    def phase(self, session: str, task_id: str) -> TaskPhase | None:
        """Return where a task is; None: it is not held."""
        task = self._tasks.get((session, task_id))
        return None if task is None else task.phase

    # --- facts --------------------------------------------------------------------------------------

    @property
    def held(self) -> int:
        """Slots taken, by tasks of sessions that are gone too."""
        return len(self._tasks)

    @property
    def free(self) -> int:
        """Slots that a task could take now."""
        return max(0, self._slots - len(self._tasks))

    @property
    def draining(self) -> bool:
        """Whether the whole runner is draining."""
        return self._draining

    def statistics(self) -> LedgerStatistics:
        """Return a snapshot."""
        held = Counter(task.session for task in self._tasks.values())
        return LedgerStatistics(
            slots=self._slots,
            held=len(self._tasks),
            draining=self._draining,
            sessions={
                name: SessionStatistics(session.phase, len(session.offers), held[session])
                for name, session in self._sessions.items()
            },
            offers_sent=self._totals.sent,
            offers_accepted=self._totals.accepted,
            offers_expired=self._totals.expired,
            offers_voided=self._totals.voided,
            rejections=dict(self._totals.rejections),
        )

    def _session(self, name: str) -> _Session:
        try:
            return self._sessions[name]
        except KeyError:
            raise LocalProtocolError(f"session {name!r} is not open") from None

    def _reject(self, task_id: str, reason: str) -> Rejected:
        self._totals.rejections[reason] += 1
        return Rejected(task_id, reason)

    def _happens(self, session: str, task_id: str, event: TaskEvent) -> bool:
        """Let an event happen to a task if it is possible now; peers may be late or repeat themselves."""
        task = self._tasks.get((session, task_id))
        if task is None or not allows(task.phase, event):
            return False
        task.phase = advance(task.phase, event)
        return True


def _check_slots(slots: int) -> None:
    if slots < 1:
        raise ConfigError(f"a runner needs at least 1 task slot, not {slots!r}")
