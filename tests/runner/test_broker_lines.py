"""Brokers that come and go while a runner runs."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import attrs
import trio
import trio.testing
from trio.testing import MockClock

from trio_runner.protocol import messages as m
from trio_runner.runner.config import RunnerConfig
from trio_runner.runner.serve import Runner
from trio_runner.testing import RecordingObserver, ScriptedExecutor

from .broker_in_memory import BrokerInMemory, BrokersInMemory

A, B = "http://a", "http://b"
CONFIG = RunnerConfig(brokers=(A,), auth_token="t", max_concurrency=2, grace=10)
BOTH = attrs.evolve(CONFIG, brokers=(A, B))
ONLY_B = attrs.evolve(CONFIG, brokers=(B,))


class Stage:
    def __init__(self, config: RunnerConfig) -> None:
        self.network = BrokersInMemory("a", "b")
        self.executor = ScriptedExecutor()
        self.runner = Runner(
            config, executor=self.executor, observer=RecordingObserver(), dialer=self.network
        )

    @property
    def a(self) -> BrokerInMemory:
        return self.network.by_host["a"]

    @property
    def b(self) -> BrokerInMemory:
        return self.network.by_host["b"]

    def brokers(self) -> list[str]:
        return [session.broker for session in self.runner.statistics().sessions]


@asynccontextmanager
async def running(config: RunnerConfig) -> AsyncIterator[Stage]:
    stage = Stage(config)
    async with trio.open_nursery() as nursery:
        await nursery.start(stage.runner.run)
        await trio.testing.wait_all_tasks_blocked()  # every broker has registered it
        yield stage
        nursery.cancel_scope.cancel()


async def test_a_new_broker_is_connected_to_and_offered_every_free_slot(autojump_clock: MockClock) -> None:
    async with running(CONFIG) as stage:
        await stage.a.start_task("t")
        await stage.executor.next_run()
        report = await stage.runner.reconfigure(BOTH)
        assert report.applied == ("brokers",)
        assert len(await stage.b.hear(m.TaskOffer)) == 1
        await stage.b.start_task("u")
        assert (await stage.executor.next_run()).job.task_id == "u"
        assert stage.network.dialled == ["a", "b"], "the other connection is left alone"


async def test_a_broker_that_is_left_gets_its_running_tasks_done(autojump_clock: MockClock) -> None:
    async with running(BOTH) as stage:
        await stage.a.start_task("t")
        run = await stage.executor.next_run()
        offers = await stage.a.hear(m.TaskOffer, count=2)
        await stage.runner.reconfigure(ONLY_B)
        unused = offers[0]
        assert isinstance(unused, m.TaskOffer)
        stage.a.send(m.TaskOfferAccept("late", unused.offer_id))
        assert await stage.a.hear(m.TaskRejected) == [m.TaskRejected("late", "Runner is shutting down")]
        await trio.sleep(6)
        assert len(await stage.a.hear(m.TaskOffer)) == len(offers), "no more are made to it"
        assert not stage.a.closed.is_set()
        run.complete("in time")
        await stage.a.hear(m.TaskDone)
        await stage.a.closed.wait()
        assert trio.current_time() < 10
        await trio.sleep(100)
        assert stage.brokers() == [B]
        assert stage.network.dialled.count("a") == 1
        await stage.b.start_task("u")
        await stage.executor.next_run()


async def test_its_tasks_end_with_the_grace(autojump_clock: MockClock) -> None:
    async with running(BOTH) as stage:
        await stage.a.start_task("t")
        run = await stage.executor.next_run()
        await stage.runner.reconfigure(ONLY_B)
        await stage.a.closed.wait()
        assert trio.current_time() == 10
        assert run.cancelled
        assert stage.a.error_messages() == ["Task was cancelled"]


async def test_a_broker_that_is_lost_while_it_is_left_is_not_sought_again(autojump_clock: MockClock) -> None:
    async with running(BOTH) as stage:
        await stage.a.start_task("t")
        await stage.executor.next_run()
        await stage.runner.reconfigure(ONLY_B)
        assert stage.a.link is not None
        stage.a.link.drop("cut")
        await trio.sleep(100)
        assert stage.network.dialled.count("a") == 1
        assert stage.brokers() == [B]


async def test_a_broker_that_was_never_reached_is_left_at_once(autojump_clock: MockClock) -> None:
    async with running(ONLY_B) as stage:
        stage.a.unreachable = True
        await stage.runner.reconfigure(BOTH)
        await trio.sleep(100)
        tries = stage.network.dialled.count("a")
        assert tries > 2
        await stage.runner.reconfigure(ONLY_B)
        await trio.sleep(1000)
        assert stage.network.dialled.count("a") == tries


async def test_a_broker_that_comes_back_while_it_is_left_is_connected_to_afterwards(
    autojump_clock: MockClock,
) -> None:
    async with running(BOTH) as stage:
        await stage.a.start_task("t")
        run = await stage.executor.next_run()
        await stage.runner.reconfigure(ONLY_B)
        await stage.runner.reconfigure(BOTH)
        await trio.sleep(5)
        assert stage.network.dialled.count("a") == 1, "a second connection would end the first one's task"
        run.complete("done")
        await stage.a.hear(m.TaskDone)
        await trio.sleep(1)
        assert stage.network.dialled.count("a") == 2
        assert sorted(stage.brokers()) == [A, B]


async def test_a_broker_that_comes_back_and_goes_again_is_not_connected_to(autojump_clock: MockClock) -> None:
    async with running(BOTH) as stage:
        await stage.a.start_task("t")
        run = await stage.executor.next_run()
        for config in (ONLY_B, BOTH, ONLY_B):
            await stage.runner.reconfigure(config)
            await trio.testing.wait_all_tasks_blocked()
        run.complete("done")
        await stage.a.closed.wait()
        await trio.sleep(100)
        assert stage.network.dialled.count("a") == 1
        await stage.runner.reconfigure(BOTH)
        await trio.sleep(1)
        assert stage.network.dialled.count("a") == 2


async def test_a_shutdown_while_a_broker_is_left(autojump_clock: MockClock) -> None:
    stage = Stage(BOTH)
    async with trio.open_nursery() as nursery:
        await nursery.start(stage.runner.run)
        await stage.a.start_task("t")
        run = await stage.executor.next_run()
        await stage.runner.reconfigure(ONLY_B)
        await trio.sleep(3)
        stage.runner.shut_down()
        await trio.sleep(3)
        run.complete("done")
    assert await stage.a.hear(m.TaskDone)
    assert trio.current_time() == 6
