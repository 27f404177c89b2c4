"""The phases of a session, and those of a task that holds a slot with every way from one to the next.

Theory of operation. A task exists for the runner from the moment it is accepted: it holds a slot and waits
for its settings. Settings set it running, once. From then on three things may end it besides its own end:
the broker cancels it, its deadline passes, or the connection it came over is lost. Whichever comes first
decides how the task ended and moves it to ENDING; the others find that they came too late. ENDING lasts as
long as the work takes to die. Only when nothing is left of it, in whatever phase it was, does the task
finish and give its slot back. A task that ended by itself goes from RUNNING straight to ENDED: there was
nothing to stop.

FINISHED is possible in every phase but the last, because the unwinding of a cancelled nursery may end a
task at any point, and a slot must never be lost to that.

The table below is the whole of it. What is not in it is a bug of the caller, and `advance` raises; whoever
deals with events of a peer, who may be late or repeat itself, asks `allows` first.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping

from ..errors import LocalProtocolError

__all__ = ["TRANSITIONS", "SessionPhase", "TaskEvent", "TaskPhase", "advance", "allows"]


class SessionPhase(enum.Enum):
    """Where a session is."""

    CONNECTED = "connected"
    """The broker has not registered the runner yet: no offers."""
    REGISTERED = "registered"
    """Offers flow."""
    DRAINING = "draining"
    """No offers any more, and accepts are rejected; held tasks go on to their end."""


class TaskPhase(enum.Enum):
    """Where a task is."""

    AWAITING_SETTINGS = enum.auto()
    """Accepted: holds a slot, does nothing yet."""
    RUNNING = enum.auto()
    """Its settings are with the executor."""
    ENDING = enum.auto()
    """It is decided that and why it ends; its work is being stopped."""
    ENDED = enum.auto()
    """Nothing is left of it; the slot is free."""


class TaskEvent(enum.Enum):
    """What can happen to a task."""

    SETTINGS = enum.auto()
    """The broker sent the settings."""
    CANCEL = enum.auto()
    """The broker, or the runner at shutdown, wants it stopped."""
    DEADLINE = enum.auto()
    """The settings did not come in time, or it ran too long."""
    LINK_LOST = enum.auto()
    """The connection it came over is gone: nobody waits for it."""
    FINISHED = enum.auto()
    """Its work is over and nothing of it is left."""


TRANSITIONS: Mapping[TaskPhase, Mapping[TaskEvent, TaskPhase]] = {
    TaskPhase.AWAITING_SETTINGS: {
        TaskEvent.SETTINGS: TaskPhase.RUNNING,
        TaskEvent.CANCEL: TaskPhase.ENDING,
        TaskEvent.DEADLINE: TaskPhase.ENDING,
        TaskEvent.LINK_LOST: TaskPhase.ENDING,
        TaskEvent.FINISHED: TaskPhase.ENDED,
    },
    TaskPhase.RUNNING: {
        TaskEvent.CANCEL: TaskPhase.ENDING,
        TaskEvent.DEADLINE: TaskPhase.ENDING,
        TaskEvent.LINK_LOST: TaskPhase.ENDING,
        TaskEvent.FINISHED: TaskPhase.ENDED,
    },
    TaskPhase.ENDING: {
        # A lost connection changes nothing about a task that is being stopped already.
        TaskEvent.LINK_LOST: TaskPhase.ENDING,
        TaskEvent.FINISHED: TaskPhase.ENDED,
    },
    TaskPhase.ENDED: {},
}


def allows(phase: TaskPhase, event: TaskEvent) -> bool:
    """Tell whether an event is possible in a phase."""
    return event in TRANSITIONS[phase]


def advance(phase: TaskPhase, event: TaskEvent) -> TaskPhase:
    """Return the phase that follows.

    Raises:
        LocalProtocolError: the event is not possible in this phase.
    """
    try:
        return TRANSITIONS[phase][event]
    except KeyError:
        raise LocalProtocolError(f"event {event.name} is not possible for a task in {phase.name}") from None
