"""Large payloads, the payload limit, many tasks, and two brokers for one runner."""

from __future__ import annotations

import math

import attrs
import pytest
import trio

from .daemon import START_LIMIT, open_registered, open_runner
from .fake_broker import ENDS, Session, fresh_id, open_broker, settings_of
from .processes import MARK, WAIT, go_on
from .task_desk import TaskDesk
from .test_runner_offers import AT_CAPACITY, EXPIRED
from .wire import PROMPT

MIB = 1024**2
# Tasks after which a broker counts as served.
SERVED = 5


@pytest.mark.row("1", "8 MiB of settings and 8 MiB of result; pings are answered meanwhile")
def test_large_payloads(plain: TaskDesk) -> None:
    items = [{"json": {"n": n, "text": "ü" * 1000}} for n in range(4096)]

    async def run(session: Session) -> tuple[object, int]:
        answered = 0
        task_id = await session.hold()
        session.peer.send(
            {
                "type": "broker:tasksettings",
                "taskId": task_id,
                "settings": settings_of("return _items", items=items),
            }
        )
        await session.peer.ping()
        while not session.peer.seen("runner:taskdone", taskId=task_id):
            answered += 1
            await session.peer.ping()
        return (await session.end(task_id)).result, answered

    result, answered = plain.use(run)
    assert result == items
    assert answered > 0, "the first pong came behind the result"


@pytest.mark.soak
@pytest.mark.timeout(300)
@pytest.mark.row("1", "500 MB of settings or of result: each ping is answered before the broker's next, 30 s")
@pytest.mark.parametrize("direction", ["settings", "result"])
async def test_half_a_gigabyte_holds_up_no_ping(direction: str) -> None:
    size, slowest = 500_000_000, 0.0
    code = "return len(_query)" if direction == "settings" else f"return 'x' * {size}"
    query = "x" * size if direction == "settings" else ""
    async with open_broker() as broker, open_registered(broker) as (daemon, session):
        task_id = await session.hold()
        session.send_settings(task_id, code, query=query)
        while not session.peer.seen(*ENDS, taskId=task_id):
            slowest = max(slowest, await session.peer.ping(60))
        result = (await session.end(task_id)).result
        assert size == (result if direction == "settings" else len(result))
        assert slowest < 30
        assert daemon.code is None


@pytest.mark.row("1", "an accept is answered ahead of a large result that is not on its way yet")
def test_accepts_are_answered_ahead_of_large_results(plain: TaskDesk) -> None:
    async def run(session: Session) -> list[str]:
        large = [await session.hold() for _ in range(3)]
        session.peer.stop_reading_after(65536)
        for task_id in large:
            session.send_settings(task_id, "return 'x' * 30_000_000")
        await session.peer.wait_bytes(65536)  # the first result is on its way, the others soon wait for it
        accept = {
            "type": "broker:taskofferaccept",
            "taskId": "short",
            "offerId": (await session.offer())["offerId"],
        }
        session.peer.send(accept)
        session.peer.read_on()
        accepted = await session.peer.next("runner:taskaccepted", taskId="short")
        session.cancel("short")
        for task_id in large:
            assert len((await session.end(task_id)).result) == 30_000_000
        ends = session.peer.seen(*ENDS)[-3:]
        order = session.peer.seen("runner:taskaccepted", *ENDS)
        return [str(message["type"]) for message in order[order.index(accepted) :] if message in ends]

    assert plain.use(run)  # at least one result came after the answer


@pytest.mark.row(
    "5",
    "N8N_RUNNERS_MAX_PAYLOAD: a larger result fails its task, a larger message costs the connection",
)
async def test_the_payload_limit() -> None:
    async with open_broker() as broker, open_registered(broker, MAX_PAYLOAD="100000") as (daemon, session):
        run = await session.run("return 'x' * 90_000")
        assert len(run.result) == 90_000
        assert (await session.run("return 'x' * 200_000")).error["message"]
        await session.fence()
        session.peer.send({"type": "broker:unknown", "text": "x" * 200_000})
        await session.peer.wait_over()
        await (await broker.registered()).fence()
        assert "Traceback" not in daemon.output


@pytest.mark.row(
    "5", "N8N_RUNNERS_MAX_PAYLOAD: a message that announces more costs the connection, not memory"
)
async def test_an_announcement_of_a_huge_message() -> None:
    async with open_broker() as broker, open_registered(broker, MAX_PAYLOAD="1000000") as (daemon, session):
        session.peer.send_raw(b"\x81\x7f" + (2**40).to_bytes(8, "big"))
        session.peer.send_raw(b"x" * 3_000_000)
        await session.peer.wait_over()
        await (await broker.registered()).fence()
        assert "Traceback" not in daemon.output


@pytest.mark.row(
    "3", "many short tasks, as many at a time as there are slots: each ends once, with its own result"
)
def test_many_short_tasks(plain: TaskDesk) -> None:
    async def run(session: Session) -> list[object]:
        results: list[object] = []

        async def one(number: int) -> None:
            run = await session.run("return _items[0]['json']['n']", items=[{"json": {"n": number}}])
            results.append((number, run.result))

        async with trio.open_nursery() as nursery:
            for number in range(200):
                nursery.start_soon(one, number)
        return results

    assert sorted(plain.use(run)) == [(number, number) for number in range(200)]  # type: ignore[type-var]


