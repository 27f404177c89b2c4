"""Whether a task could come to a runner now, and if not, why: one answer for probes and for people."""

from __future__ import annotations

from collections.abc import Sequence

from ..executor.contract import ExecutorStatistics
from ..scheduling.ledger import LedgerStatistics
from .statistics import BrokerStanding, BrokerState, Readiness, RunnerPhase

__all__ = ["judge"]

# Seconds for which nothing could be written to a broker until it counts as one that does not read.
_STUCK = 5.0


def judge(
    phase: RunnerPhase,
    ledger: LedgerStatistics,
    brokers: Sequence[BrokerStanding],
    executor: ExecutorStatistics,
) -> Readiness:
    """Tell whether a task could come now.

    It could if the runner serves, workers can be started, and at least one broker has registered the runner,
    reads what it is sent, and either has an offer in hand or will get one as soon as a slot is free.
    """
    if phase is not RunnerPhase.SERVING:
        return _LIFE[phase]
    if executor.trouble:
        return Readiness(False, "no-workers", f"no worker can be started: {executor.trouble}")
    registered = [broker for broker in brokers if broker.state is BrokerState.REGISTERED]
    if not registered:
        return _no_broker(brokers)
    reading = [broker for broker in registered if broker.stuck_for < _STUCK]
    if not reading:
        stuck = max(broker.stuck_for for broker in registered)
        return Readiness(False, "stuck", f"no offer can be sent: nothing could be written for {stuck:.0f} s")
    if ledger.held >= ledger.slots:
        all_of_them = "the only slot is" if ledger.slots == 1 else f"all {ledger.slots} slots are"
        return Readiness(True, "full", f"{all_of_them} taken")
    if not any(broker.open_offers for broker in reading):
        return Readiness(False, "not-offering", "a slot is free, but no offer is open at any broker")
    free = ledger.slots - ledger.held
    return Readiness(True, "offering", f"{free} of {ledger.slots} slots free and on offer")


_LIFE = {
    RunnerPhase.NEW: Readiness(False, "starting", "the runner has not started yet"),
    RunnerPhase.DRAINING: Readiness(False, "draining", "the runner takes no more tasks and ends"),
    RunnerPhase.ENDED: Readiness(False, "ended", "the runner has ended"),
}


def _no_broker(brokers: Sequence[BrokerStanding]) -> Readiness:
    if brokers and all(broker.state is BrokerState.DRAINING for broker in brokers):
        return Readiness(False, "broker-draining", "every broker has asked for no more offers")
    reasons = "; ".join(f"{broker.broker}: {_why(broker)}" for broker in brokers)
    return Readiness(False, "no-broker", f"not registered with any broker ({reasons})")


def _why(broker: BrokerStanding) -> str:
    match broker.state:
        case BrokerState.CONNECTED:
            return f"connected for {broker.session_age or 0:.0f} s, but it has not registered the runner"
        case BrokerState.DRAINING:
            return "it has asked for no more offers"
        case _:
            return broker.last_error or "connecting"
