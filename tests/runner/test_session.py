"""One connection to one broker, over a link in memory and in virtual time."""

from __future__ import annotations

import json
import math
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

import pytest
import trio
import trio.testing
from trio.testing import MockClock

from trio_runner.errors import LinkLost
from trio_runner.executor.handlers import HandlerExecutor, HandlerTask
from trio_runner.protocol import messages as m
from trio_runner.protocol.codec import BROKER_TO_RUNNER, RUNNER_TO_BROKER
from trio_runner.protocol.raw_json import RawJson
from trio_runner.runner.config import RunnerConfig
from trio_runner.runner.dialer import NetworkDialer
from trio_runner.runner.session import MOST_QUEUED, Session
from trio_runner.runner.shared import Shared
from trio_runner.scheduling import observer as events
from trio_runner.scheduling.ledger import AT_CAPACITY, OFFER_EXPIRED, SHUTTING_DOWN, Ledger
from trio_runner.scheduling.offers import Offer
from trio_runner.testing import MemoryLink, RecordingObserver, ScriptedExecutor, memory_link_pair
from trio_runner.transport.link import LinkSettings

MessageT = TypeVar("MessageT")
TRACE = f"00-{'a' * 32}-{'b' * 16}-01"
CODE = RawJson(b'{"code": "return 1", "nodeMode": "runOnceForAllItems", "items": []}')


class Stage:
    """A session under test, and the broker's end of its link."""

    def __init__(
        self, *, slots: int = 2, task_types: tuple[str, ...] = ("python",), limit: int = 10**6
    ) -> None:
        config = RunnerConfig(auth_token="t", max_concurrency=slots, task_timeout=60)
        self.executor = ScriptedExecutor(task_types)
        self.observer = RecordingObserver()
        self.ledger = Ledger(slots)
        self.registrations = 0
        self.shared = Shared(
            config, self.ledger, self.executor, NetworkDialer(), self.observer, self._count_registration
        )
        self.link_settings = LinkSettings(max_message=limit)

    def _count_registration(self) -> None:
        self.registrations += 1

    @asynccontextmanager
    async def session(self, name: str = "one", *, register: bool = True) -> AsyncIterator[BrokerEnd]:
        mine, theirs = memory_link_pair(BROKER_TO_RUNNER, RUNNER_TO_BROKER, settings=self.link_settings)
        session = Session(name, f"http://{name}", mine, self.shared)
        end = BrokerEnd(theirs, session)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(end.run)
            if register:
                theirs.send(m.RunnerRegistered())
            yield end
            nursery.cancel_scope.cancel()


class BrokerEnd:
    """The broker of a session: says what a test makes it say."""

    def __init__(self, link: MemoryLink[m.RunnerToBroker], session: Session) -> None:
        self.link = link
        self.session = session
        self.loss: LinkLost | None = None
        self.ended = trio.Event()

    async def run(self) -> None:
        self.loss = await self.session.run()
        self.ended.set()

    async def expect(self, kind: type[MessageT]) -> MessageT:
        """The next message must be of this kind."""
        with trio.fail_after(1000):
            message = await self.link.receive()
        assert isinstance(message, kind), message
        return message

    async def expect_nothing(self) -> None:
        with trio.move_on_after(0.001) as scope:
            message = await self.link.receive()
            raise AssertionError(message)
        assert scope.cancelled_caught

    async def accept(self, task_id: str, offer_id: str | None = None) -> None:
        """Take the next offer, or the one named, for a task."""
        if offer_id is None:
            offer_id = (await self.expect(m.TaskOffer)).offer_id
        self.link.send(m.TaskOfferAccept(task_id, offer_id))

    async def start(self, task_id: str, settings: RawJson = CODE) -> None:
        await self.accept(task_id)
        while not isinstance(message := await self.link.receive(), m.TaskAccepted):
            assert isinstance(message, m.TaskOffer), message
        self.link.send(m.TaskSettings(task_id, settings))

    async def next_reply(self) -> object:
        """The next message that is no offer."""
        while isinstance(message := await self.link.receive(), m.TaskOffer):
            pass
        return message

    async def expect_call(self) -> m.RpcRequest:
        call = await self.next_reply()
        assert isinstance(call, m.RpcRequest), call
        return call


