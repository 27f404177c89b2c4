"""Matching requests with offers: section 2 of the protocol's document, below the tables."""

from __future__ import annotations

import pytest
import trio

from .daemon import BrokerProcess
from .fake_peers import open_fake_requester, open_fake_runner


@pytest.mark.row(
    "2",
    "one task, start to end: requester:taskrequest → broker:taskofferaccept → runner:taskaccepted →"
    " broker:taskready → requester:tasksettings → broker:tasksettings → runner:taskdone → broker:taskdone",
)
@pytest.mark.parametrize("offer_first", [True, False])
async def test_a_task_from_start_to_end(broker: BrokerProcess, task_type: str, offer_first: bool) -> None:
    settings = {"code": "return 'ü'", "items": [{"json": {"n": 2**70, "x": None}}], "deep": [[[{}]]]}
    async with (
        open_fake_runner(broker.port, task_type) as runner,
        open_fake_requester(broker.port) as requester,
    ):
        if offer_first:
            offer_id = runner.offer(task_type)
            await runner.sync()
            request_id = requester.request(task_type)
        else:
            request_id = requester.request(task_type)
            await requester.sync()
            offer_id = runner.offer(task_type)
        accept = await runner.peer.next()
        task_id = accept["taskId"]
        assert accept == {"type": "broker:taskofferaccept", "taskId": task_id, "offerId": offer_id}
        await requester.peer.nothing(within=0.1)
        runner.answer("taskaccepted", task_id)
        ready = await requester.peer.next()
        assert ready == {"type": "broker:taskready", "requestId": request_id, "taskId": task_id}
        requester.send("tasksettings", task_id, settings=settings)
        sent = await runner.peer.next()
        assert sent == {"type": "broker:tasksettings", "taskId": task_id, "settings": settings}
        runner.done(task_id, [{"json": {"ü": 1}}])
        done = await requester.peer.next()
        assert done == {
            "type": "broker:taskdone",
            "taskId": task_id,
            "data": {"result": [{"json": {"ü": 1}}]},
        }


@pytest.mark.row("2", "first come, first served: requests in their order")
async def test_requests_are_served_in_order(broker: BrokerProcess, task_type: str) -> None:
    async with (
        open_fake_runner(broker.port, task_type) as runner,
        open_fake_requester(broker.port) as requester,
    ):
        requests = [requester.request(task_type) for _ in range(5)]
        for request_id in requests:
            task_id = await runner.take(task_type)
            ready = await requester.peer.next("broker:taskready")
            assert (ready["requestId"], ready["taskId"]) == (request_id, task_id)


@pytest.mark.row("2", "first come, first served: offers in their order")
async def test_offers_are_taken_in_order(broker: BrokerProcess, task_type: str) -> None:
    async with (
        open_fake_runner(broker.port, task_type) as runner,
        open_fake_requester(broker.port) as requester,
    ):
        offers = [runner.offer(task_type) for _ in range(5)]
        await runner.sync()
        for offer_id in offers:
            requester.request(task_type)
            accept = await runner.peer.next("broker:taskofferaccept")
            assert accept["offerId"] == offer_id
            runner.answer("taskaccepted", accept["taskId"])


@pytest.mark.row("2", "matched by task type; a runner may serve several types")
async def test_types_are_kept_apart(broker: BrokerProcess, task_type: str) -> None:
    other_type = f"{task_type}-other"
    async with (
        open_fake_runner(broker.port, task_type, other_type) as runner,
        open_fake_requester(broker.port) as requester,
    ):
        request_id = requester.request(task_type)
        wrong = runner.offer(other_type)
        await runner.peer.nothing("broker:taskofferaccept", within=0.3)
        right = runner.offer(task_type)
        task_id = await runner.asked(right)
        runner.answer("taskaccepted", task_id)
        assert await requester.ready(request_id) == task_id
        requester.request(other_type)
        assert await runner.asked(wrong)


