"""Snapshots of a runner and a broker, made up."""

from __future__ import annotations

from typing import Any

import attrs

from trio_runner.executor.contract import ExecutorStatistics, ZygoteStatistics
from trio_runner.runner.statistics import (
    BrokerStanding,
    BrokerState,
    HeldTask,
    Readiness,
    RunnerPhase,
    RunnerStatistics,
)
from trio_runner.scheduling.ledger import AT_CAPACITY, Ledger
from trio_runner.scheduling.matching.matchmaker import Matchmaker
from trio_runner.scheduling.matching.statistics import BrokerStatistics, LineStatistics, RunnerStanding
from trio_runner.scheduling.rates import Rates
from trio_runner.scheduling.trouble import Trouble


def task(number: int = 1, **more: Any) -> HeldTask:
    values: dict[str, Any] = {
        "task_id": f"task-{number}",
        "broker": "http://a:5679",
        "task_type": "python",
        "phase": "running",
        "age": 1.5 * number,
        "running_for": 1.4 * number,
        "workflow_name": "Invoices",
        "node_name": "Clean",
    }
    return HeldTask(**(values | more))


def runner(*, slots: int = 2, **more: Any) -> RunnerStatistics:
    ledger = Ledger(slots)
    ledger.open_session("http://a:5679#1", ("python",))
    ledger.register("http://a:5679#1")
    ledger.offers_due("http://a:5679#1", 0.0)
    values: dict[str, Any] = {
        "runner_id": "runner-one",
        "name": "Python Task Runner",
        "task_types": ("python",),
        "phase": RunnerPhase.SERVING,
        "uptime": 3725.0,
        "readiness": Readiness(True, "offering", f"{slots - 1} of {slots} slots on offer"),
        "ledger": attrs.evolve(ledger.statistics(), held=1, rejections={AT_CAPACITY: 3}),
        "brokers": (
            BrokerStanding(
                broker="http://a:5679",
                state=BrokerState.REGISTERED,
                session_age=3720.0,
                connections=1,
                open_offers=slots - 1,
                held=1,
                round_trip=0.0004,
                silent_for=0.2,
            ),
        ),
        "tasks": (task(),),
        "sessions": (),
        "executor": ExecutorStatistics(idle_workers=2, zygote=ZygoteStatistics(7, 1.0, 2, ("limits",))),
        "outcomes": {"completed": 30, "user-code": 2},
        "rates": Rates(0.5, 0.25),
        "troubles": (Trouble(65.0, "broker", "http://a:5679", "connection refused", 2, 90.0),),
    }
    return RunnerStatistics(**(values | more))


def broker(**more: Any) -> BrokerStatistics:
    standing = RunnerStanding(
        runner_id="runner-one",
        name="Python Task Runner",
        task_types=("python",),
        age=61.0,
        silent_for=0.5,
        open_offers=3,
        held=2,
        pending=0,
        ended=40,
        declined={"full": 1},
        strikes=0,
    )
    values: dict[str, Any] = {
        "runners": 1,
        "requesters": 1,
        "waiting": {"python": 4},
        "queue": {"python": LineStatistics(4, 2.5)},
        "fleet": (standing,),
        "running": {"python": 2},
        "ended": {"done": 38, "error": 2},
        "declined": {"full": 1},
        "given_up": {"timeout": 1},
        "rates": Rates(4.0, 3.0),
        "troubles": (Trouble(5.0, "request", "python", "a request was given up: timeout", 1, 5.0),),
    }
    return attrs.evolve(Matchmaker().statistics(), **(values | more))
