"""What the ledger answers: the verdict on an accept, with the reasons for a rejection, and snapshots."""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from .phases import SessionPhase

__all__ = [
    "ALREADY_HELD",
    "AT_CAPACITY",
    "OFFER_EXPIRED",
    "SHUTTING_DOWN",
    "Accepted",
    "LedgerStatistics",
    "Rejected",
    "SessionStatistics",
]

# The reasons of `runner:taskrejected`. The first three are the protocol's own wording; people grep for them.
OFFER_EXPIRED = "Offer expired - not accepted within validity window"
AT_CAPACITY = "No open task slots - runner already at capacity"
SHUTTING_DOWN = "Runner is shutting down"
# The protocol has no word for a broker that assigns one task twice. None of the others would be true: the
# offer was good and there may be free slots. Brokers treat the reason as text.
ALREADY_HELD = "Task is already held by this runner - not accepted twice"


@attrs.frozen
class Accepted:
    """The task has a slot.

    Attributes:
        task_id: which task.
        task_type: the type of the offer it took.
        settings_deadline: by then its settings must have come, on the clock that `now` came from.
    """

    task_id: str
    task_type: str
    settings_deadline: float


@attrs.frozen
class Rejected:
    """The task has no slot; `reason` is what the broker is told."""

    task_id: str
    reason: str


@attrs.frozen
class SessionStatistics:
    """A snapshot of one session.

    Attributes:
        phase: where it is.
        open_offers: offers that may still be taken, expired ones included until the next `offers_due`.
        held: tasks of the session that hold a slot.
    """

    phase: SessionPhase
    open_offers: int
    held: int

    @property
    def registered(self) -> bool:
        """Offers flow."""
        return self.phase is SessionPhase.REGISTERED

    @property
    def draining(self) -> bool:
        """No offers any more."""
        return self.phase is SessionPhase.DRAINING


@attrs.frozen
class LedgerStatistics:
    """A snapshot of the ledger.

    Offers are accounted for completely: those sent are accepted, expired, voided (drain, end of the session),
    rejected for `AT_CAPACITY` or `ALREADY_HELD`, or still open.

    Attributes:
        slots: tasks that may run at once.
        held: slots taken, by tasks of sessions that are gone too; more than `slots` after those became fewer.
        draining: the whole runner is draining.
        sessions: the open sessions by name.
        offers_sent, offers_accepted, offers_expired, offers_voided: totals since the start.
        rejections: accepts rejected since the start, by reason.
    """

    slots: int
    held: int
    draining: bool
    sessions: Mapping[str, SessionStatistics]
    offers_sent: int
    offers_accepted: int
    offers_expired: int
    offers_voided: int
    rejections: Mapping[str, int]
