"""Matches that came to nothing: why, in a word that can be counted, and who is told."""

from __future__ import annotations

from ...protocol import messages as m
from ..admission import AT_CAPACITY, OFFER_EXPIRED, SHUTTING_DOWN
from ..observer import MatchDeclined
from .decisions import Outbox
from .queue import Request
from .roster import ConnectedRunner
from .statistics import BrokerTotals

__all__ = ["DeclineDesk", "how_declined"]

# What the reasons of the protocol mean; anything else that a runner says is just a rejection.
_HOW = {OFFER_EXPIRED: "expired", AT_CAPACITY: "full", SHUTTING_DOWN: "draining"}
# Characters of what a runner says.
_LONGEST_REASON = 200


def how_declined(message: m.TaskRejected | m.TaskDeferred) -> str:
    """Return the word for a runner's answer, see `MatchDeclined.how`."""
    return "deferred" if isinstance(message, m.TaskDeferred) else _HOW.get(message.reason, "rejected")


class DeclineDesk:
    """Counts matches that came to nothing: in all, by runner and by request.

    Args:
        outbox: where the observer is told.
        totals: what is counted.
    """

    def __init__(self, outbox: Outbox, totals: BrokerTotals) -> None:
        self._outbox = outbox
        self._totals = totals

    def note(
        self, request: Request, task_id: str, runner: ConnectedRunner, how: str, now: float, reason: str = ""
    ) -> None:
        """Take note of one.

        Args:
            request: what was matched.
            task_id: the id it had as a task.
            runner: with whom.
            how: see `MatchDeclined.how`.
            now: current time.
            reason: what the runner said.
        """
        self._totals.declined[how] += 1
        runner.declined[how] += 1
        request.declines += 1
        request.last_decline = how
        said, waited = reason[:_LONGEST_REASON], now - request.arrived
        self._outbox.observe(
            MatchDeclined(request.request_id, task_id, request.task_type, runner.peer_id, how, said, waited)
        )