@pytest.mark.row("2", "an offer is taken once, a request is matched once")
async def test_an_offer_is_taken_once(broker: BrokerProcess, task_type: str) -> None:
    async with (
        open_fake_runner(broker.port, task_type) as runner,
        open_fake_requester(broker.port) as requester,
    ):
        requester.request(task_type)
        requester.request(task_type)
        first = await runner.take(task_type)
        await runner.peer.nothing("broker:taskofferaccept", within=0.3)
        second = await runner.take(task_type)
        assert first != second
        runner.offer(task_type)
        await runner.peer.nothing("broker:taskofferaccept", within=0.3)


@pytest.mark.row("2", "runner:taskrejected: the request is offered elsewhere")
async def test_a_rejected_request_goes_elsewhere(broker: BrokerProcess, task_type: str) -> None:
    async with (
        open_fake_runner(broker.port, task_type) as full,
        open_fake_runner(broker.port, task_type) as free,
        open_fake_requester(broker.port) as requester,
    ):
        request_id = requester.request(task_type)
        refused = await full.asked(full.offer(task_type))
        free.offer(task_type)
        await free.sync()
        full.answer("taskrejected", refused, reason="No open task slots - runner already at capacity")
        task_id = await free.asked()
        free.answer("taskaccepted", task_id)
        assert await requester.ready(request_id) == task_id
        await requester.peer.nothing(within=0.2)


@pytest.mark.row("2", "runner:taskrejected: the request keeps its place and waits for the next offer")
async def test_a_rejected_request_waits_for_the_next_offer(broker: BrokerProcess, task_type: str) -> None:
    async with (
        open_fake_runner(broker.port, task_type) as runner,
        open_fake_requester(broker.port) as requester,
    ):
        first, second = requester.request(task_type), requester.request(task_type)
        refused = await runner.asked(runner.offer(task_type))
        runner.answer("taskrejected", refused, reason="Offer expired - not accepted within validity window")
        served = [await runner.take(task_type), await runner.take(task_type)]
        assert [await requester.ready(first), await requester.ready(second)] == served


@pytest.mark.row("2", "accept 2 s, then the request is matched again")
async def test_an_unanswered_accept_is_matched_again(brisk: BrokerProcess, task_type: str) -> None:
    async with (
        open_fake_runner(brisk.port, task_type) as slow,
        open_fake_runner(brisk.port, task_type) as quick,
        open_fake_requester(brisk.port) as requester,
    ):
        request_id = requester.request(task_type)
        missed = await slow.asked(slow.offer(task_type))
        quick.offer(task_type)
        task_id = await quick.asked()
        slow.answer("taskaccepted", missed)  # too late: it must change nothing
        quick.answer("taskaccepted", task_id)
        assert await requester.ready(request_id) == task_id
        requester.send("tasksettings", task_id, settings={"n": 1})
        await quick.settings(task_id)
        quick.done(task_id)
        assert (await requester.end(task_id))["type"] == "broker:taskdone"
        await slow.peer.nothing("broker:tasksettings", within=0.2)


@pytest.mark.row("1", "three missed accepts in a row: the runner is dropped as unresponsive")
async def test_three_missed_accepts_drop_the_runner(brisk: BrokerProcess, task_type: str) -> None:
    async with open_fake_runner(brisk.port, task_type) as mute, open_fake_requester(brisk.port) as requester:
        for _ in range(3):
            mute.offer(task_type)
        await mute.sync()
        requester.request(task_type)  # goes from offer to offer
        await mute.peer.wait_over()
        assert len(mute.peer.seen("broker:taskofferaccept")) == 3
        assert not requester.peer.over.is_set()


@pytest.mark.row("1", "any message from a runner resets the count of missed accepts, an unknown one as well")
async def test_a_message_resets_the_count(brisk: BrokerProcess, task_type: str) -> None:
    async with (
        open_fake_runner(brisk.port, task_type) as runner,
        open_fake_requester(brisk.port) as requester,
    ):
        for _ in range(4):
            requester.request(task_type)
            await runner.asked(runner.offer(task_type))
            await runner.peer.nothing("broker:taskofferaccept", within=1.2)  # the 1 s of the accept passes
            runner.peer.send({"type": "runner:stillhere"})
        assert not runner.peer.over.is_set()
        requester.request(task_type)
        assert await runner.take(task_type)


