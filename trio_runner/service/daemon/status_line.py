"""How a daemon does, on one line: what ``systemctl status`` shows."""

from __future__ import annotations

from ...runner.statistics import RunnerPhase, RunnerStatistics
from ...scheduling.matching.statistics import BrokerStatistics

__all__ = ["broker_status", "runner_status"]


def runner_status(statistics: RunnerStatistics, brokers: tuple[str, ...]) -> str:
    """Return how a runner does.

    Args:
        statistics: its snapshot.
        brokers: base URIs of its brokers.
    """
    ledger = statistics.ledger
    if statistics.phase is RunnerPhase.DRAINING:
        return f"Draining; tasks that may finish: {ledger.held}"
    states = {
        session.broker: "registered" if session.registered else "connected" for session in statistics.sessions
    }
    slots = f"{ledger.held} of {ledger.slots} slots taken"
    return "; ".join([slots, *(f"{broker} {states.get(broker, 'not connected')}" for broker in brokers)])


def broker_status(statistics: BrokerStatistics) -> str:
    """Return how a broker does.

    Args:
        statistics: its snapshot.
    """
    running, waiting = sum(statistics.tasks.values()), sum(statistics.waiting.values())
    if statistics.draining:
        return f"Draining; tasks that may finish: {running}"
    counts = {"runner": statistics.runners, "task": running, "waiting request": waiting}
    return ", ".join(f"{count} {what}{'' if count == 1 else 's'}" for what, count in counts.items())
