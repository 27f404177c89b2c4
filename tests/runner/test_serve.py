"""A whole runner with brokers in memory: shutdown with its grace, idle exit, the bitter end."""

from __future__ import annotations

import attrs
import pytest
import trio
from trio.testing import MockClock

from trio_runner.errors import ConfigError, LinkLost, LocalProtocolError
from trio_runner.executor.handlers import HandlerTask
from trio_runner.protocol import messages as m
from trio_runner.protocol.raw_json import RawJson
from trio_runner.runner.config import RunnerConfig
from trio_runner.runner.serve import Runner, serve_runner
from trio_runner.runner.statistics import RunnerPhase
from trio_runner.scheduling import observer as events
from trio_runner.testing import RecordingObserver, ScriptedExecutor
from trio_runner.transport.http_client import HttpAnswer
from trio_runner.transport.link import LinkSettings

from .broker_in_memory import BrokerInMemory


def make_config(*, grace: float = 10, idle: float = 0, slots: int = 2, grant: str = "") -> RunnerConfig:
    return RunnerConfig(
        brokers=("http://broker",),
        auth_token="" if grant else "t",
        grant_token=grant,
        max_concurrency=slots,
        grace=grace,
        idle_timeout=idle,
    )


class Stage:
    def __init__(self, config: RunnerConfig) -> None:
        self.broker = BrokerInMemory()
        self.executor = ScriptedExecutor()
        self.observer = RecordingObserver()
        self.runner = Runner(config, executor=self.executor, observer=self.observer, dialer=self.broker)
        self.ended_at = 0.0

    async def run(self, *, task_status: trio.TaskStatus[Runner] = trio.TASK_STATUS_IGNORED) -> None:
        await self.runner.run(task_status=task_status)
        self.ended_at = trio.current_time()


async def test_started_comes_with_the_registration_and_brings_the_runner(autojump_clock: MockClock) -> None:
    stage = Stage(make_config())
    assert stage.runner.statistics().phase is RunnerPhase.NEW
    async with trio.open_nursery() as nursery:
        started = await nursery.start(stage.run)
        assert started is stage.runner
        statistics = stage.runner.statistics()
        assert statistics.ready
        assert statistics.sessions[0].registered
        stage.runner.shut_down()
    assert not stage.runner.statistics().ready
    assert stage.runner.statistics().phase is RunnerPhase.ENDED


async def test_a_reload_reaches_the_executor_while_the_runner_runs(autojump_clock: MockClock) -> None:
    stage = Stage(make_config())
    await stage.runner.reload()
    async with trio.open_nursery() as nursery:
        await nursery.start(stage.run)
        await stage.runner.reload()
        assert stage.executor.reloads == 1
        stage.runner.shut_down()
    await stage.runner.reload()
    assert stage.executor.reloads == 1


async def test_slots_are_offered_again_once_tasks_can_be_begun(autojump_clock: MockClock) -> None:
    stage = Stage(make_config(slots=1))
    stage.executor.make_unavailable("python")
    async with trio.open_nursery() as nursery:
        await nursery.start(stage.run)
        await trio.sleep(60)
        assert not any(isinstance(message, m.TaskOffer) for message in stage.broker.heard)
        stage.executor.make_unavailable()
        began = trio.current_time()
        await stage.broker.hear(m.TaskOffer)
        assert trio.current_time() == began
        stage.runner.shut_down()


async def test_an_idle_runner_shuts_down_at_once(autojump_clock: MockClock) -> None:
    stage = Stage(make_config())
    async with trio.open_nursery() as nursery:
        await nursery.start(stage.run)
        stage.runner.shut_down()
        stage.runner.shut_down()
    assert stage.ended_at == 0
    assert stage.broker.closed.is_set()


