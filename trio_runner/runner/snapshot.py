"""Taking the snapshot of a runner from its parts."""

from __future__ import annotations

import attrs
import trio

from ..executor.contract import ExecutorStatistics
from ..scheduling.ledger import Ledger, LedgerStatistics
from ..scheduling.phases import SessionPhase
from .config import RunnerConfig
from .readiness import judge
from .records import Records
from .shared import Shared
from .statistics import (
    BrokerStanding,
    BrokerState,
    ConnectionStatistics,
    HeldTask,
    RunnerPhase,
    RunnerStatistics,
)

__all__ = ["take_snapshot"]

_STATES = {
    SessionPhase.CONNECTED: BrokerState.CONNECTED,
    SessionPhase.REGISTERED: BrokerState.REGISTERED,
    SessionPhase.DRAINING: BrokerState.DRAINING,
}


def take_snapshot(
    config: RunnerConfig,
    phase: RunnerPhase,
    began: float | None,
    ledger: Ledger,
    records: Records,
    shared: Shared | None,
) -> RunnerStatistics:
    """Return the snapshot of a runner.

    Args:
        config: its settings.
        phase: where it is in its life.
        began: when it began to run, `trio.current_time()`; None if it has not.
        ledger: its slots.
        records: what it remembers.
        shared: what its sessions have in common; None before there can be any.
    """
    now = 0.0 if began is None else trio.current_time()
    slots = ledger.statistics()
    sessions = tuple(session.statistics() for session in shared.sessions) if shared else ()
    executor = shared.executor.statistics() if shared else ExecutorStatistics()
    brokers = tuple(_standing(broker, now, records, sessions, slots) for broker in config.brokers)
    return RunnerStatistics(
        runner_id=config.runner_id,
        name=config.name,
        task_types=shared.executor.task_types if shared else (),
        phase=phase,
        uptime=0.0 if began is None else now - began,
        readiness=judge(phase, slots, brokers, executor),
        ledger=slots,
        brokers=brokers,
        tasks=_tasks(shared),
        sessions=sessions,
        executor=executor,
        outcomes=dict(shared.outcomes) if shared else {},
        rates=records.rates(now),
        troubles=records.troubles(now),
    )


def _tasks(shared: Shared | None) -> tuple[HeldTask, ...]:
    tasks = [task for session in shared.sessions for task in session.tasks()] if shared else []
    return tuple(sorted(tasks, key=lambda task: -task.age))


def _standing(
    broker: str,
    now: float,
    records: Records,
    sessions: tuple[ConnectionStatistics, ...],
    ledger: LedgerStatistics,
) -> BrokerStanding:
    """Say how a broker stands: what is remembered of it, and what its connection tells if there is one."""
    standing = records.standing(broker, now)
    session = next((entry for entry in sessions if entry.broker == broker), None)
    if session is None:
        return standing
    booked = ledger.sessions[session.session]
    return attrs.evolve(
        standing,
        state=_STATES[booked.phase],
        session_age=session.age,
        retry_in=None,
        open_offers=booked.open_offers,
        held=booked.held,
        round_trip=session.link.round_trip,
        silent_for=session.link.silent_for,
        stuck_for=session.link.stuck_for,
    )