def error_of(message: object) -> dict[str, object]:
    assert isinstance(message, m.TaskErrorReport), message
    error = message.error.decode()
    assert isinstance(error, dict)
    return error


@pytest.fixture
def stage() -> Stage:
    return Stage()


# --- registration and offers ---------------------------------------------------------------------------


async def test_it_says_who_it_is_when_asked(stage: Stage, autojump_clock: MockClock) -> None:
    async with stage.session(register=False) as broker:
        broker.link.send(m.InfoRequest())
        assert await broker.expect(m.RunnerInfo) == m.RunnerInfo("Python Task Runner", ("python",))


async def test_nothing_is_offered_before_the_registration(stage: Stage, autojump_clock: MockClock) -> None:
    async with stage.session(register=False) as broker:
        await broker.expect_nothing()
        broker.link.send(m.RunnerRegistered())
        await broker.expect(m.TaskOffer)
    assert stage.registrations == 1


async def test_a_second_registration_changes_nothing(stage: Stage, autojump_clock: MockClock) -> None:
    async with stage.session() as broker:
        await broker.expect(m.TaskOffer)
        await broker.expect(m.TaskOffer)
        broker.link.send(m.RunnerRegistered())
        await broker.expect_nothing()
    assert stage.registrations == 1


async def test_every_free_slot_is_offered_with_the_validity_of_the_protocol(
    stage: Stage, autojump_clock: MockClock
) -> None:
    async with stage.session() as broker:
        offers = [await broker.expect(m.TaskOffer) for _ in range(2)]
        await broker.expect_nothing()
    assert len({offer.offer_id for offer in offers}) == 2
    assert all(5000 <= offer.valid_for <= 5500 and offer.task_type == "python" for offer in offers)


async def test_expired_offers_are_renewed_by_themselves(stage: Stage, autojump_clock: MockClock) -> None:
    async with stage.session() as broker:
        first = {(await broker.expect(m.TaskOffer)).offer_id for _ in range(2)}
        began = trio.current_time()
        second = {(await broker.expect(m.TaskOffer)).offer_id for _ in range(2)}
        assert 4.9 <= trio.current_time() - began <= 5.4
    assert not first & second


async def test_an_idle_session_never_counts_as_stalled(stage: Stage, autojump_clock: MockClock) -> None:
    async with stage.session() as broker:
        with trio.move_on_after(600):
            while True:
                await broker.expect(m.TaskOffer)
        assert broker.loss is None
    assert not stage.observer.of(events.Stalled)


async def test_each_task_type_is_offered(autojump_clock: MockClock) -> None:
    stage = Stage(slots=1, task_types=("python", "resize"))
    async with stage.session() as broker:
        kinds = {(await broker.expect(m.TaskOffer)).task_type for _ in range(2)}
        await broker.expect_nothing()
    assert kinds == {"python", "resize"}


# --- accepts -------------------------------------------------------------------------------------------


async def test_an_accept_takes_the_slot_and_says_so(stage: Stage, autojump_clock: MockClock) -> None:
    async with stage.session() as broker:
        await broker.accept("t")
        await broker.expect(m.TaskOffer)
        assert await broker.expect(m.TaskAccepted) == m.TaskAccepted("t")
        assert stage.ledger.held == 1


async def test_an_unknown_offer_is_rejected_with_the_reason(stage: Stage, autojump_clock: MockClock) -> None:
    async with stage.session() as broker:
        await broker.accept("t", "no such offer")
        assert await broker.next_reply() == m.TaskRejected("t", OFFER_EXPIRED)
        assert stage.ledger.held == 0


async def test_an_offer_past_the_runners_own_deadline_is_rejected(
    stage: Stage, autojump_clock: MockClock
) -> None:
    async with stage.session() as broker:
        offer = await broker.expect(m.TaskOffer)
        await trio.sleep(offer.valid_for / 1000 - 0.05)  # the broker still believes in it: the latency buffer
        await broker.accept("t", offer.offer_id)
        assert await broker.next_reply() == m.TaskRejected("t", OFFER_EXPIRED)


