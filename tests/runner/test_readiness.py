"""The verdict on a runner: ready or not, and why, from every state that there is."""

from __future__ import annotations

from typing import Any

import attrs
import pytest

from trio_runner.executor.contract import ExecutorStatistics
from trio_runner.runner.readiness import judge
from trio_runner.runner.statistics import BrokerStanding, BrokerState, RunnerPhase
from trio_runner.scheduling.ledger import Ledger, LedgerStatistics

EMPTY = Ledger(5).statistics()
FULL = attrs.evolve(EMPTY, held=5)
WELL = ExecutorStatistics()


def broker(state: BrokerState = BrokerState.REGISTERED, **more: Any) -> BrokerStanding:
    return BrokerStanding(broker="http://a", state=state, **{"open_offers": 5, **more})


def verdict(
    *brokers: BrokerStanding,
    phase: RunnerPhase = RunnerPhase.SERVING,
    ledger: LedgerStatistics = EMPTY,
    executor: ExecutorStatistics = WELL,
) -> tuple[bool, str, str]:
    found = judge(phase, ledger, brokers, executor)
    return found.ready, found.state, found.reason


def test_offering() -> None:
    assert verdict(broker()) == (True, "offering", "5 of 5 slots free and on offer")


def test_full_is_ready() -> None:
    assert verdict(broker(open_offers=0), ledger=FULL) == (True, "full", "all 5 slots are taken")


@pytest.mark.parametrize(
    ("phase", "state"),
    [(RunnerPhase.NEW, "starting"), (RunnerPhase.DRAINING, "draining"), (RunnerPhase.ENDED, "ended")],
)
def test_only_a_runner_that_serves_is_ready(phase: RunnerPhase, state: str) -> None:
    assert verdict(broker(), phase=phase)[:2] == (False, state)


def test_no_worker_can_be_started() -> None:
    executor = ExecutorStatistics(trouble="fork: no memory")
    assert verdict(broker(), executor=executor) == (
        False,
        "no-workers",
        "no worker can be started: fork: no memory",
    )


@pytest.mark.parametrize(
    ("state", "more", "why"),
    [
        (BrokerState.CONNECTING, {"last_error": "connection refused"}, "http://a: connection refused"),
        (BrokerState.CONNECTING, {}, "http://a: connecting"),
        (BrokerState.CONNECTED, {"session_age": 7.2}, "connected for 7 s, but it has not registered"),
    ],
)
def test_no_broker_with_the_reason_of_each(state: BrokerState, more: dict[str, Any], why: str) -> None:
    ready, word, reason = verdict(broker(state, **more))
    assert (ready, word) == (False, "no-broker")
    assert why in reason


def test_brokers_that_drain() -> None:
    drained = broker(BrokerState.DRAINING)
    assert verdict(drained)[1] == "broker-draining"
    assert verdict(drained, broker(BrokerState.CONNECTING))[1] == "no-broker"
    assert verdict(drained, broker())[1] == "offering"


def test_a_broker_that_does_not_read_is_none() -> None:
    stuck = broker(stuck_for=9.4)
    assert verdict(stuck) == (
        False,
        "stuck",
        "no offer can be sent: nothing could be written for 9 s",
    )
    assert verdict(stuck, broker())[0]


def test_a_free_slot_that_nobody_is_offered_is_told() -> None:
    assert verdict(broker(open_offers=0))[:2] == (False, "not-offering")
