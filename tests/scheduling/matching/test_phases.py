"""The table of phases."""

from __future__ import annotations

import pytest

from trio_runner.errors import LocalProtocolError
from trio_runner.scheduling.matching.phases import TRANSITIONS, BrokerPhase, Step, advance, allows


def test_every_phase_is_in_the_table_and_can_be_left() -> None:
    assert set(TRANSITIONS) == set(BrokerPhase)
    for phase in set(BrokerPhase) - {BrokerPhase.ENDED}:
        assert TRANSITIONS[phase]
        assert allows(phase, Step.DEADLINE)
        assert allows(phase, Step.RUNNER_LOST)


def test_nothing_follows_the_end() -> None:
    assert TRANSITIONS[BrokerPhase.ENDED] == {}


def test_no_way_leads_back() -> None:
    order = [
        BrokerPhase.ACCEPT_PENDING,
        BrokerPhase.ABANDONED,
        BrokerPhase.AWAITING_SETTINGS,
        BrokerPhase.RUNNING,
        BrokerPhase.ENDED,
    ]
    for phase, ways in TRANSITIONS.items():
        assert all(order.index(target) > order.index(phase) for target in ways.values())


def test_an_abandoned_task_is_never_begun() -> None:
    assert set(TRANSITIONS[BrokerPhase.ABANDONED].values()) == {BrokerPhase.ENDED}


@pytest.mark.parametrize("phase", BrokerPhase)
@pytest.mark.parametrize("step", Step)
def test_advance_follows_the_table(phase: BrokerPhase, step: Step) -> None:
    if allows(phase, step):
        assert advance(phase, step) is TRANSITIONS[phase][step]
    else:
        with pytest.raises(LocalProtocolError, match=f"{step.name} .* {phase.name}"):
            advance(phase, step)