async def test_an_offer_is_good_for_one_accept(stage: Stage, autojump_clock: MockClock) -> None:
    async with stage.session() as broker:
        offer = await broker.expect(m.TaskOffer)
        await broker.accept("t1", offer.offer_id)
        await broker.accept("t2", offer.offer_id)
        assert await broker.next_reply() == m.TaskAccepted("t1")
        assert await broker.next_reply() == m.TaskRejected("t2", OFFER_EXPIRED)


async def test_a_rejected_offer_is_replaced_at_once(stage: Stage, autojump_clock: MockClock) -> None:
    async with stage.session() as broker:
        offers = [await broker.expect(m.TaskOffer) for _ in range(2)]
        await broker.accept("t", offers[0].offer_id)
        await broker.accept("t", offers[1].offer_id)  # the same task twice: not booked twice
        assert await broker.next_reply() == m.TaskAccepted("t")
        assert isinstance(await broker.expect(m.TaskRejected), m.TaskRejected)
        await broker.expect(m.TaskOffer)
        assert stage.ledger.held == 1


# --- the life of a task --------------------------------------------------------------------------------


async def test_a_result_is_spliced_into_taskdone_and_the_slot_offered_in_the_same_instant(
    stage: Stage, autojump_clock: MockClock
) -> None:
    async with stage.session() as broker:
        await broker.start("t")
        run = await stage.executor.next_run()
        assert run.job.settings == CODE
        await trio.sleep(2.5)
        ended = trio.current_time()
        run.complete([{"json": {"a": "ä"}}])
        # The offer may go ahead of the result: short messages do not wait for payloads.
        both = {type(message): message for message in [await broker.link.receive() for _ in range(2)]}
        assert trio.current_time() == ended
        assert both[m.TaskDone] == m.TaskDone("t", RawJson('{"result":[{"json":{"a":"ä"}}]}'.encode()))
        assert m.TaskOffer in both
    [event] = stage.observer.of(events.TaskEnded)
    assert (event.outcome, event.seconds) == ("completed", 2.5)


async def test_prints_go_out_live_and_before_the_result(stage: Stage, autojump_clock: MockClock) -> None:
    async with stage.session() as broker:
        await broker.start("t")
        run = await stage.executor.next_run()
        run.print("one")
        first = await broker.next_reply()
        assert isinstance(first, m.RpcRequest)
        assert (first.task_id, first.name, first.params.decode()) == ("t", "logNodeOutput", ["'one'"])
        run.print("two")
        run.complete()
        kinds = [type(await broker.next_reply()) for _ in range(2)]
        assert kinds == [m.RpcRequest, m.TaskDone]
    assert [event.text for event in stage.observer.of(events.TaskPrinted)] == ["one", "two"]


async def test_a_failure_becomes_taskerror_with_message_and_description(
    stage: Stage, autojump_clock: MockClock
) -> None:
    async with stage.session() as broker:
        await broker.start("t")
        (await stage.executor.next_run()).fail("boom", description="ValueError in line 1")
        error = error_of(await broker.next_reply())
        assert (error["message"], error["description"]) == ("boom", "ValueError in line 1")


async def test_continue_on_fail_makes_a_result_of_a_failure(stage: Stage, autojump_clock: MockClock) -> None:
    async with stage.session() as broker:
        await broker.start("t")
        run = await stage.executor.next_run()
        run.start(continue_on_fail=True, workflow_name="orders", traceparent=TRACE)
        run.die(-11)
        done = await broker.next_reply()
        assert isinstance(done, m.TaskDone)
        assert json.loads(done.data.data) == {
            "result": [{"json": {"error": "Task subprocess exited with code -11"}}]
        }
    [started] = stage.observer.of(events.TaskStarted)
    assert (started.workflow_name, started.traceparent) == ("orders", TRACE)


async def test_a_task_that_runs_too_long_is_stopped_and_says_so(
    stage: Stage, autojump_clock: MockClock
) -> None:
    async with stage.session() as broker:
        await broker.start("t")
        run = await stage.executor.next_run()
        began = trio.current_time()
        error = error_of(await broker.next_reply())
        assert error["message"] == "Task execution timed out after 60 seconds"
        assert trio.current_time() - began == 60
        assert run.cancelled


