"""What the passing of seconds does to offers and to tasks without settings. One scenario, many looks."""

from __future__ import annotations

from collections.abc import Iterator

import attrs
import pytest
import trio

from .daemon import open_registered
from .fake_broker import Session, open_broker
from .test_runner_offers import EXPIRED
from .wire import Message, Received

SLOTS = 4
# All offers of the first round have expired by then on both sides, and none of the second.
SECOND_ROUND = 6.0


@attrs.define
class Ages:
    """What was seen while two runners aged.

    Attributes:
        offers: every offer of a runner nobody asked for anything, with the times they came.
        stale: its answer to the accept of its first offer, as late as the broker may still hold it valid.
        fresh: its answer to the accept of an offer of the second round.
        reoffered: the offer that followed after a task whose settings never came, on a runner with one slot.
        late: what a task brought whose settings came after all that.
    """

    offers: list[Received]
    stale: Message
    fresh: Message
    reoffered: Received
    held_at: float
    late: list[Message]


async def _grow_old(ages: Ages) -> None:
    async with open_broker() as broker, open_registered(broker, MAX_CONCURRENCY=str(SLOTS)) as (_, session):
        await _watch_offers(session, ages)


async def _watch_offers(session: Session, ages: Ages) -> None:
    first = await session.peer.next_received("runner:taskoffer")
    # 20 ms before the broker's deadline, 80 ms after the runner's own: the broker may still hand it out.
    await trio.sleep_until(first.at + first.message["validFor"] / 1000 - 0.02)
    ages.stale = await session.accept(first.message["offerId"])
    await trio.sleep_until(first.at + SECOND_ROUND)
    ages.offers = [entry for entry in session.peer.received if entry.message["type"] == "runner:taskoffer"]
    ages.fresh = await session.accept(ages.offers[-1].message["offerId"])


async def _never_settle(ages: Ages) -> None:
    async with open_broker() as broker, open_registered(broker, MAX_CONCURRENCY="1") as (_, session):
        task_id = await session.hold()
        ages.held_at = trio.current_time()
        ages.reoffered = await session.peer.next_received("runner:taskoffer", limit=15)
        session.peer.send(
            {"type": "broker:tasksettings", "taskId": task_id, "settings": {"code": "return 1", "items": []}}
        )
        accepted = await session.accept(ages.reoffered.message["offerId"])
        assert accepted["type"] == "runner:taskaccepted"
        ages.late = session.peer.seen(taskId=task_id)


@pytest.fixture(scope="module")
def ages() -> Iterator[Ages]:
    """Run both scenarios side by side."""
    nothing = Received({}, 0.0, 0, 0)
    ages = Ages([], {}, {}, nothing, 0.0, [])

    async def both() -> None:
        with trio.fail_after(40):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_grow_old, ages)
                nursery.start_soon(_never_settle, ages)

    trio.run(both)
    yield ages


@pytest.mark.row(
    "3", "the runner stops honouring an offer 0.1 s before the broker does: accept rejected, exact reason"
)
def test_an_offer_in_its_latency_buffer_is_rejected(ages: Ages) -> None:
    assert (ages.stale["type"], ages.stale["reason"]) == ("runner:taskrejected", EXPIRED)


@pytest.mark.row("3", "expired offers are renewed: one for each, with a new id, and accepted")
def test_expired_offers_are_renewed(ages: Ages) -> None:
    assert len(ages.offers) == 2 * SLOTS
    assert len({entry.message["offerId"] for entry in ages.offers}) == 2 * SLOTS
    assert ages.fresh["type"] == "runner:taskaccepted"


@pytest.mark.row("3", "own deadline = validFor − 0.1 s: renewal comes then, not before, not a tick later")
def test_each_renewal_comes_at_the_runners_own_deadline(ages: Ages) -> None:
    first, second = ages.offers[:SLOTS], ages.offers[SLOTS:]
    deadlines = sorted(entry.at + entry.message["validFor"] / 1000 - 0.1 for entry in first)
    for deadline, renewal in zip(deadlines, second, strict=True):
        assert -0.05 < renewal.at - deadline < 0.25


@pytest.mark.row("3", "an accepted task whose settings never come does not hold its slot for ever")
def test_a_slot_without_settings_is_freed(ages: Ages) -> None:
    # The broker itself allows 2 s for the settings.
    assert 1.9 < ages.reoffered.at - ages.held_at < 10


@pytest.mark.row("3", "settings that come after the slot was freed start nothing")
def test_settings_that_come_too_late_start_nothing(ages: Ages) -> None:
    assert not [message for message in ages.late if message["type"] == "runner:taskdone"]
