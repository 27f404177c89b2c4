"""Runners and requesters on their links, in virtual time."""

from __future__ import annotations

import pytest
import trio
import trio.testing

from trio_runner.protocol import messages as m
from trio_runner.protocol.raw_json import RawJson
from trio_runner.scheduling.matching.limits import MatchingLimits
from trio_runner.scheduling.observer import (
    MessageIgnored,
    PeerJoined,
    PeerLeft,
    PeerRefused,
    RequestGivenUp,
)
from trio_runner.transport.link import LinkSettings

from .fake_links import open_house

DATA = RawJson(b'{"result":1}')


async def settle() -> None:
    """Let everything happen that can happen now."""
    await trio.testing.wait_all_tasks_blocked()


# --- registration -----------------------------------------------------------------------------------


async def test_a_runner_is_asked_who_it_is_and_registered() -> None:
    async with open_house() as house:
        await house.runner("r1", "python", "javascript")
        [joined] = house.observer.of(PeerJoined)
        assert joined == PeerJoined("runner", "r1", "Fake", ("python", "javascript"))
        assert house.exchange.statistics().runners == 1


async def test_a_runner_that_does_not_say_who_it_is_is_turned_away(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with open_house() as house:
        visitor = house.runner_link("r1")
        await visitor.next(m.InfoRequest)
        begun = trio.current_time()
        assert "code 1008" in await visitor.end()
        assert trio.current_time() - begun == pytest.approx(10)
        [refused] = house.observer.of(PeerRefused)
        assert "did not answer broker:inforequest within 10 s" in refused.why
        assert house.exchange.statistics().runners == 0
        assert house.observer.of(PeerLeft) == []


async def test_what_comes_before_registration_is_ignored_once_per_kind() -> None:
    async with open_house() as house:
        requester = await house.requester()
        requester.send(m.TaskRequest("request", "python"))
        visitor = house.runner_link("r1")
        await visitor.next(m.InfoRequest)
        for number in range(3):
            visitor.send(m.TaskOffer(f"o{number}", "python", 5000))
        await settle()
        visitor.link.partner.deliver('{"type": "runner:unknown"}')
        visitor.link.partner.deliver("nonsense")
        visitor.send(m.RunnerInfo("Fake", ("python",)))
        await visitor.next(m.RunnerRegistered)
        whys = [event.why for event in house.observer.of(MessageIgnored)]
        assert whys == [
            "runner:taskoffer before the runner is registered",
            "message type 'runner:unknown' is none that it may send",
            whys[-1],
        ]
        assert "not a JSON object" in whys[-1]
        visitor.send(m.TaskOffer("good", "python", 5000))
        assert (await visitor.next(m.TaskOfferAccept)).offer_id == "good"


# --- bad messages -----------------------------------------------------------------------------------

HOSTILE = [
    "",
    "nonsense",
    "[]",
    "null",
    "{}",
    '{"type": 7}',
    '{"type": "runner:taskoffer"}',
    '{"type": "runner:taskoffer", "offerId": "o", "taskType": "python", "validFor": "long"}',
    '{"type": "runner:taskoffer", "offerId": "o", "taskType": "python", "validFor": 1e999}',
    '{"type": "requester:taskrequest", "requestId": 7, "taskType": "python"}',
    '{"type": "broker:drain"}',
    '{"type": "unheard:of"}',
    '{"type": "' + "x" * 100_000 + '"}',
    '{"type": "runner:info", "name": "n", "types": "python"}',
    '{"type": "runner:taskdone", "taskId": "t"}',
    '{"type": "runner:rpc", "callId": "c", "taskId": "t", "name": "\ud83d", "params": []}',
]


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
@pytest.mark.parametrize("role", ["runner", "requester"])
async def test_a_bad_message_is_told_once_and_harms_nobody(role: str, text: str) -> None:
    async with open_house() as house:
        bad = await house.runner("bad") if role == "runner" else await house.requester("bad")
        runner, requester = await house.runner("good"), await house.requester("good")
        for _ in range(3):
            bad.far.deliver(text)
        task_id = await house.running(runner, requester)
        runner.send(m.TaskDone(task_id, DATA))
        await requester.next(m.TaskResult)
        [ignored] = house.observer.of(MessageIgnored)
        assert ignored.peer == f"{role} bad"
        assert len(ignored.why) < 1000
        bad.far.deliver_binary()
        await settle()
        assert len(house.observer.of(MessageIgnored)) == 2
        assert bad.link.ended is None


async def test_a_message_of_the_other_direction_is_ignored() -> None:
    async with open_house() as house:
        runner, requester = await house.runner(), await house.requester()
        runner.send(m.TaskRequest("r", "python"))
        requester.send(m.TaskOffer("o", "python", 5000))
        await settle()
        assert {(event.peer, event.why) for event in house.observer.of(MessageIgnored)} == {
            ("runner r", "message type 'requester:taskrequest' is none that it may send"),
            ("requester q", "message type 'runner:taskoffer' is none that it may send"),
        }
        assert house.exchange.statistics().requests == 0


async def test_a_peer_with_ever_new_faults_is_told_of_so_many_times() -> None:
    async with open_house() as house:
        runner = await house.runner()
        for number in range(1000):
            runner.far.deliver(f'{{"type": "new:{number}"}}')
        await settle()
        events = house.observer.of(MessageIgnored)
        assert len(events) == 21
        assert "too many different faults" in events[-1].why


async def test_nonsense_is_a_sign_of_life(autojump_clock: trio.testing.MockClock) -> None:
    async with open_house(MatchingLimits(max_strikes=2)) as house:
        runner, requester = await house.runner(), await house.requester()
        for number in range(3):
            runner.send(m.TaskOffer(f"o{number}", "python", -1))
        requester.send(m.TaskRequest("request", "python"))
        await runner.next(m.TaskOfferAccept)
        await runner.next(m.TaskOfferAccept)
        runner.far.deliver("nonsense")
        await runner.next(m.TaskOfferAccept)
        assert house.observer.of(PeerLeft) == []
        assert "code 1008" in await runner.end()


# --- relaying ---------------------------------------------------------------------------------------


async def test_payloads_pass_as_they_are() -> None:
    odd = RawJson(b'{"a": [1.0, 1e2,  "\\ud83d"], "big": 123456789012345678901234567890}')
    async with open_house() as house:
        runner, requester = await house.runner(), await house.requester()
        runner.send(m.TaskOffer("offer", "python", 5000))
        requester.send(m.TaskRequest("request", "python"))
        task_id = (await runner.next(m.TaskOfferAccept)).task_id
        runner.send(m.TaskAccepted(task_id))
        await requester.next(m.TaskReady)
        requester.send(m.RequesterTaskSettings(task_id, odd))
        assert (await runner.next(m.TaskSettings)).settings == odd
        runner.send(m.RpcRequest("c", task_id, "f", odd))
        assert (await requester.next(m.BrokerRpcRequest)).params == odd
        requester.send(m.RequesterRpcResponse(task_id, "c", "error", odd))
        answer = await runner.next(m.RpcResponse)
        assert (answer.status, answer.data) == ("error", odd)
        runner.send(m.TaskDone(task_id, odd))
        assert (await requester.next(m.TaskResult)).data == odd


async def test_a_message_that_outgrows_the_limit_on_its_way_ends_the_peer_that_waits_for_it() -> None:
    """A call without data is longer when passed on, by the data that is filled in."""
    async with open_house(runner_link=LinkSettings(max_message=102)) as house:
        runner, requester = await house.runner(), await house.requester()
        task_id = await house.running(runner, requester)
        frame = f'{{"type":"requester:rpcresponse","taskId":"{task_id}","callId":"c","status":"success"}}'
        assert len(frame) <= 102
        requester.far.deliver(frame)
        assert "code 1009" in await runner.end()
        await requester.next(m.TaskFailure)
        assert any("larger than the limit" in event.why for event in house.observer.of(MessageIgnored))


# --- time limits ------------------------------------------------------------------------------------


async def test_every_limit_is_kept_in_its_time(autojump_clock: trio.testing.MockClock) -> None:
    async with open_house() as house:
        runner, requester = await house.runner(), await house.requester()
        begun = trio.current_time()
        runner.send(m.TaskOffer("one", "python", 5000))
        runner.send(m.TaskOffer("two", "python", 5000))
        requester.send(m.TaskRequest("request", "python"))
        await runner.next(m.TaskOfferAccept)
        task_id = (await runner.next(m.TaskOfferAccept)).task_id
        assert trio.current_time() - begun == pytest.approx(2)
        runner.send(m.TaskAccepted(task_id))
        await requester.next(m.TaskReady)
        assert (await runner.next(m.TaskCancel)).task_id == task_id
        assert (await requester.next(m.TaskFailure)).error.decode()["kind"] == "no-settings"
        assert trio.current_time() - begun == pytest.approx(4)
        task_id = await house.running(runner, requester)
        assert (await requester.next(m.TaskFailure)).error.decode()["kind"] == "timeout"
        assert (await runner.next(m.TaskCancel)).task_id == task_id
        assert trio.current_time() - begun == pytest.approx(304)
        requester.send(m.TaskRequest("in vain", "python"))
        assert await requester.next(m.RequestExpiry) == m.RequestExpiry("in vain", "timeout")
        assert trio.current_time() - begun == pytest.approx(364)


async def test_an_earlier_deadline_wakes_the_watch_in_time(autojump_clock: trio.testing.MockClock) -> None:
    """A long limit is being waited for when a shorter one comes up."""
    async with open_house() as house:
        runner, requester = await house.runner(), await house.requester()
        await house.running(runner, requester)
        await trio.sleep(100)
        begun = trio.current_time()
        requester.send(m.TaskRequest("other", "nobody's"))
        expiry = await requester.next(m.RequestExpiry)
        assert expiry.reason == "no-runner"
        assert trio.current_time() - begun == pytest.approx(60)


# --- lost and replaced ------------------------------------------------------------------------------


async def test_a_lost_runner_fails_its_tasks_at_once() -> None:
    async with open_house() as house:
        runner, requester = await house.runner(), await house.requester()
        await house.running(runner, requester)
        runner.link.drop("cable cut")
        error = (await requester.next(m.TaskFailure)).error.decode()
        assert error["kind"] == "runner-lost" and "cable cut" in error["description"]
        assert house.observer.of(PeerLeft) == [PeerLeft("runner", "r", "cable cut", 1)]


async def test_a_lost_requester_has_its_tasks_cancelled() -> None:
    async with open_house() as house:
        runner, requester = await house.runner(), await house.requester()
        task_id = await house.running(runner, requester)
        requester.send(m.TaskRequest("waiting", "python"))
        await settle()
        requester.link.drop("cable cut")
        assert (await runner.next(m.TaskCancel)).task_id == task_id
        assert house.observer.of(PeerLeft) == [PeerLeft("requester", "q", "cable cut", 1)]
        [given_up] = house.observer.of(RequestGivenUp)
        assert (given_up.request_id, given_up.reason) == ("waiting", "requester-left")
        assert (given_up.runners, given_up.running) == (1, 1)
        assert house.exchange.statistics().waiting == {}


async def test_the_same_id_again_replaces_the_older_connection() -> None:
    async with open_house() as house:
        older, requester = await house.runner("same"), await house.requester()
        await house.running(older, requester)
        newer = await house.runner("same")
        await requester.next(m.TaskFailure)
        assert "replaced" in await older.end()
        await settle()
        assert house.exchange.statistics().runners == 1
        await house.running(newer, requester)
        again = await house.requester()
        assert "replaced" in await requester.end()
        await newer.next(m.TaskCancel)
        await house.running(newer, again)
        assert len(house.observer.of(PeerLeft)) == 2


async def test_a_newcomer_that_does_not_register_replaces_nobody() -> None:
    async with open_house() as house:
        runner, requester = await house.runner("same"), await house.requester()
        task_id = await house.running(runner, requester)
        newcomer = house.runner_link("same")
        await newcomer.next(m.InfoRequest)
        newcomer.link.drop()
        await settle()
        runner.send(m.TaskDone(task_id, DATA))
        await requester.next(m.TaskResult)


async def test_messages_on_their_way_when_a_runner_is_dropped_mean_nothing(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with open_house(MatchingLimits(max_strikes=1)) as house:
        runner, requester = await house.runner(), await house.requester()
        runner.far.stall()
        runner.send(m.TaskOffer("offer", "python", 5000))
        requester.send(m.TaskRequest("request", "python"))
        await trio.sleep(3)
        runner.send(m.TaskOffer("late", "python", 5000))
        runner.far.deliver("nonsense")
        await settle()
        assert house.exchange.statistics().open_offers == {}
        assert house.exchange.statistics().waiting == {"python": 1}


async def test_a_runner_that_does_not_read_is_dropped_and_its_tasks_fail() -> None:
    async with open_house(runner_link=LinkSettings(max_queued=1000)) as house:
        runner, requester = await house.runner(), await house.requester()
        task_id = await house.running(runner, requester)
        runner.far.stall()
        for _ in range(3):
            requester.send(m.RequesterRpcResponse(task_id, "c", "success", RawJson.of("x" * 900)))
        error = (await requester.next(m.TaskFailure)).error.decode()
        assert "does not read" in error["description"]
        [left] = house.observer.of(PeerLeft)
        assert "does not read" in left.why


async def test_being_cancelled_closes_every_link_with_going_away() -> None:
    visitors = []
    async with open_house() as house:
        visitors = [await house.runner(), await house.requester(), house.runner_link("half")]
        await visitors[2].next(m.InfoRequest)
        house.nursery.cancel_scope.cancel()
    for visitor in visitors:
        assert await visitor.end() == "memory:b closed the connection: code 1001 (broker is shutting down)"