async def test_settings_that_never_come_free_the_slot(stage: Stage, autojump_clock: MockClock) -> None:
    async with stage.session() as broker:
        await broker.accept("t")
        assert await broker.next_reply() == m.TaskAccepted("t")
        error = error_of(await broker.next_reply())
        assert "settings did not arrive" in str(error["message"])
        assert stage.ledger.held == 0
    assert stage.observer.of(events.TaskEnded)[0].outcome == "no-settings"


async def test_an_executor_that_breaks_costs_one_task(stage: Stage, autojump_clock: MockClock) -> None:
    async with stage.session() as broker:
        await broker.start("t")
        (await stage.executor.next_run()).end(RuntimeError("broken inside"))
        error = error_of(await broker.next_reply())
        assert error["message"] == "The runner could not run the task"
        assert stage.ledger.held == 0
        assert broker.loss is None
    assert "broken inside" in stage.observer.of(events.ExecutorTrouble)[0].why


async def test_a_result_that_the_connection_cannot_carry_becomes_a_clear_error(
    autojump_clock: MockClock,
) -> None:
    stage = Stage(limit=1000)
    async with stage.session() as broker:
        await broker.start("t")
        (await stage.executor.next_run()).complete("x" * 2000)
        error = error_of(await broker.next_reply())
        assert error["message"] == "The result is too large"
        assert "1000" in str(error["description"])
        await broker.start("next")


async def test_a_print_that_the_connection_cannot_carry_costs_neither_the_task_nor_the_rest(
    autojump_clock: MockClock,
) -> None:
    stage = Stage(limit=1000)
    async with stage.session() as broker:
        await broker.start("t")
        run = await stage.executor.next_run()
        run.print("x" * 2000)
        run.print("short")
        run.complete(1)
        [left_out] = (await broker.expect_call()).params.decode()
        assert "left out" in left_out
        assert "1000 bytes" in left_out
        assert (await broker.expect_call()).params.decode() == ["'short'"]
        assert isinstance(await broker.next_reply(), m.TaskDone)
    assert stage.observer.of(events.ExecutorTrouble) == []


async def test_a_slot_is_not_free_while_too_much_waits_to_be_written(autojump_clock: MockClock) -> None:
    stage = Stage(limit=10**9)
    async with stage.session() as broker:
        for task_id in ("large", "small"):
            await broker.start(task_id)
        large, small = [await stage.executor.next_run() for _ in range(2)]
        runner_end = broker.link.partner
        runner_end.stall()
        large.complete("x" * MOST_QUEUED)
        await trio.testing.wait_all_tasks_blocked()
        small.complete(1)
        await trio.testing.wait_all_tasks_blocked()
        assert stage.ledger.held == 2
        runner_end.resume()
        assert {type(await broker.next_reply()) for _ in range(2)} == {m.TaskDone}
        await trio.testing.wait_all_tasks_blocked()
        assert stage.ledger.held == 0
    ended = stage.observer.of(events.TaskEnded)
    assert {event.outcome for event in ended} == {"completed"}


async def test_a_slot_that_waits_for_the_link_is_free_at_the_end_of_the_grace(
    autojump_clock: MockClock,
) -> None:
    stage = Stage(limit=10**9)
    async with stage.session() as broker:
        await broker.start("large")
        broker.link.partner.stall()
        (await stage.executor.next_run()).complete("x" * MOST_QUEUED)
        await trio.testing.wait_all_tasks_blocked()
        broker.session.drain(trio.current_time() + 5)
        await trio.sleep(4.9)
        assert stage.ledger.held == 1
        await trio.sleep(0.2)
        assert stage.ledger.held == 0
    assert [event.outcome for event in stage.observer.of(events.TaskEnded)] == ["completed"]


