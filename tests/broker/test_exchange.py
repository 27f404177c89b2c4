"""The exchange: decisions carried out in order, deadlines watched, drained and emptied."""

from __future__ import annotations

import pytest
import trio
import trio.testing

from trio_runner.protocol import messages as m
from trio_runner.protocol.raw_json import RawJson
from trio_runner.scheduling.matching.limits import MatchingLimits
from trio_runner.scheduling.observer import (
    Event,
    MessageIgnored,
    PeerJoined,
    RequestEnqueued,
    RequestGivenUp,
)
from trio_runner.testing import RecordingObserver
from trio_runner.transport.link import LinkSettings

from .fake_links import House, open_house

DATA = RawJson(b'{"result":1}')


async def test_drained_when_the_last_task_has_ended(autojump_clock: trio.testing.MockClock) -> None:
    async with open_house() as house:
        runner, requester = await house.runner(), await house.requester()
        task_id = await house.running(runner, requester)
        with trio.move_on_after(5) as too_early:
            await house.exchange.drained()
        assert too_early.cancelled_caught
        house.exchange.drain()
        await runner.next(m.Drain)
        with trio.move_on_after(5) as busy:
            await house.exchange.drained()
        assert busy.cancelled_caught
        runner.send(m.TaskDone(task_id, DATA))
        await house.exchange.drained()
        await requester.next(m.TaskResult)


async def test_drained_when_the_last_requester_leaves() -> None:
    async with open_house() as house:
        runner, requester = await house.runner(), await house.requester()
        await house.running(runner, requester)
        house.exchange.drain()
        requester.link.drop()
        await house.exchange.drained()


async def test_emptied_when_the_last_peer_has_left() -> None:
    async with open_house() as house:
        await house.exchange.emptied()
        await house.runner()
        await house.requester()
        house.exchange.close(1001, "going")
        await house.exchange.emptied()
        assert house.exchange.statistics().runners == 0


async def test_stopping_tells_both_sides() -> None:
    async with open_house() as house:
        runner, requester = await house.runner(), await house.requester()
        task_id = await house.running(runner, requester)
        house.exchange.stop()
        await runner.next(m.Drain)
        assert (await runner.next(m.TaskCancel)).task_id == task_id
        assert (await requester.next(m.TaskFailure)).error.decode()["kind"] == "cancelled"


async def test_statistics_are_of_now(autojump_clock: trio.testing.MockClock) -> None:
    async with open_house() as house:
        runner = await house.runner()
        runner.send(m.TaskOffer("offer", "python", 5000))
        await trio.testing.wait_all_tasks_blocked()
        assert house.exchange.statistics().open_offers == {"python": 1}
        await trio.sleep(5)
        assert house.exchange.statistics().open_offers == {}
        assert house.exchange.statistics().offers_expired == 1


async def test_faults_of_different_connections_are_told_apart() -> None:
    async with open_house() as house:
        for runner_id in ("a", "b"):
            runner = await house.runner(runner_id)
            for _ in range(2):
                runner.send(m.TaskDone("unknown", DATA))
        await trio.testing.wait_all_tasks_blocked()
        assert {event.peer for event in house.observer.of(MessageIgnored)} == {"runner a", "runner b"}
        assert len(house.observer.of(MessageIgnored)) == 2


async def test_a_long_fault_is_cut() -> None:
    async with open_house() as house:
        runner = await house.runner()
        runner.far.deliver('{"type": "' + "x" * 10_000 + '"}')
        await trio.testing.wait_all_tasks_blocked()
        [event] = house.observer.of(MessageIgnored)
        assert len(event.why) < 200


async def test_an_observer_may_ask_back_and_the_order_stays() -> None:
    """What an observer causes happens after what caused it."""

    class Meddler(RecordingObserver):
        def observe(self, event: Event) -> None:
            super().observe(event)
            if isinstance(event, RequestEnqueued):
                house.exchange.drain()
                self.snapshot = house.exchange.statistics()

    async with open_house(observer=Meddler()) as house:
        requester = await house.requester()
        requester.send(m.TaskRequest("request", "nobody's"))
        assert await requester.next(m.RequestExpiry) == m.RequestExpiry("request", "draining")
        kinds = [type(event) for event in house.observer.events]
        assert kinds == [PeerJoined, RequestEnqueued, RequestGivenUp]
        assert isinstance(house.observer, Meddler)
        assert house.observer.snapshot.draining


async def test_flushed_when_every_peer_has_what_was_sent() -> None:
    async with open_house() as house:
        runner, requester = await house.runner(), await house.requester()
        task_id = await house.running(runner, requester)
        requester.far.stall()
        runner.send(m.TaskDone(task_id, DATA))
        await trio.testing.wait_all_tasks_blocked()
        flushed = trio.Event()

        async def flush() -> None:
            await house.exchange.flushed()
            flushed.set()

        house.nursery.start_soon(flush)
        await trio.testing.wait_all_tasks_blocked()
        assert not flushed.is_set()
        requester.far.resume()
        await flushed.wait()
        await requester.next(m.TaskResult)


@pytest.mark.parametrize("seconds", [0.1, 7.0])
async def test_the_watch_sleeps_until_there_is_something_to_do(
    mock_clock: trio.testing.MockClock, seconds: float
) -> None:
    """No ticking: between two deadlines nothing runs."""
    async with open_house() as house:
        runner, requester = await house.runner(), await house.requester()
        await house.running(runner, requester)
        await trio.testing.wait_all_tasks_blocked()
        statistics = trio.lowlevel.current_statistics()
        assert statistics.seconds_to_next_deadline == pytest.approx(300)
        mock_clock.jump(seconds)
        await trio.testing.wait_all_tasks_blocked()
        statistics = trio.lowlevel.current_statistics()
        assert statistics.seconds_to_next_deadline == pytest.approx(300 - seconds)


@pytest.mark.parametrize("who", ["runner", "requester"])
async def test_a_peer_may_leave_in_the_moment_in_which_a_time_limit_passes(
    who: str, mock_clock: trio.testing.MockClock
) -> None:
    async with trio.open_nursery() as nursery:  # a house in which nobody watches the deadlines
        house = House(nursery, MatchingLimits(execution_timeout=10), LinkSettings(), RecordingObserver())
        runner, requester = await house.runner(), await house.requester()
        await house.running(runner, requester)
        (runner if who == "runner" else requester).link.drop()
        mock_clock.jump(10)
        if who == "runner":
            assert (await requester.next(m.TaskFailure)).error.decode()["kind"] == "timeout"
        else:
            await runner.next(m.TaskCancel)
        assert house.exchange.statistics().tasks == {}
        nursery.cancel_scope.cancel()
