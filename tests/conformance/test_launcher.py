"""The broker towards a launcher, which poses as a runner until there is work: sections 1 and 2."""

from __future__ import annotations

import pytest
import trio

from .daemon import BrokerProcess
from .fake_broker import fresh_id
from .fake_peers import open_fake_requester, open_fake_runner


@pytest.mark.row(
    "2",
    "launcher: offer with validFor −1, accept → runner:taskdeferred; the real runner's offer gets the"
    " request",
)
async def test_a_launcher_defers_to_the_real_runner(broker: BrokerProcess, task_type: str) -> None:
    async with open_fake_requester(broker.port) as requester:
        async with open_fake_runner(broker.port, task_type, runner_id=fresh_id("launcher")) as launcher:
            offer_id = launcher.offer(task_type, valid_for=-1)
            await launcher.sync()
            request_id = requester.request(task_type)
            deferred = await launcher.asked(offer_id)
            launcher.answer("taskdeferred", deferred)
            await launcher.sync()
        await requester.peer.nothing(within=0.2)
        async with open_fake_runner(broker.port, task_type, runner_id=fresh_id("runner")) as runner:
            task_id = await runner.take(task_type)
            assert await requester.ready(request_id) == task_id
            requester.send("tasksettings", task_id, settings={"n": 1})
            assert await runner.settings(task_id) == {"n": 1}
            runner.done(task_id, "by the real one")
            assert (await requester.end(task_id))["data"] == {"result": "by the real one"}


@pytest.mark.row("2", "launcher: a request that came before it is offered to it, too")
async def test_a_launcher_that_comes_later(broker: BrokerProcess, task_type: str) -> None:
    async with open_fake_requester(broker.port) as requester:
        request_id = requester.request(task_type)
        await requester.sync()
        async with open_fake_runner(broker.port, task_type) as launcher:
            launcher.answer("taskdeferred", await launcher.asked(launcher.offer(task_type, valid_for=-1)))
            async with open_fake_runner(broker.port, task_type) as runner:
                task_id = await runner.take(task_type)
                assert await requester.ready(request_id) == task_id


@pytest.mark.row(
    "2",
    "launcher: an offer is used up by the request it deferred; the next one needs a new offer",
)
async def test_a_deferred_request_does_not_go_round(broker: BrokerProcess, task_type: str) -> None:
    async with (
        open_fake_requester(broker.port) as requester,
        open_fake_runner(broker.port, task_type) as launcher,
    ):
        requester.request(task_type)
        launcher.answer("taskdeferred", await launcher.asked(launcher.offer(task_type, valid_for=-1)))
        requester.request(task_type)
        await launcher.peer.nothing("broker:taskofferaccept", within=0.3)


@pytest.mark.row("2", "after taskdeferred the request waits again with a fresh time limit")
async def test_a_deferred_request_has_a_fresh_time_limit(brisk: BrokerProcess, task_type: str) -> None:
    async with (
        open_fake_requester(brisk.port) as requester,
        open_fake_runner(brisk.port, task_type) as launcher,
    ):
        request_id = requester.request(task_type)
        await requester.sync()
        await trio.sleep(1.0)  # of the 2.5 s that a request waits: the passing of time is what is tested
        launcher.answer("taskdeferred", await launcher.asked(launcher.offer(task_type, valid_for=-1)))
        deferred = trio.current_time()
        expired = await requester.peer.next("broker:requestexpired", requestId=request_id)
        assert expired["reason"] == "timeout"
        assert trio.current_time() - deferred >= 2.5


@pytest.mark.row("2", "launcher: its connection ends after it deferred; the request stays")
async def test_a_deferred_request_outlives_the_launcher(broker: BrokerProcess, task_type: str) -> None:
    async with open_fake_requester(broker.port) as requester:
        async with open_fake_runner(broker.port, task_type) as launcher:
            request_id = requester.request(task_type)
            launcher.answer("taskdeferred", await launcher.asked(launcher.offer(task_type, valid_for=-1)))
            await launcher.sync()
            launcher.peer.drop()
            await launcher.peer.wait_over()
        async with open_fake_runner(broker.port, task_type) as runner:
            task_id = await runner.take(task_type)
            assert await requester.ready(request_id) == task_id


@pytest.mark.row("2", "launcher: several requests, one deferral each, served in their order")
async def test_deferred_requests_keep_their_order(broker: BrokerProcess, task_type: str) -> None:
    async with (
        open_fake_requester(broker.port) as requester,
        open_fake_runner(broker.port, task_type) as launcher,
    ):
        requests = [requester.request(task_type) for _ in range(3)]
        await requester.sync()
        launcher.answer("taskdeferred", await launcher.asked(launcher.offer(task_type, valid_for=-1)))
        await launcher.sync()
        async with open_fake_runner(broker.port, task_type) as runner:
            tasks = [await runner.take(task_type) for _ in range(3)]
            ready = {request_id: await requester.ready(request_id) for request_id in requests}
            assert sorted(ready.values()) == sorted(tasks)