async def test_a_slot_that_waits_for_a_link_that_is_lost_is_free_at_once(autojump_clock: MockClock) -> None:
    stage = Stage(limit=10**9)
    async with stage.session() as broker:
        await broker.start("large")
        broker.link.partner.stall()
        (await stage.executor.next_run()).complete("x" * MOST_QUEUED)
        await trio.testing.wait_all_tasks_blocked()
        assert stage.ledger.held == 1
        broker.link.partner.drop()
        await broker.ended.wait()
        assert stage.ledger.held == 0


# --- cancellation --------------------------------------------------------------------------------------


async def test_a_cancel_stops_a_running_task(stage: Stage, autojump_clock: MockClock) -> None:
    async with stage.session() as broker:
        await broker.start("t")
        run = await stage.executor.next_run()
        broker.link.send(m.TaskCancel("t", "not wanted"))
        assert error_of(await broker.next_reply())["message"] == "Task was cancelled"
        assert run.cancelled


async def test_a_cancel_straight_after_the_settings_is_not_lost(
    stage: Stage, autojump_clock: MockClock
) -> None:
    async with stage.session() as broker:
        await broker.accept("t")
        assert await broker.next_reply() == m.TaskAccepted("t")
        mine = broker.link.partner
        mine.deliver('{"type":"broker:tasksettings","taskId":"t","settings":{}}')
        mine.deliver('{"type":"broker:taskcancel","taskId":"t","reason":"changed my mind"}')
        assert error_of(await broker.next_reply())["message"] == "Task was cancelled"


async def test_a_cancel_before_the_settings_ends_the_task_and_late_settings_are_ignored(
    stage: Stage, autojump_clock: MockClock
) -> None:
    async with stage.session() as broker:
        await broker.accept("t")
        assert await broker.next_reply() == m.TaskAccepted("t")
        broker.link.send(m.TaskCancel("t", ""))
        assert error_of(await broker.next_reply())["message"] == "Task was cancelled"
        broker.link.send(m.TaskSettings("t", CODE))
        await broker.start("next")
        assert (await stage.executor.next_run()).job.task_id == "next"


async def test_a_second_cancel_and_one_for_a_finished_task_are_ignored(
    stage: Stage, autojump_clock: MockClock
) -> None:
    async with stage.session() as broker:
        await broker.start("t")
        run = await stage.executor.next_run()
        release = run.hold_cleanup()
        broker.link.send(m.TaskCancel("t", ""))
        await run.wait_cancelled()
        broker.link.send(m.TaskCancel("t", ""))
        await trio.testing.wait_all_tasks_blocked()
        release()
        error_of(await broker.next_reply())
        broker.link.send(m.TaskCancel("t", ""))
        broker.link.send(m.InfoRequest())
        assert isinstance(await broker.next_reply(), m.RunnerInfo)


async def test_a_cancel_with_continue_on_fail_is_no_result(stage: Stage, autojump_clock: MockClock) -> None:
    async with stage.session() as broker:
        await broker.start("t")
        run = await stage.executor.next_run()
        run.start(continue_on_fail=True)
        broker.link.send(m.TaskCancel("t", ""))
        assert error_of(await broker.next_reply())["message"] == "Task was cancelled"


async def test_the_slot_of_a_cancelled_task_is_free_only_when_nothing_of_it_is_left(
    autojump_clock: MockClock,
) -> None:
    stage = Stage(slots=1)
    async with stage.session() as broker:
        await broker.start("t")
        run = await stage.executor.next_run()
        release = run.hold_cleanup()
        broker.link.send(m.TaskCancel("t", ""))
        await run.wait_cancelled()
        await broker.expect_nothing()
        release()
        assert {type(await broker.link.receive()) for _ in range(2)} == {m.TaskErrorReport, m.TaskOffer}


# --- drain, loss, strange messages -----------------------------------------------------------------------


async def test_a_draining_session_offers_nothing_rejects_accepts_and_finishes_its_tasks(
    stage: Stage, autojump_clock: MockClock
) -> None:
    async with stage.session() as broker:
        spare = await broker.expect(m.TaskOffer)
        await broker.start("t")
        run = await stage.executor.next_run()
        broker.link.send(m.Drain())
        await broker.accept("late", spare.offer_id)
        assert await broker.next_reply() == m.TaskRejected("late", SHUTTING_DOWN)
        run.complete(1)
        await broker.expect(m.TaskDone)
        await broker.expect_nothing()
        with trio.move_on_after(100):
            await broker.ended.wait()
        assert broker.loss is None
    assert stage.observer.of(events.RunnerDraining) == [events.RunnerDraining("http://one", 1)]


