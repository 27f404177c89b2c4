"""A runner that is told to work by other settings, in virtual time."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import attrs
import pytest
import trio
from trio.testing import MockClock

from trio_runner.errors import ConfigError, LocalProtocolError
from trio_runner.executor.config import ProcessExecutorConfig
from trio_runner.protocol import messages as m
from trio_runner.protocol.raw_json import RawJson
from trio_runner.runner.config import RunnerConfig
from trio_runner.runner.serve import Runner
from trio_runner.sandbox.policy import Policy
from trio_runner.scheduling.observer import Observer
from trio_runner.testing import RecordingObserver, ScriptedExecutor

from .broker_in_memory import BrokerInMemory

CONFIG = RunnerConfig(brokers=("http://broker",), auth_token="t", max_concurrency=2, grace=10)
STRICT = Policy(stdlib_allow=frozenset({"json"}), max_result=CONFIG.policy.max_result)


class Stage:
    def __init__(self, config: RunnerConfig) -> None:
        self.broker = BrokerInMemory()
        self.executor = ScriptedExecutor()
        self.observer = RecordingObserver()
        self.runner = Runner(config, executor=self.executor, observer=self.observer, dialer=self.broker)

    async def offers(self, *, count: int) -> list[m.TaskOffer]:
        return [o for o in await self.broker.hear(m.TaskOffer, count=count) if isinstance(o, m.TaskOffer)]


@asynccontextmanager
async def running(config: RunnerConfig) -> AsyncIterator[Stage]:
    stage = Stage(config)
    async with trio.open_nursery() as nursery:
        await nursery.start(stage.runner.run)
        yield stage
        nursery.cancel_scope.cancel()


async def test_more_slots_are_offered_at_once(autojump_clock: MockClock) -> None:
    async with running(CONFIG) as stage:
        await stage.offers(count=2)
        before = trio.current_time()
        report = await stage.runner.reconfigure(attrs.evolve(CONFIG, max_concurrency=5))
        assert report.applied == ("max_concurrency",)
        assert len(await stage.offers(count=5)) == 5
        assert trio.current_time() == before
        assert stage.runner.statistics().ledger.slots == 5


async def test_fewer_slots_let_running_tasks_finish(autojump_clock: MockClock) -> None:
    async with running(CONFIG) as stage:
        offers = await stage.offers(count=2)
        for offer, task_id in zip(offers, ("t", "u"), strict=True):
            stage.broker.send(m.TaskOfferAccept(task_id, offer.offer_id))
            stage.broker.send(m.TaskSettings(task_id, RawJson(b"{}")))
        runs = [await stage.executor.next_run() for _ in range(2)]
        await stage.runner.reconfigure(attrs.evolve(CONFIG, max_concurrency=1))
        await trio.sleep(1)
        runs[0].complete()
        await stage.broker.hear(m.TaskDone)
        await trio.sleep(1)
        assert len(await stage.offers(count=0)) == 2, "one task still runs, and there is one slot"
        runs[1].complete()
        assert len(await stage.offers(count=3)) == 3


async def test_time_limits_are_those_of_later_tasks(autojump_clock: MockClock) -> None:
    async with running(CONFIG) as stage:
        await stage.broker.start_task("t")
        await stage.executor.next_run()
        await stage.runner.reconfigure(attrs.evolve(CONFIG, task_timeout=5, grace=3))
        await stage.broker.start_task("u")
        await stage.executor.next_run()
        await trio.sleep(6)
        assert stage.broker.error_messages() == ["Task execution timed out after 5 seconds"]
        began = trio.current_time()
        stage.runner.shut_down()
        await stage.broker.closed.wait()
        assert trio.current_time() - began == 3


async def test_an_idle_limit_may_come_and_go(autojump_clock: MockClock) -> None:
    stage = Stage(attrs.evolve(CONFIG, idle_timeout=10))
    async with trio.open_nursery() as nursery:
        await nursery.start(stage.runner.run)
        await trio.sleep(5)
        await stage.runner.reconfigure(CONFIG)
        await trio.sleep(100)
        await stage.runner.reconfigure(attrs.evolve(CONFIG, idle_timeout=110))
    assert trio.current_time() == 110


async def test_another_token_is_tried_without_waiting_for_the_next_attempt(autojump_clock: MockClock) -> None:
    stage = Stage(CONFIG)
    stage.broker.token = "another"
    async with trio.open_nursery() as nursery:
        nursery.start_soon(stage.runner.run)
        await trio.sleep(300)
        assert not stage.runner.statistics().ready
        before = trio.current_time()
        await stage.runner.reconfigure(attrs.evolve(CONFIG, auth_token="another"))
        await stage.offers(count=2)
        assert trio.current_time() == before
        nursery.cancel_scope.cancel()


async def test_another_token_leaves_open_connections_alone(autojump_clock: MockClock) -> None:
    async with running(CONFIG) as stage:
        stage.broker.token = "another"
        await stage.runner.reconfigure(attrs.evolve(CONFIG, auth_token="another"))
        await trio.sleep(10)
        assert not stage.broker.closed.is_set()
        assert stage.broker.link is not None
        stage.broker.link.drop("cut")
        await trio.sleep(10)
        assert stage.runner.statistics().ready


async def test_what_needs_a_restart_is_told_and_stays(autojump_clock: MockClock) -> None:
    async with running(CONFIG) as stage:
        report = await stage.runner.reconfigure(
            attrs.evolve(CONFIG, name="other", policy=STRICT, task_timeout=1)
        )
        assert report.applied == ("task_timeout",)
        assert report.need_restart == ("name", "policy")
        assert stage.runner.config == report.config == attrs.evolve(CONFIG, task_timeout=1)


async def test_settings_that_cannot_be_used_change_nothing(autojump_clock: MockClock) -> None:
    config = attrs.evolve(CONFIG, auth_token="", grant_token="g")
    async with running(config) as stage:
        with pytest.raises(ConfigError, match="grant token"):
            await stage.runner.reconfigure(attrs.evolve(CONFIG, brokers=("http://a", "http://b")))
        assert stage.runner.config == config


async def test_only_a_runner_that_serves_can_be_told(autojump_clock: MockClock) -> None:
    stage = Stage(CONFIG)
    with pytest.raises(LocalProtocolError, match="not serving"):
        await stage.runner.reconfigure(CONFIG)
    async with trio.open_nursery() as nursery:
        await nursery.start(stage.runner.run)
        await stage.broker.start_task("t")
        await stage.executor.next_run()
        stage.runner.shut_down()
        await trio.sleep(1)
        with pytest.raises(LocalProtocolError, match="ending"):
            await stage.runner.reconfigure(CONFIG)
    with pytest.raises(LocalProtocolError, match="ending"):
        await stage.runner.reconfigure(CONFIG)


class PlayedProcesses(ScriptedExecutor):
    """Stands in for the executor with worker processes: opens slowly, and notes what it is told."""

    def __init__(self) -> None:
        super().__init__()
        self.configs: list[ProcessExecutorConfig] = []
        self.refuses = False

    @asynccontextmanager
    async def open(
        self, config: ProcessExecutorConfig, *, observer: Observer
    ) -> AsyncIterator[PlayedProcesses]:
        await trio.sleep(1)
        self.configs.append(config)
        yield self

    async def reconfigure(self, config: ProcessExecutorConfig, *, afresh: bool = False) -> None:
        await trio.lowlevel.checkpoint()
        if self.refuses:
            raise ConfigError("python: gone")
        self.configs.append(config)


@pytest.fixture
def processes(monkeypatch: pytest.MonkeyPatch) -> PlayedProcesses:
    played = PlayedProcesses()
    monkeypatch.setattr("trio_runner.runner.serve.open_process_executor", played.open)
    return played


async def test_rules_and_modules_are_handed_to_the_workers(
    processes: PlayedProcesses, autojump_clock: MockClock
) -> None:
    runner = Runner(CONFIG, dialer=BrokerInMemory())
    async with trio.open_nursery() as nursery:
        await nursery.start(runner.run)
        wanted = attrs.evolve(CONFIG, policy=STRICT, preload=("json",), max_concurrency=4, reuse=6)
        report = await runner.reconfigure(wanted)
        assert set(report.applied) == {"policy", "preload", "max_concurrency", "reuse"}
        nursery.cancel_scope.cancel()
    assert processes.configs[0].policy == CONFIG.policy
    told = processes.configs[1]
    assert (told.policy, told.preload, told.workers, told.reuse) == (STRICT, ("json",), 4, 6)


async def test_what_the_workers_refuse_changes_nothing_at_all(
    processes: PlayedProcesses, autojump_clock: MockClock
) -> None:
    runner = Runner(CONFIG, dialer=BrokerInMemory())
    async with trio.open_nursery() as nursery:
        await nursery.start(runner.run)
        processes.refuses = True
        with pytest.raises(ConfigError, match="gone"):
            await runner.reconfigure(attrs.evolve(CONFIG, policy=STRICT, max_concurrency=4, task_timeout=1))
        assert runner.config == CONFIG
        assert runner.statistics().ledger.slots == 2
        nursery.cancel_scope.cancel()


async def test_settings_that_come_before_everything_is_open_are_not_lost(
    processes: PlayedProcesses, autojump_clock: MockClock
) -> None:
    broker = BrokerInMemory()
    runner = Runner(CONFIG, dialer=broker)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(runner.run)
        await trio.sleep(0.5)
        assert not processes.configs
        await runner.reconfigure(attrs.evolve(CONFIG, max_concurrency=3))
        assert len(await broker.hear(m.TaskOffer, count=3)) == 3
        nursery.cancel_scope.cancel()