async def test_running_tasks_finish_within_the_grace(autojump_clock: MockClock) -> None:
    stage = Stage(make_config(grace=10))
    async with trio.open_nursery() as nursery:
        await nursery.start(stage.run)
        await stage.broker.start_task("t")
        run = await stage.executor.next_run()
        began = trio.current_time()
        stage.runner.shut_down()
        await trio.sleep(7)
        assert stage.runner.statistics().phase is RunnerPhase.DRAINING
        run.complete("in time")
    assert stage.ended_at - began == 7
    assert await stage.broker.hear(m.TaskDone)


async def test_the_rest_is_stopped_at_the_end_of_the_grace_and_told(autojump_clock: MockClock) -> None:
    stage = Stage(make_config(grace=3))
    async with trio.open_nursery() as nursery:
        await nursery.start(stage.run)
        await stage.broker.start_task("t")
        run = await stage.executor.next_run()
        began = trio.current_time()
        stage.runner.shut_down()
    assert stage.ended_at - began == 3
    assert run.cancelled
    assert stage.broker.error_messages() == ["Task was cancelled"]
    assert [event.outcome for event in stage.observer.of(events.TaskEnded)] == ["shutdown"]


async def test_a_last_result_that_takes_long_to_send_has_the_rest_of_the_grace(
    autojump_clock: MockClock,
) -> None:
    stage = Stage(make_config(grace=10))
    async with trio.open_nursery() as nursery:
        await nursery.start(stage.run)
        await stage.broker.start_task("t")
        run = await stage.executor.next_run()
        assert stage.broker.link is not None
        stage.broker.link.partner.stall()
        stage.runner.shut_down()
        run.complete("large")
        await trio.sleep(9)  # far longer than a close may take
        stage.broker.link.partner.resume()
        await stage.broker.hear(m.TaskDone)
    assert stage.ended_at == 9


async def test_a_broker_that_does_not_read_cannot_hold_up_the_end(autojump_clock: MockClock) -> None:
    config = make_config(grace=10)
    stage = Stage(config)
    async with trio.open_nursery() as nursery:
        await nursery.start(stage.run)
        await stage.broker.start_task("t")
        run = await stage.executor.next_run()
        assert stage.broker.link is not None
        stage.broker.link.partner.stall()
        stage.runner.shut_down()
        run.complete("large")
    assert stage.ended_at == 10 + config.link.close_timeout


async def test_while_it_drains_it_offers_nothing_and_answers_every_accept(autojump_clock: MockClock) -> None:
    stage = Stage(make_config(grace=30))
    async with trio.open_nursery() as nursery:
        await nursery.start(stage.run)
        await stage.broker.start_task("t")
        run = await stage.executor.next_run()
        offers = await stage.broker.hear(m.TaskOffer, count=2)
        stage.runner.shut_down()
        await trio.sleep(20)  # past the validity of every offer
        unused = next(offer for offer in offers if isinstance(offer, m.TaskOffer))
        stage.broker.send(m.TaskOfferAccept("late", unused.offer_id))
        [rejected] = await stage.broker.hear(m.TaskRejected)
        run.complete()
    assert rejected == m.TaskRejected("late", "Runner is shutting down")
    assert len(await stage.broker.hear(m.TaskOffer)) == len(offers)


async def test_a_shutdown_before_the_run_ends_it_at_once(autojump_clock: MockClock) -> None:
    stage = Stage(make_config())
    stage.runner.shut_down()
    await stage.run()
    assert stage.ended_at == 0


async def test_cancelling_stops_everything_at_once(autojump_clock: MockClock) -> None:
    stage = Stage(make_config())
    async with trio.open_nursery() as nursery:
        await nursery.start(stage.run)
        await stage.broker.start_task("t")
        run = await stage.executor.next_run()
        nursery.cancel_scope.cancel()
    assert run.cancelled
    assert trio.current_time() == 0
    assert [event.outcome for event in stage.observer.of(events.TaskEnded)] == ["shutdown"]


async def test_an_end_without_hurry_lets_tasks_take_their_time(autojump_clock: MockClock) -> None:
    stage = Stage(make_config(grace=3))
    async with trio.open_nursery() as nursery:
        await nursery.start(stage.run)
        await stage.broker.start_task("t")
        run = await stage.executor.next_run()
        stage.runner.drain()
        await trio.sleep(50)
        assert stage.runner.statistics().phase is RunnerPhase.DRAINING
        run.complete("in its own time")
    assert stage.ended_at == 50
    assert await stage.broker.hear(m.TaskDone)