@pytest.mark.row("2", "request 60 s, then broker:requestexpired with reason timeout")
async def test_a_request_expires(brisk: BrokerProcess, task_type: str) -> None:
    async with (
        open_fake_requester(brisk.port) as requester,
        open_fake_runner(brisk.port, task_type) as runner,
    ):
        begun = trio.current_time()
        request_id = requester.request(task_type)
        expired = await requester.peer.next()
        assert expired == {"type": "broker:requestexpired", "requestId": request_id, "reason": "timeout"}
        assert trio.current_time() - begun >= 2.5
        runner.offer(task_type)
        await runner.peer.nothing("broker:taskofferaccept", within=0.2)


@pytest.mark.row("2", "settings 2 s: a requester that sends none loses the task, the runner gets taskcancel")
async def test_missing_settings_end_the_task(brisk: BrokerProcess, task_type: str) -> None:
    async with (
        open_fake_runner(brisk.port, task_type) as runner,
        open_fake_requester(brisk.port) as requester,
    ):
        request_id = requester.request(task_type)
        task_id = await runner.take(task_type)
        await requester.ready(request_id)
        cancel = await runner.peer.next("broker:taskcancel", taskId=task_id)
        assert isinstance(cancel["reason"], str)
        assert (await requester.end(task_id))["type"] == "broker:taskerror"
        requester.send("tasksettings", task_id, settings={"late": True})
        await runner.peer.nothing("broker:tasksettings", within=0.2)


@pytest.mark.row("2", "execution 300 s: taskcancel to the runner and an error to the requester")
async def test_an_endless_task_is_ended(brisk: BrokerProcess, task_type: str) -> None:
    async with (
        open_fake_runner(brisk.port, task_type) as runner,
        open_fake_requester(brisk.port) as requester,
    ):
        request_id = requester.request(task_type)
        task_id = await runner.take(task_type)
        await requester.ready(request_id)
        begun = trio.current_time()
        requester.send("tasksettings", task_id, settings={})
        await runner.settings(task_id)
        cancel = await runner.peer.next("broker:taskcancel", taskId=task_id)
        assert set(cancel) == {"type", "taskId", "reason"}
        end = await requester.end(task_id)
        assert end["type"] == "broker:taskerror"
        assert end["error"]["message"]
        assert trio.current_time() - begun >= 1.6
        runner.done(task_id, "too late")
        await requester.peer.nothing("broker:taskdone", within=0.2)


@pytest.mark.row("2", "bounded queue: a request beyond the bound is refused at once with a clear reason")
async def test_the_queue_is_bounded(brisk: BrokerProcess, task_type: str) -> None:
    async with (
        open_fake_requester(brisk.port) as requester,
        open_fake_runner(brisk.port, task_type) as runner,
    ):
        for _ in range(3):
            requester.request(task_type)
        one_too_many = requester.request(task_type)
        refused = await requester.peer.next("broker:requestexpired")
        assert refused["requestId"] == one_too_many
        assert refused["reason"] not in ("", "timeout")
        assert await runner.take(task_type)


@pytest.mark.row("2", "two requesters with the same request id do not meet")
async def test_request_ids_belong_to_their_requester(broker: BrokerProcess, task_type: str) -> None:
    async with (
        open_fake_runner(broker.port, task_type) as runner,
        open_fake_requester(broker.port) as one,
        open_fake_requester(broker.port) as other,
    ):
        for requester in (one, other):
            requester.peer.send({"type": "requester:taskrequest", "requestId": "same", "taskType": task_type})
            await requester.sync()
        tasks = {await runner.take(task_type), await runner.take(task_type)}
        assert {await one.ready("same"), await other.ready("same")} == tasks
        assert len(tasks) == 2


@pytest.mark.row(
    "2", "the same request id twice from one requester does not lose or double a task's messages"
)
async def test_a_request_id_used_twice(broker: BrokerProcess, task_type: str) -> None:
    async with (
        open_fake_runner(broker.port, task_type) as runner,
        open_fake_requester(broker.port) as requester,
    ):
        for _ in range(2):
            requester.peer.send({"type": "requester:taskrequest", "requestId": "same", "taskType": task_type})
        task_id = await runner.take(task_type)
        assert await requester.ready("same") == task_id
        assert len(requester.peer.seen("broker:taskready", taskId=task_id)) == 1
