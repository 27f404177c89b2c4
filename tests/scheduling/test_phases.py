"""The transition table of a task, row by row, and what it refuses."""

from __future__ import annotations

import pytest

from trio_runner.errors import LocalProtocolError
from trio_runner.scheduling.phases import TRANSITIONS, TaskEvent, TaskPhase, advance, allows

WAITING, RUNNING, ENDING, ENDED = (
    TaskPhase.AWAITING_SETTINGS,
    TaskPhase.RUNNING,
    TaskPhase.ENDING,
    TaskPhase.ENDED,
)

LEGAL = {
    (WAITING, TaskEvent.SETTINGS): RUNNING,
    (WAITING, TaskEvent.CANCEL): ENDING,
    (WAITING, TaskEvent.DEADLINE): ENDING,
    (WAITING, TaskEvent.LINK_LOST): ENDING,
    (WAITING, TaskEvent.FINISHED): ENDED,
    (RUNNING, TaskEvent.CANCEL): ENDING,
    (RUNNING, TaskEvent.DEADLINE): ENDING,
    (RUNNING, TaskEvent.LINK_LOST): ENDING,
    (RUNNING, TaskEvent.FINISHED): ENDED,
    (ENDING, TaskEvent.LINK_LOST): ENDING,
    (ENDING, TaskEvent.FINISHED): ENDED,
}
ILLEGAL = [(phase, event) for phase in TaskPhase for event in TaskEvent if (phase, event) not in LEGAL]


@pytest.mark.parametrize(("phase", "event"), LEGAL)
def test_legal_transition(phase: TaskPhase, event: TaskEvent) -> None:
    assert allows(phase, event)
    assert advance(phase, event) is LEGAL[phase, event]


@pytest.mark.parametrize(("phase", "event"), ILLEGAL)
def test_illegal_event_raises_naming_event_and_phase(phase: TaskPhase, event: TaskEvent) -> None:
    assert not allows(phase, event)
    with pytest.raises(LocalProtocolError, match=rf"{event.name} .*{phase.name}"):
        advance(phase, event)


def test_every_phase_has_a_row() -> None:
    assert set(TRANSITIONS) == set(TaskPhase)


def test_every_phase_can_be_reached_and_every_task_can_end() -> None:
    reached, fresh = {WAITING}, {WAITING}
    while fresh:
        fresh = {after for phase in fresh for after in TRANSITIONS[phase].values()} - reached
        reached |= fresh
    assert reached == set(TaskPhase)
    assert all(TRANSITIONS[phase][TaskEvent.FINISHED] is ENDED for phase in set(TaskPhase) - {ENDED})