async def test_a_lost_link_stops_the_tasks_and_frees_the_slots(
    stage: Stage, autojump_clock: MockClock
) -> None:
    async with stage.session() as broker:
        await broker.start("t")
        run = await stage.executor.next_run()
        broker.link.drop("cable cut")
        await broker.ended.wait()
        assert "cable cut" in str(broker.loss)
        assert run.cancelled
        assert stage.ledger.held == 0
        assert broker.session.tasks_stopped == 1
    assert stage.observer.of(events.TaskEnded)[0].outcome == "link-lost"


@pytest.mark.parametrize("clumsy", [False, True])
async def test_a_lost_link_frees_the_slot_of_a_handler_with_a_nursery(
    clumsy: bool, stage: Stage, autojump_clock: MockClock
) -> None:
    async def handler(task: HandlerTask) -> object:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.sleep_forever)
            try:
                await trio.sleep_forever()
            finally:
                if clumsy:
                    raise ValueError("cleaning up failed")

    stage.shared.executor = HandlerExecutor({"python": handler})
    async with stage.session() as broker:
        await broker.start("t")
        await trio.testing.wait_all_tasks_blocked()
        broker.link.drop()
        await broker.ended.wait()
        assert stage.ledger.held == 0
    assert stage.observer.of(events.TaskEnded)[0].outcome == "link-lost"
    troubles = [event.why for event in stage.observer.of(events.ExecutorTrouble)]
    assert troubles == (["task t: ValueError('cleaning up failed')"] if clumsy else [])


async def test_a_broker_that_never_registers_is_given_up(stage: Stage, autojump_clock: MockClock) -> None:
    async with stage.session(register=False) as broker:
        began = trio.current_time()
        await broker.ended.wait()
        assert trio.current_time() - began == 10
    assert "not registered" in stage.observer.of(events.Stalled)[0].why


async def test_what_cannot_be_begun_is_not_offered_and_that_is_no_fault_of_the_session(
    autojump_clock: MockClock,
) -> None:
    stage = Stage(task_types=("python", "other"))
    async with stage.session() as broker:
        offers = [await broker.expect(m.TaskOffer) for _ in range(4)]
        stage.executor.make_unavailable("python")
        stage.executor.make_unavailable("python", "other")
        await broker.accept("t", offers[0].offer_id)  # it was offered: it is taken, and waits
        assert isinstance(await broker.next_reply(), m.TaskAccepted)
        broker.link.send(m.TaskSettings("t", CODE))
        (await stage.executor.next_run()).complete(1)
        assert isinstance(await broker.next_reply(), m.TaskDone)
        await trio.sleep(100)
        await broker.expect_nothing()
        stage.executor.make_unavailable("python")
        stage.shared.slots_changed()
        again = [await broker.expect(m.TaskOffer) for _ in range(2)]
        assert {offer.task_type for offer in again} == {"other"}
        await trio.sleep(20)
        assert broker.loss is None
    assert stage.observer.of(events.Stalled) == []


class ForgetfulLedger(Ledger):
    """One with a fault: from some moment on it forgets to offer."""

    forgets = False

    def offers_due(
        self, session: str, now: float, *, available: Callable[[str], bool] = bool
    ) -> tuple[Offer, ...]:
        return () if self.forgets else super().offers_due(session, now, available=available)

    def next_deadline(self, session: str) -> float:
        return math.inf if self.forgets else super().next_deadline(session)


async def test_a_session_that_no_longer_offers_is_given_up(stage: Stage, autojump_clock: MockClock) -> None:
    ledger = stage.shared.ledger = stage.ledger = ForgetfulLedger(2)
    async with stage.session() as broker:
        for _ in range(2):
            await broker.expect(m.TaskOffer)
        ledger.forgets = True
        began = trio.current_time()
        await broker.ended.wait()
        assert 5 < trio.current_time() - began < 11
    [stalled] = stage.observer.of(events.Stalled)
    assert "no offer went out" in stalled.why


