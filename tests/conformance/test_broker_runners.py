"""The broker towards runners: handshake, offers, odd messages, replaced and lost connections."""

from __future__ import annotations

import pytest
import trio

from .daemon import BrokerProcess, open_broker_process
from .fake_broker import fresh_id
from .fake_peers import FakeRunner, begin, open_fake_requester, open_fake_runner, open_socket
from .test_runner_tolerance import ODD_TEXTS

# Odd messages for a broker: the same texts under the prefix that runners and requesters use.
_RUNNER_TEXTS = {name: text.replace(b'"broker:', b'"runner:') for name, text in ODD_TEXTS.items()}
ODD_RUNNER_TEXTS = _RUNNER_TEXTS | {
    "info-nothing": b'{"type": "runner:info"}',
    "info-types": b'{"type": "runner:info", "name": 7, "types": "python"}',
    "offer-nothing": b'{"type": "runner:taskoffer"}',
    "offer-text": b'{"type": "runner:taskoffer", "offerId": "o", "taskType": "t", "validFor": "long"}',
    "offer-negative": b'{"type": "runner:taskoffer", "offerId": "o", "taskType": "t", "validFor": -7}',
    "offer-huge": b'{"type": "runner:taskoffer", "offerId": "o", "taskType": "t", "validFor": 1e400}',
    "accepted-unknown": b'{"type": "runner:taskaccepted", "taskId": "unknown"}',
    "rejected-unknown": b'{"type": "runner:taskrejected", "taskId": "unknown", "reason": "r"}',
    "deferred-unknown": b'{"type": "runner:taskdeferred", "taskId": "unknown"}',
    "done-unknown": b'{"type": "runner:taskdone", "taskId": "unknown", "data": {"result": 1}}',
    "error-unknown": b'{"type": "runner:taskerror", "taskId": "unknown", "error": {"message": "m"}}',
    "rpc-unknown": b'{"type": "runner:rpc", "callId": "c", "taskId": "unknown", "name": "n", "params": []}',
}


@pytest.mark.row("2", "broker:inforequest is the first message; broker:runnerregistered answers runner:info")
async def test_the_handshake(broker: BrokerProcess) -> None:
    async with open_socket(broker.port, "/runners", fresh_id("runner")) as peer:
        assert await peer.next() == {"type": "broker:inforequest"}
        await peer.nothing(within=0.2)
        peer.send({"type": "runner:info", "name": "Fake", "types": ["a-type"]})
        assert await peer.next() == {"type": "broker:runnerregistered"}


@pytest.mark.row("2", "no offer of a runner that is not registered is taken")
async def test_an_offer_before_registration_is_not_taken(broker: BrokerProcess, task_type: str) -> None:
    async with (
        open_socket(broker.port, "/runners", fresh_id("runner")) as peer,
        open_fake_requester(broker.port) as requester,
    ):
        runner = FakeRunner(peer)
        await peer.next("broker:inforequest")
        runner.offer(task_type)
        request_id = requester.request(task_type)
        await peer.nothing("broker:taskofferaccept", within=0.3)
        peer.send({"type": "runner:info", "name": "Fake", "types": [task_type]})
        await peer.next("broker:runnerregistered")
        task_id = await runner.take(task_type)
        assert await requester.ready(request_id) == task_id


@pytest.mark.row("1", "from a runner: unknown types and fields, truncated JSON, wrong types are tolerated")
@pytest.mark.parametrize("name", ODD_RUNNER_TEXTS)
async def test_an_odd_text_of_a_runner_does_no_harm(broker: BrokerProcess, task_type: str, name: str) -> None:
    async with (
        open_fake_runner(broker.port, task_type) as runner,
        open_fake_requester(broker.port) as requester,
    ):
        runner.peer.send_text(ODD_RUNNER_TEXTS[name])
        task_id = await begin(requester, runner, task_type)
        runner.peer.send_text(ODD_RUNNER_TEXTS[name])
        runner.done(task_id)
        assert (await requester.end(task_id))["type"] == "broker:taskdone"
    assert broker.daemon.code is None
    assert "Traceback" not in broker.daemon.output


@pytest.mark.row("1", "from a runner: binary frames are tolerated")
async def test_a_binary_frame_of_a_runner_does_no_harm(broker: BrokerProcess, task_type: str) -> None:
    async with (
        open_fake_runner(broker.port, task_type) as runner,
        open_fake_requester(broker.port) as requester,
    ):
        runner.peer.send_binary(b'{"type": "runner:taskoffer"}')
        task_id = await begin(requester, runner, task_type)
        runner.done(task_id)
        assert (await requester.end(task_id))["type"] == "broker:taskdone"


@pytest.mark.row("1", "from a runner: text that is no UTF-8 costs its connection at most, nobody else's")
async def test_bad_utf8_of_a_runner_harms_nobody_else(broker: BrokerProcess, task_type: str) -> None:
    async with (
        open_fake_runner(broker.port, fresh_id("type")) as bad,
        open_fake_runner(broker.port, task_type) as runner,
        open_fake_requester(broker.port) as requester,
    ):
        bad.peer.send_text(b"\xff\xfe")
        task_id = await begin(requester, runner, task_type)
        runner.done(task_id)
        assert (await requester.end(task_id))["type"] == "broker:taskdone"


