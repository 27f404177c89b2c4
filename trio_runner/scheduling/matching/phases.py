"""The phases of a task as the broker sees it, with every way from one to the next.

Theory of operation. A task exists for the broker from the moment a request is matched with an offer: the
runner has 2 s to accept it. Until it does, the *request* is what counts: a runner that rejects, defers,
stays silent or goes away only ends the attempt, and the request is matched again. Once accepted, the
request is done with and the *task* is what its requester waits for: settings bring it to RUNNING, and it
ends once, by what comes first: the runner's report, a deadline, the requester's leave or cancel, or the
loss of the runner.

A requester that withdraws while the accept is pending leaves the task ABANDONED: the runner's answer is
still awaited, because whoever accepts must be told that it has nothing to do, and whoever is silent has
missed an accept.

The table below is the whole of it. What is not in it is a bug of the caller, and `advance` raises; whoever
deals with events of a peer, who may be late or repeat itself, asks `allows` first.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping

from ...errors import LocalProtocolError

__all__ = ["TRANSITIONS", "BrokerPhase", "Step", "advance", "allows"]


class BrokerPhase(enum.Enum):
    """Where a task is. The value is its name in statistics."""

    ACCEPT_PENDING = "accept-pending"
    """Its offer was taken; the runner has not answered."""
    ABANDONED = "abandoned"
    """Like ACCEPT_PENDING, but nobody wants it any more."""
    AWAITING_SETTINGS = "awaiting-settings"
    """Accepted; the requester has not sent the settings."""
    RUNNING = "running"
    """The runner has the settings."""
    ENDED = "ended"
    """Over, and forgotten."""


class Step(enum.Enum):
    """What can happen to a task."""

    ACCEPTED = enum.auto()
    """The runner takes it."""
    DECLINED = enum.auto()
    """The runner rejects or defers it."""
    SETTINGS = enum.auto()
    """The requester sent the settings."""
    REPORTED = enum.auto()
    """The runner says that it is done or failed."""
    WITHDRAWN = enum.auto()
    """The requester cancelled it or is gone."""
    DEADLINE = enum.auto()
    """What its phase waits for did not come in time."""
    RUNNER_LOST = enum.auto()
    """The runner is gone."""


TRANSITIONS: Mapping[BrokerPhase, Mapping[Step, BrokerPhase]] = {
    BrokerPhase.ACCEPT_PENDING: {
        Step.ACCEPTED: BrokerPhase.AWAITING_SETTINGS,
        Step.DECLINED: BrokerPhase.ENDED,
        Step.WITHDRAWN: BrokerPhase.ABANDONED,
        Step.DEADLINE: BrokerPhase.ENDED,
        Step.RUNNER_LOST: BrokerPhase.ENDED,
    },
    BrokerPhase.ABANDONED: {
        Step.ACCEPTED: BrokerPhase.ENDED,
        Step.DECLINED: BrokerPhase.ENDED,
        Step.DEADLINE: BrokerPhase.ENDED,
        Step.RUNNER_LOST: BrokerPhase.ENDED,
    },
    BrokerPhase.AWAITING_SETTINGS: {
        Step.SETTINGS: BrokerPhase.RUNNING,
        # A runner may fail an accepted task before it has settings, at its own shutdown for one.
        Step.REPORTED: BrokerPhase.ENDED,
        Step.WITHDRAWN: BrokerPhase.ENDED,
        Step.DEADLINE: BrokerPhase.ENDED,
        Step.RUNNER_LOST: BrokerPhase.ENDED,
    },
    BrokerPhase.RUNNING: {
        Step.REPORTED: BrokerPhase.ENDED,
        Step.WITHDRAWN: BrokerPhase.ENDED,
        Step.DEADLINE: BrokerPhase.ENDED,
        Step.RUNNER_LOST: BrokerPhase.ENDED,
    },
    BrokerPhase.ENDED: {},
}


def allows(phase: BrokerPhase, step: Step) -> bool:
    """Tell whether a step is possible in a phase."""
    return step in TRANSITIONS[phase]


def advance(phase: BrokerPhase, step: Step) -> BrokerPhase:
    """Return the phase that follows.

    Raises:
        LocalProtocolError: the step is not possible in this phase.
    """
    try:
        return TRANSITIONS[phase][step]
    except KeyError:
        raise LocalProtocolError(f"step {step.name} is not possible for a task in {phase.name}") from None