async def test_an_end_without_hurry_can_be_hurried(autojump_clock: MockClock) -> None:
    stage = Stage(make_config(grace=3))
    async with trio.open_nursery() as nursery:
        await nursery.start(stage.run)
        await stage.broker.start_task("t")
        run = await stage.executor.next_run()
        stage.runner.drain()
        await trio.sleep(20)
        stage.runner.shut_down()
    assert run.cancelled
    assert stage.ended_at == 20 + 3


async def test_a_runner_of_so_many_tasks_takes_no_more_and_loses_none(autojump_clock: MockClock) -> None:
    stage = Stage(attrs.evolve(make_config(slots=3, grace=1), max_tasks=2))
    async with trio.open_nursery() as nursery:
        await nursery.start(stage.run)
        offers = [o for o in await stage.broker.hear(m.TaskOffer, count=3) if isinstance(o, m.TaskOffer)]
        for offer in offers:  # three accepts in a row, before the runner has had a moment to end
            stage.broker.send(m.TaskOfferAccept(f"of {offer.offer_id}", offer.offer_id))
            stage.broker.send(m.TaskSettings(f"of {offer.offer_id}", RawJson(b"{}")))
        [rejected] = await stage.broker.hear(m.TaskRejected)
        runs = [await stage.executor.next_run() for _ in range(2)]
        await trio.sleep(40)
        for run in runs:
            run.complete()
        await stage.broker.hear(m.TaskDone, count=2)
    assert rejected == m.TaskRejected(f"of {offers[2].offer_id}", "Runner is shutting down")
    assert stage.ended_at == 40
    assert stage.observer.of(events.RunnerSpent) == [
        events.RunnerSpent("it has taken as many tasks as it was started for: 2")
    ]


async def test_a_runner_of_an_age_ends_a_little_before_it_once_its_tasks_have(
    autojump_clock: MockClock,
) -> None:
    stage = Stage(attrs.evolve(make_config(grace=1), max_uptime=100.0))
    async with trio.open_nursery() as nursery:
        await nursery.start(stage.run)
        await trio.sleep(89)
        assert stage.runner.statistics().phase is RunnerPhase.SERVING
        await stage.broker.start_task("t")
        run = await stage.executor.next_run()
        await trio.sleep(11)
        assert stage.runner.statistics().phase is RunnerPhase.DRAINING
        await trio.sleep(20)
        run.complete()
    assert stage.ended_at == 120
    [spent] = stage.observer.of(events.RunnerSpent)
    assert spent.why.endswith("of at most 100 seconds")


async def test_a_runner_that_tries_again_makes_progress_and_one_that_does_not_is_stalled(
    autojump_clock: MockClock,
) -> None:
    class Nobody(BrokerInMemory):
        stuck = False

        async def post_json(self, url: str, body: RawJson, *, settings: LinkSettings) -> HttpAnswer:
            await trio.sleep(10)  # as long as it may take
            if self.stuck:
                await trio.sleep_forever()
            raise LinkLost("nobody there")

    dialer = Nobody()
    runner = Runner(make_config(), executor=ScriptedExecutor(), dialer=dialer)
    assert runner.stalled() is None
    async with trio.open_nursery() as nursery:
        nursery.start_soon(runner.run)
        for _ in range(100):
            await trio.sleep(7)
            assert runner.stalled() is None
        dialer.stuck = True
        await trio.sleep(100)
        assert str(runner.stalled()).startswith("http://broker: a connection, or the failure to get one, is")
        nursery.cancel_scope.cancel()
    assert runner.stalled() is None


async def test_a_runner_without_work_ends_by_itself(autojump_clock: MockClock) -> None:
    stage = Stage(make_config(idle=15))
    await stage.run()
    assert stage.ended_at == 15
    assert stage.observer.of(events.RunnerIdle) == [events.RunnerIdle(15)]