@pytest.mark.row("2", "validFor: an expired offer is not taken")
async def test_an_expired_offer_is_not_taken(broker: BrokerProcess, task_type: str) -> None:
    async with (
        open_fake_runner(broker.port, task_type) as runner,
        open_fake_requester(broker.port) as requester,
    ):
        old = runner.offer(task_type, valid_for=150)
        await runner.sync()
        await trio.sleep(0.3)  # the passing of its life is what is tested
        requester.request(task_type)
        await runner.peer.nothing("broker:taskofferaccept", within=0.3)
        new = runner.offer(task_type)
        accept = await runner.peer.next("broker:taskofferaccept")
        assert accept["offerId"] == new != old


@pytest.mark.row("2", "validFor −1: the offer never expires")
async def test_a_lasting_offer_is_taken(brisk: BrokerProcess, task_type: str) -> None:
    async with (
        open_fake_runner(brisk.port, task_type) as runner,
        open_fake_requester(brisk.port) as requester,
    ):
        offer_id = runner.offer(task_type, valid_for=-1)
        await trio.sleep(0.4)
        requester.request(task_type)
        assert await runner.asked(offer_id)


@pytest.mark.row("1", "a connection with the same runner id replaces the older one, whose tasks fail at once")
async def test_the_same_id_replaces(broker: BrokerProcess, task_type: str) -> None:
    name = fresh_id("twin")
    async with (
        open_fake_runner(broker.port, task_type, runner_id=name) as older,
        open_fake_requester(broker.port) as requester,
    ):
        running = await begin(requester, older, task_type)
        older.offer(task_type)
        await older.sync()
        async with open_fake_runner(broker.port, task_type, runner_id=name) as newer:
            await older.peer.wait_over()
            assert (await requester.end(running))["type"] == "broker:taskerror"
            task_id = await begin(requester, newer, task_type)
            newer.done(task_id)
            assert (await requester.end(task_id))["type"] == "broker:taskdone"


@pytest.mark.row("1", "a connection ends: the broker fails its running tasks at once")
@pytest.mark.parametrize("how", ["drop", "close", "hang_up"])
async def test_a_lost_runner_fails_its_tasks(broker: BrokerProcess, task_type: str, how: str) -> None:
    async with (
        open_fake_runner(broker.port, task_type) as runner,
        open_fake_requester(broker.port) as requester,
    ):
        task_id = await begin(requester, runner, task_type)
        getattr(runner.peer, how)()
        end = await requester.end(task_id)
        assert end["type"] == "broker:taskerror"
        assert end["error"]["message"]
        assert "description" in end["error"]


@pytest.mark.row("1", "a connection ends before it answered an accept: the request goes to another runner")
async def test_a_runner_lost_before_its_answer(broker: BrokerProcess, task_type: str) -> None:
    async with (
        open_fake_runner(broker.port, task_type) as lost,
        open_fake_requester(broker.port) as requester,
    ):
        request_id = requester.request(task_type)
        await lost.asked(lost.offer(task_type))
        async with open_fake_runner(broker.port, task_type) as other:
            other.offer(task_type)
            await other.sync()
            lost.peer.drop()
            task_id = await other.asked()
            other.answer("taskaccepted", task_id)
            assert await requester.ready(request_id) == task_id


@pytest.mark.row("1", "a connection ends between accept and settings: the requester is told at once")
async def test_a_runner_lost_before_the_settings(broker: BrokerProcess, task_type: str) -> None:
    async with (
        open_fake_runner(broker.port, task_type) as runner,
        open_fake_requester(broker.port) as requester,
    ):
        request_id = requester.request(task_type)
        await runner.take(task_type)
        task_id = await requester.ready(request_id)
        runner.peer.drop()
        assert (await requester.end(task_id))["type"] == "broker:taskerror"


@pytest.mark.row("3", "the offers of a lost connection are void")
async def test_offers_of_a_lost_runner_are_void(broker: BrokerProcess, task_type: str) -> None:
    async with (
        open_fake_requester(broker.port) as requester,
        open_fake_runner(broker.port, task_type) as other,
    ):
        async with open_fake_runner(broker.port, task_type) as lost:
            lost.offer(task_type)
            await lost.sync()
            lost.peer.drop()
            await lost.peer.wait_over()
        request_id = requester.request(task_type)
        task_id = await other.take(task_type)
        assert await requester.ready(request_id) == task_id


@pytest.mark.row("1", "the broker pings, and drops a connection that has not answered the previous ping")
async def test_a_deaf_runner_is_dropped(task_type: str) -> None:
    async with (
        open_broker_process(heartbeat="1.5") as broker,
        open_fake_runner(broker.port, task_type) as deaf,
        open_fake_runner(broker.port, task_type) as healthy,
        open_fake_requester(broker.port) as requester,
    ):
        task_id = await begin(requester, deaf, task_type)
        deaf.peer.deaf = True
        assert (await requester.end(task_id))["type"] == "broker:taskerror"
        await healthy.sync()
        assert not healthy.peer.over.is_set()
        assert not requester.peer.over.is_set()


@pytest.mark.row("1", "the upgraded connection: pings of a client are answered")
async def test_pings_are_answered(broker: BrokerProcess, task_type: str) -> None:
    async with (
        open_fake_runner(broker.port, task_type) as runner,
        open_fake_requester(broker.port) as requester,
    ):
        await runner.peer.ping()
        await requester.peer.ping()
