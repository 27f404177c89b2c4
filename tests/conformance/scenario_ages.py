"""What the passing of seconds does to offers and to tasks without settings."""

from __future__ import annotations

import attrs
import trio

from .ahead import SCENARIO_LIMIT
from .daemon import open_registered
from .fake_broker import Session, open_broker
from .wire import Message, Received

SLOTS = 4


@attrs.define
class Ages:
    """What was seen while two runners aged.

    Attributes:
        registered_at: when a runner nobody asked for anything was told that it is registered.
        offers: every offer of it, with the times they came.
        stale: its answer to the accept of its first offer, as late as the broker may still hold it valid.
        fresh: its answer to the accept of an offer of the second round.
        waited: seconds from the accept of a task without settings to the next offer of its slot.
        late: what that task brought when its settings came after all that.
    """

    registered_at: float = 0.0
    offers: list[Received] = attrs.Factory(list)
    stale: Message = attrs.Factory(dict)
    fresh: Message = attrs.Factory(dict)
    waited: float = 0.0
    late: list[Message] = attrs.Factory(list)


async def grow_old() -> Ages:
    """Watch two runners side by side."""
    ages = Ages()
    with trio.fail_after(SCENARIO_LIMIT):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_watch, ages)
            nursery.start_soon(_never_settle, ages)
    return ages


async def _watch(ages: Ages) -> None:
    async with open_broker() as broker, open_registered(broker, MAX_CONCURRENCY=str(SLOTS)) as (_, session):
        await _watch_offers(session, ages)


async def _watch_offers(session: Session, ages: Ages) -> None:
    ages.registered_at = session.registered_at
    first = await session.peer.next_received("runner:taskoffer")
    # 20 ms before the broker's deadline, 80 ms after the runner's own: the broker may still hand it out.
    await trio.sleep_until(first.at + first.message["validFor"] / 1000 - 0.02)
    ages.stale = await session.accept(first.message["offerId"])
    *_, last = [await session.peer.next("runner:taskoffer") for _ in range(2 * SLOTS - 1)]
    ages.fresh = await session.accept(last["offerId"])
    ages.offers = [entry for entry in session.peer.received if entry.message["type"] == "runner:taskoffer"]


async def _never_settle(ages: Ages) -> None:
    async with open_broker() as broker, open_registered(broker, MAX_CONCURRENCY="1") as (_, session):
        task_id = await session.hold()
        held_at = trio.current_time()
        reoffered = await session.peer.next_received("runner:taskoffer", limit=40)
        ages.waited = reoffered.at - held_at
        session.peer.send(
            {"type": "broker:tasksettings", "taskId": task_id, "settings": {"code": "return 1", "items": []}}
        )
        await session.fence(reoffered.message["offerId"])
        ages.late = session.peer.seen(taskId=task_id)