# --- two brokers ------------------------------------------------------------------------------------


@attrs.define
class Tally:
    """What two brokers saw: when tasks ran (by their own clock), and why accepts were refused."""

    spans: list[list[tuple[float, float]]]
    reasons: dict[str, int]


async def _demand(session: Session, spans: list[tuple[float, float]], tally: Tally, until: float) -> None:
    """Have tasks run until a time, and until both brokers have been served."""
    code = "import time\nbegun = time.monotonic()\ntime.sleep(0.03)\nreturn [begun, time.monotonic()]"
    while trio.current_time() < until or min(map(len, tally.spans)) < SERVED:
        answer = await session.accept()
        if answer["type"] == "runner:taskrejected":
            tally.reasons[answer["reason"]] = tally.reasons.get(answer["reason"], 0) + 1
            continue
        task_id = answer["taskId"]
        session.peer.send({"type": "broker:tasksettings", "taskId": task_id, "settings": settings_of(code)})
        begun, ended = (await session.end(task_id)).result
        spans.append((begun, ended))


def most_at_once(spans: list[tuple[float, float]]) -> int:
    """Return how many of the spans overlap at the busiest moment."""
    edges = sorted([(begun, 1) for begun, _ in spans] + [(ended, -1) for _, ended in spans])
    at_once = most = 0
    for _, step in edges:
        at_once += step
        most = max(most, at_once)
    return most


@pytest.mark.row(
    "3",
    "two brokers, one runner with 2 slots: never more than 2 tasks at once, both served, rejections counted",
)
async def test_two_brokers_share_the_slots() -> None:
    tally = Tally([[], []], {})
    settings = {"MAX_CONCURRENCY": "2", "STDLIB_ALLOW": "time"}
    async with (
        open_broker() as left,
        open_broker() as right,
        open_runner(f"{left.url},{right.url}", **settings) as daemon,
    ):
        sessions = [await broker.registered(START_LIMIT) for broker in (left, right)]
        with trio.fail_after(PROMPT):
            async with trio.open_nursery() as nursery:
                for session, spans in zip(sessions, tally.spans, strict=True):
                    for _ in range(2):
                        nursery.start_soon(_demand, session, spans, tally, trio.current_time() + 2.0)
        assert daemon.code is None
    print("tasks per broker:", [len(spans) for spans in tally.spans], "rejections:", tally.reasons)
    assert most_at_once(tally.spans[0] + tally.spans[1]) == 2
    assert min(len(spans) for spans in tally.spans) >= SERVED
    assert set(tally.reasons) <= {AT_CAPACITY, EXPIRED}


@pytest.mark.row(
    "3", "accept with no free slot → rejected, exact reason; the other broker's tasks fill the slots"
)
async def test_an_accept_at_capacity_is_rejected() -> None:
    async with (
        open_broker() as left,
        open_broker() as right,
        open_runner(f"{left.url},{right.url}", MAX_CONCURRENCY="2"),
    ):
        one, other = [await broker.registered(START_LIMIT) for broker in (left, right)]
        offers = [await other.offer() for _ in range(2)]
        held = [await one.hold() for _ in range(2)]
        for offer in offers:
            answer = await other.accept(str(offer["offerId"]))
            assert (answer["type"], answer["reason"]) == ("runner:taskrejected", AT_CAPACITY)
        settings = settings_of("return 1")
        one.peer.send({"type": "broker:tasksettings", "taskId": held[0], "settings": settings})
        assert (await one.end(held[0])).result == 1
        assert (await other.run("return 2")).result == 2


@pytest.mark.row("1", "two brokers: losing one leaves the other's tasks alone")
async def test_losing_one_of_two_brokers() -> None:
    settings = {"MAX_CONCURRENCY": "2", "STDLIB_ALLOW": "*", "BUILTINS_DENY": ""}
    markers = fresh_id("stays-marker"), fresh_id("goes-marker")
    code_of_one, code_of_other = (f"{MARK.format(marker=each)}{WAIT}return 'unharmed'" for each in markers)
    async with (
        open_broker() as left,
        open_broker() as right,
        open_runner(f"{left.url}, {right.url}", **settings),
    ):
        one, other = [await broker.registered(START_LIMIT) for broker in (left, right)]
        stays, goes = await one.start(code_of_one), await other.start(code_of_other)
        await one.printed(stays, "'up'")
        await other.printed(goes, "'up'")
        other.peer.drop()
        again = await right.registered()
        await again.fence()
        go_on(markers[0])
        assert (await one.end(stays)).result == "unharmed"
        assert again.peer.seen(taskId=goes) == []


@pytest.mark.row("2", "two brokers: broker:drain from one stops the offers to that one")
async def test_one_of_two_brokers_drains() -> None:
    async with (
        open_broker() as left,
        open_broker() as right,
        open_runner(f"{left.url},{right.url}", MAX_CONCURRENCY="1"),
    ):
        one, other = [await broker.registered(START_LIMIT) for broker in (left, right)]
        await one.offer()
        one.peer.send({"type": "broker:drain"})
        await one.peer.ping()
        await other.fence()
        await other.fence()
        await one.peer.nothing("runner:taskoffer", within=0.5)


def test_the_measure_of_overlap() -> None:
    assert most_at_once([(0, 2), (1, 3), (2, 4)]) == 2
    assert most_at_once([(0, math.inf), (1, 3), (2, 4)]) == 3
