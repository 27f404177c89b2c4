"""Offers, accepts and rejections: section 3 of the protocol's document."""

from __future__ import annotations

import statistics

import pytest
import trio

from .daemon import open_registered
from .fake_broker import Session, fresh_id, open_broker, settings_of
from .processes import MARK, WAIT, go_on
from .task_desk import TaskDesk

EXPIRED = "Offer expired - not accepted within validity window"
AT_CAPACITY = "No open task slots - runner already at capacity"
SHUTTING_DOWN = "Runner is shutting down"


async def first_offers(session: Session, count: int) -> list[dict[str, object]]:
    """Return the first `count` offers, and make sure that no other follows them."""
    offers = [await session.peer.next("runner:taskoffer") for _ in range(count)]
    await session.peer.nothing("runner:taskoffer", within=0.6)
    return offers


@pytest.mark.row("3", "offers to send = max concurrency; 5 by default")
@pytest.mark.parametrize(("setting", "slots"), [(None, 5), ("1", 1)])
async def test_offers_as_many_as_it_has_slots(setting: str | None, slots: int) -> None:
    async with open_broker() as broker, open_registered(broker, MAX_CONCURRENCY=setting) as (_, session):
        offers = await first_offers(session, slots)
        assert len({offer["offerId"] for offer in offers}) == slots
        assert {offer["taskType"] for offer in offers} == {"python"}
        assert all(set(offer) == {"type", "offerId", "taskType", "validFor"} for offer in offers)


@pytest.mark.row("3", "runner:taskoffer: validFor is a whole number of ms, 5000 to 5500, drawn per offer")
async def test_validity_is_whole_jittered_and_in_range() -> None:
    async with open_broker() as broker, open_registered(broker, MAX_CONCURRENCY="60") as (_, session):
        validities = [(await session.peer.next("runner:taskoffer"))["validFor"] for _ in range(60)]
        assert all(type(validity) is int and 5000 <= validity <= 5500 for validity in validities)
        # 60 uniform draws: all in one half of the range with a chance of 2 in 10 ** 18.
        assert min(validities) < 5250 < max(validities)
        assert len(set(validities)) > 30


@pytest.mark.row("2", "broker:taskofferaccept → runner:taskaccepted within 2 s")
def test_accepts_in_time(plain: TaskDesk) -> None:
    async def accept(session: Session) -> float:
        offer_id, task_id = str((await session.offer())["offerId"]), fresh_id()
        begun = trio.current_time()
        answer = await session.accept(offer_id, task_id)
        took = trio.current_time() - begun
        session.cancel(task_id)
        assert answer == {"type": "runner:taskaccepted", "taskId": task_id}
        return took

    # Other work of the machine may hold one of them up.
    assert min(plain.use(accept) for _ in range(5)) < 2


@pytest.mark.row("3", "accept of an unknown offer → rejected, exact reason")
def test_rejects_an_unknown_offer(plain: TaskDesk) -> None:
    answer = plain.use(lambda session: session.accept("no-such-offer", "t"))
    assert answer == {"type": "runner:taskrejected", "taskId": "t", "reason": EXPIRED}


@pytest.mark.row("3", "an offer is good for one accept")
def test_rejects_the_second_accept_of_an_offer(plain: TaskDesk) -> None:
    async def accept_twice(session: Session) -> list[object]:
        offer_id = str((await session.offer())["offerId"])
        first = await session.accept(offer_id)
        second = await session.accept(offer_id)
        session.cancel(first["taskId"])
        return [first["type"], second["type"], second["reason"]]

    assert plain.use(accept_twice) == ["runner:taskaccepted", "runner:taskrejected", EXPIRED]


@pytest.mark.row("3", "an accepted task holds its slot from accept to its end")
async def test_a_held_slot_is_not_offered() -> None:
    async with open_broker() as broker, open_registered(broker, MAX_CONCURRENCY="2") as (_, session):
        held = str((await session.accept())["taskId"])
        await session.peer.next("runner:taskoffer")  # the other slot's, open since the start
        await session.peer.nothing("runner:taskoffer", within=0.7)
        session.peer.send(
            {"type": "broker:tasksettings", "taskId": held, "settings": settings_of("return 1")}
        )
        assert (await session.end(held)).result == 1
        await session.peer.next("runner:taskoffer")


@pytest.mark.row("3", "a freed slot is offered again at once")
async def test_a_freed_slot_is_offered_at_once() -> None:
    async with open_broker() as broker, open_registered(broker, MAX_CONCURRENCY="1") as (_, session):
        gaps: list[float] = []
        offer = await session.peer.next("runner:taskoffer")
        for _ in range(15):
            task_id = str((await session.accept(str(offer["offerId"])))["taskId"])
            session.peer.send(
                {"type": "broker:tasksettings", "taskId": task_id, "settings": settings_of("return 1")}
            )
            ended = await session.peer.next_received("runner:taskdone", taskId=task_id)
            offered = await session.peer.next_received("runner:taskoffer")
            gaps.append(offered.at - ended.at)
            offer = offered.message
        # A runner on a tick of 250 ms has a median of 125 ms.
        assert statistics.median(gaps) < 0.06, gaps


@pytest.mark.row(
    "2", "broker:drain: no more offers, accepts rejected with the exact reason, running tasks finish"
)
async def test_drains() -> None:
    settings = {"MAX_CONCURRENCY": "3", "STDLIB_ALLOW": "*", "BUILTINS_DENY": ""}
    marker = fresh_id("drain-marker")
    async with open_broker() as broker, open_registered(broker, **settings) as (_, session):
        running = await session.start(f"{MARK.format(marker=marker)}{WAIT}return 'finished'")
        await session.printed(running, "'up'")
        accepted = await session.hold()
        open_offer = str((await session.offer())["offerId"])
        session.peer.send({"type": "broker:drain"})
        refused = await session.accept(open_offer)
        assert (refused["type"], refused["reason"]) == ("runner:taskrejected", SHUTTING_DOWN)
        session.peer.send(
            {"type": "broker:tasksettings", "taskId": accepted, "settings": settings_of("return 'also'")}
        )
        assert (await session.end(accepted)).result == "also"
        go_on(marker)
        assert (await session.end(running)).result == "finished"
        await session.peer.nothing("runner:taskoffer", within=0.7)


@pytest.mark.row("3", "each accept is answered exactly once, with its own task id")
async def test_answers_a_burst_of_accepts_once_each() -> None:
    async with open_broker() as broker, open_registered(broker, MAX_CONCURRENCY="4") as (_, session):
        offers = [str(offer["offerId"]) for offer in await first_offers(session, 4)]
        wanted = {fresh_id("burst"): offer for offer in [*offers, *offers, "unknown"]}
        session.peer.send(
            *(
                {"type": "broker:taskofferaccept", "taskId": task_id, "offerId": offer}
                for task_id, offer in wanted.items()
            )
        )
        answers = [await session.peer.next("runner:taskaccepted", "runner:taskrejected") for _ in wanted]
        assert sorted(answer["taskId"] for answer in answers) == sorted(wanted)
        accepted = [answer["taskId"] for answer in answers if answer["type"] == "runner:taskaccepted"]
        assert accepted == list(wanted)[:4]
        await session.peer.nothing("runner:taskaccepted", "runner:taskrejected", within=0.3)
