"""The snapshot of a whole runner: brokers, tasks and troubles as they are, in virtual time."""

from __future__ import annotations

import trio
from trio.testing import MockClock

from trio_runner.protocol import messages as m
from trio_runner.protocol.raw_json import RawJson
from trio_runner.runner.config import RunnerConfig
from trio_runner.runner.serve import Runner
from trio_runner.runner.statistics import BrokerState, RunnerStatistics
from trio_runner.scheduling import observer as events
from trio_runner.scheduling.outcome import WorkerDied
from trio_runner.testing import RecordingObserver, ScriptedExecutor

from .broker_in_memory import BrokerInMemory


class Stage:
    def __init__(self) -> None:
        self.broker = BrokerInMemory()
        self.executor = ScriptedExecutor()
        self.observer = RecordingObserver()
        config = RunnerConfig(brokers=("http://broker",), auth_token="t", runner_id="me", max_concurrency=2)
        self.runner = Runner(config, executor=self.executor, observer=self.observer, dialer=self.broker)

    @property
    def now(self) -> RunnerStatistics:
        return self.runner.statistics()


async def test_before_it_runs() -> None:
    stage = Stage()
    assert (stage.now.runner_id, stage.now.uptime, stage.now.tasks) == ("me", 0, ())
    assert stage.now.brokers[0].state is BrokerState.CONNECTING
    assert not stage.now.ready


async def test_a_task_from_accept_to_end(autojump_clock: MockClock) -> None:
    stage = Stage()
    async with trio.open_nursery() as nursery:
        await nursery.start(lambda task_status: stage.runner.run(task_status=task_status))
        offers = await stage.broker.hear(m.TaskOffer, count=2)
        assert isinstance(offers[0], m.TaskOffer)
        stage.broker.send(m.TaskOfferAccept("t", offers[0].offer_id))
        await trio.sleep(0.5)
        phases = [stage.now.tasks[0].phase]
        stage.broker.send(m.TaskSettings("t", RawJson(b"{}")))
        run = await stage.executor.next_run()
        phases.append(stage.now.tasks[0].phase)
        await trio.sleep(0.25)
        run.start(workflow_id="7", workflow_name="Invoices", node_name="Clean")
        await trio.sleep(2)
        [task] = stage.now.tasks
        phases.append(task.phase)
        run.complete()
        await stage.broker.hear(m.TaskDone)
        after = stage.now
        stage.runner.shut_down()
    assert phases == ["awaiting-settings", "starting", "running"]
    assert (task.task_id, task.task_type, task.broker) == ("t", "python", "http://broker")
    assert (task.age, task.running_for) == (2.75, 2.0)
    owner = (task.workflow_id, task.workflow_name, task.node_id, task.node_name)
    assert owner == ("7", "Invoices", "", "Clean")
    assert after.tasks == ()
    [ended] = stage.observer.of(events.TaskEnded)
    assert (ended.task_type, ended.settings_after, ended.started_after) == ("python", 0.5, 0.75)


async def test_brokers_are_told_of_also_while_there_is_no_connection(autojump_clock: MockClock) -> None:
    stage = Stage()
    async with trio.open_nursery() as nursery:
        await nursery.start(lambda task_status: stage.runner.run(task_status=task_status))
        await trio.sleep(7)
        [broker] = stage.now.brokers
        assert (broker.state, broker.session_age, broker.open_offers) == (BrokerState.REGISTERED, 7, 2)
        assert (broker.connections, broker.failures, broker.last_error) == (1, 0, "")
        assert stage.broker.link is not None
        stage.broker.link.drop("the cable was cut")
        await trio.testing.wait_all_tasks_blocked()
        [lost] = stage.now.brokers
        assert (lost.state, lost.session_age, lost.failures) == (BrokerState.CONNECTING, None, 1)
        assert (lost.last_error, lost.last_error_age) == ("the cable was cut", 0)
        assert lost.retry_in is not None
        why = "not registered with any broker (http://broker: the cable was cut)"
        assert stage.now.readiness.reason == why
        await trio.sleep(30)
        [again] = stage.now.brokers
        assert (again.state, again.connections) == (BrokerState.REGISTERED, 2)
        assert stage.now.troubles[0].message == "the cable was cut"
        stage.runner.shut_down()


async def test_rates_and_what_went_wrong(autojump_clock: MockClock) -> None:
    stage = Stage()
    async with trio.open_nursery() as nursery:
        await nursery.start(lambda task_status: stage.runner.run(task_status=task_status))
        for number in range(10):
            await stage.broker.start_task(str(number))
            (await stage.executor.next_run()).end(WorkerDied(-9))
            await trio.sleep(1)
        snapshot = stage.now
        stage.runner.shut_down()
    assert snapshot.rates.ten_seconds == 1
    [trouble] = snapshot.troubles
    assert (trouble.source, trouble.subject, trouble.times) == ("task", "worker-died", 10)
    assert {ended.cause for ended in stage.observer.of(events.TaskEnded)} == {"SIGKILL"}