async def test_strange_messages_are_told_once_and_cost_nothing(
    stage: Stage, autojump_clock: MockClock
) -> None:
    async with stage.session() as broker:
        mine = broker.link.partner
        for _ in range(3):
            mine.deliver('{"type":"broker:newfangled","x":1}')
            mine.deliver('{"type":"broker:tasksettings"}')
            mine.deliver("not json")
            mine.deliver_binary()
        broker.link.send(m.RpcResponse("c", "t", "success"))
        broker.link.send(m.TaskSettings("nobody", CODE))
        broker.link.send(m.TaskCancel("nobody", ""))
        await broker.start("t")
        (await stage.executor.next_run()).complete(1)
        assert isinstance(await broker.next_reply(), m.TaskDone)
    whys = [event.why for event in stage.observer.of(events.MessageIgnored)]
    assert len(whys) == 2
    assert "'broker:newfangled'" in whys[0]
    assert "taskId" in whys[1]


@pytest.mark.parametrize("task_id", ["x" * 900, "\x01" * 150, "x" * 501], ids=["large", "escaped", "just"])
async def test_a_task_id_that_leaves_no_room_for_an_answer_is_told_and_costs_nothing(
    autojump_clock: MockClock, task_id: str
) -> None:
    stage = Stage(limit=1000)
    async with stage.session() as broker:
        broker.link.send(m.TaskOfferAccept(task_id, ""))
        broker.link.send(m.TaskOfferAccept(task_id, (await broker.expect(m.TaskOffer)).offer_id))
        await broker.start("t")
        (await stage.executor.next_run()).complete("x" * 2000)
        assert error_of(await broker.next_reply())["message"] == "The result is too large"
        assert broker.loss is None
    [ignored] = stage.observer.of(events.MessageIgnored)
    assert "task id" in ignored.why
    assert len(ignored.why) < 200


# --- several brokers ------------------------------------------------------------------------------------


async def test_two_brokers_share_the_slots_and_admission_settles_it(
    autojump_clock: MockClock,
) -> None:
    stage = Stage(slots=1)
    async with stage.session("a") as first, stage.session("b") as second:
        mine, yours = await first.expect(m.TaskOffer), await second.expect(m.TaskOffer)
        await first.accept("ta", mine.offer_id)
        assert await first.next_reply() == m.TaskAccepted("ta")
        await second.accept("tb", yours.offer_id)
        assert await second.next_reply() == m.TaskRejected("tb", AT_CAPACITY)
        await second.expect_nothing()
        first.link.send(m.TaskSettings("ta", CODE))
        (await stage.executor.next_run()).complete(1)
        ended = trio.current_time()
        await second.expect(m.TaskOffer)
        assert trio.current_time() == ended


async def test_the_loss_of_one_broker_gives_its_slots_to_the_other(
    autojump_clock: MockClock,
) -> None:
    stage = Stage(slots=1)
    async with stage.session("a") as first, stage.session("b") as second:
        stale = await second.expect(m.TaskOffer)
        await first.start("t")
        await stage.executor.next_run()
        await second.accept("tb", stale.offer_id)
        assert isinstance(await second.next_reply(), m.TaskRejected)
        first.link.drop()
        await first.ended.wait()
        await second.expect(m.TaskOffer)


async def test_who_took_a_task_last_is_offered_the_next_slot_last(
    autojump_clock: MockClock,
) -> None:
    stage = Stage(slots=1)
    async with stage.session("a") as first, stage.session("b"):
        await first.start("t")
        order = [session.statistics().broker for session in stage.shared.sessions]
        assert order == ["http://b", "http://a"]


async def test_a_cancelled_session_leaves_nothing(stage: Stage, autojump_clock: MockClock) -> None:
    async with stage.session() as broker:
        await broker.start("t")
        run = await stage.executor.next_run()
    assert run.cancelled
    assert stage.ledger.held == 0
    assert stage.shared.sessions == []