async def test_the_idle_time_counts_from_the_end_of_the_last_task(autojump_clock: MockClock) -> None:
    stage = Stage(make_config(idle=15))
    async with trio.open_nursery() as nursery:
        await nursery.start(stage.run)
        await trio.sleep(10)
        await stage.broker.start_task("t")
        run = await stage.executor.next_run()
        await trio.sleep(30)
        run.complete()
    assert stage.ended_at == 10 + 30 + 15


async def test_with_only_a_grant_token_the_loss_of_the_connection_ends_the_run(
    autojump_clock: MockClock,
) -> None:
    stage = Stage(make_config(grant="g"))
    caught: list[LinkLost] = []

    async def run(*, task_status: trio.TaskStatus[Runner]) -> None:
        with pytest.raises(LinkLost, match="cut") as info:
            await stage.run(task_status=task_status)
        caught.append(info.value)

    async with trio.open_nursery() as nursery:
        await nursery.start(run)
        await stage.broker.start_task("t")
        task = await stage.executor.next_run()
        assert stage.broker.link is not None
        stage.broker.link.drop("cut")
    assert caught
    assert task.cancelled
    assert trio.current_time() == 0


async def test_a_runner_runs_once(autojump_clock: MockClock) -> None:
    stage = Stage(make_config())
    stage.runner.shut_down()
    await stage.run()
    with pytest.raises(LocalProtocolError, match="runs once"):
        await stage.run()


async def test_handlers_are_served_beside_the_executor(autojump_clock: MockClock) -> None:
    async def double(task: HandlerTask) -> object:
        await trio.sleep(1)
        return [value * 2 for value in task.settings["values"]]

    broker = BrokerInMemory()
    runner = Runner(make_config(), handlers={"double": double}, executor=ScriptedExecutor(), dialer=broker)
    async with trio.open_nursery() as nursery:
        await nursery.start(runner.run)
        offers = [o for o in await broker.hear(m.TaskOffer, count=4) if isinstance(o, m.TaskOffer)]
        assert sorted(offer.task_type for offer in offers) == ["double", "double", "python", "python"]
        offer = next(offer for offer in offers if offer.task_type == "double")
        broker.send(m.TaskOfferAccept("t", offer.offer_id))
        broker.send(m.TaskSettings("t", RawJson(b'{"values": [1, 2]}')))
        [done] = await broker.hear(m.TaskDone)
        assert isinstance(done, m.TaskDone)
        assert done.data.decode() == {"result": [2, 4]}
        runner.shut_down()


async def test_a_handler_for_a_type_that_is_served_already_is_refused(autojump_clock: MockClock) -> None:
    async def never(task: HandlerTask) -> object:
        raise AssertionError(task)

    with pytest.raises(ConfigError, match="python"):
        await serve_runner(make_config(), handlers={"python": never}, executor=ScriptedExecutor())


async def test_a_ca_file_that_cannot_be_used_ends_the_run_with_that_error(autojump_clock: MockClock) -> None:
    link = LinkSettings(ca_file="/nonexistent/ca.pem")
    config = RunnerConfig(brokers=("wss://localhost",), grant_token="g", link=link)
    with pytest.raises(ConfigError, match=r"/nonexistent/ca\.pem' cannot be used"):
        await serve_runner(config, executor=ScriptedExecutor())


async def test_statistics_tell_outcomes_and_offers(autojump_clock: MockClock) -> None:
    stage = Stage(make_config())
    async with trio.open_nursery() as nursery:
        await nursery.start(stage.run)
        for number in range(3):
            await stage.broker.start_task(str(number))
            (await stage.executor.next_run()).complete()
            await stage.broker.hear(m.TaskDone, count=number + 1)
        statistics = stage.runner.statistics()
        stage.runner.shut_down()
    assert statistics.outcomes == {"completed": 3}
    assert statistics.ledger.offers_accepted == 3
    assert statistics.ledger.held == 0
    assert statistics.executor.started == 3
