"""Thousands of tasks while runners are killed: every request ends exactly once, and nothing is left."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio

from trio_runner import (
    BrokerConfig,
    BrokerHandle,
    Requester,
    RunnerLost,
    TaskError,
    open_requester,
    serve_broker,
)

from .processes import Daemon, kill_with_descendants_watched, run_daemon

TASKS = 2000
REQUESTERS = 4
RUNNERS = 3
KILL_EVERY = 110
"""Tasks between two kills: some twenty over the whole run."""
TOKEN = "chaos"
CODE = """
total = 0
for item in _items:
    total += item["json"]["n"]
return [{"json": {"total": total}}]
"""


class Tally:
    """What became of the tasks, and the news of each."""

    def __init__(self) -> None:
        self.outcomes: Counter[str] = Counter()
        self.kills = 0
        self.processes_killed_with_them = 0
        self._ended = trio.lowlevel.ParkingLot()

    @property
    def total(self) -> int:
        return sum(self.outcomes.values())

    def count(self, outcome: str) -> None:
        self.outcomes[outcome] += 1
        self._ended.unpark_all()

    async def reached(self, total: int) -> None:
        while self.total < total:
            await self._ended.park()


class Fleet:
    """Runner daemons, one of which is killed now and then and replaced."""

    def __init__(self, broker: BrokerHandle, tally: Tally) -> None:
        self._environment = {
            "N8N_RUNNERS_TASK_BROKER_URI": broker.url,
            "N8N_RUNNERS_AUTH_TOKEN": TOKEN,
            "N8N_RUNNERS_MAX_CONCURRENCY": "3",
        }
        self._tally = tally
        self._kill = [trio.Event() for _ in range(RUNNERS)]

    async def keep_running(self, number: int) -> None:
        while True:
            async with run_daemon("run", self._environment) as daemon:
                await daemon.wait_for_line("Registered")
                await self._serve_until_killed(number, daemon)

    async def _serve_until_killed(self, number: int, daemon: Daemon) -> None:
        await self._kill[number].wait()  # set already if the kill was due while there was no runner
        self._kill[number] = trio.Event()
        self._tally.processes_killed_with_them += await kill_with_descendants_watched(daemon)
        self._tally.kills += 1

    async def kill_at_random(self, source: random.Random) -> None:
        for total in range(KILL_EVERY, TASKS, KILL_EVERY):
            await self._tally.reached(total + source.randrange(50))
            self._kill[source.randrange(RUNNERS)].set()


async def submit_all(requester: Requester, tally: Tally, numbers: range) -> None:
    """Submit the tasks of one requester, twenty at a time, and count how each ends."""
    limiter = trio.CapacityLimiter(20)

    async def one(number: int) -> None:
        async with limiter:
            try:
                result = await requester.run(CODE, [{"json": {"n": number}}, {"json": {"n": 1}}])
            except TaskError as exc:
                assert exc.message
                tally.count(type(exc).__name__)
            else:
                assert result == [{"json": {"total": number + 1}}]
                tally.count("completed")

    async with trio.open_nursery() as nursery:
        for number in numbers:
            nursery.start_soon(one, number)


@asynccontextmanager
async def open_broker() -> AsyncIterator[BrokerHandle]:
    config = BrokerConfig(port=0, auth_token=TOKEN, requests_per_second=1000)
    async with trio.open_nursery() as nursery:
        yield await nursery.start(serve_broker, config)
        nursery.cancel_scope.cancel()


@pytest.mark.process
@pytest.mark.timeout(420)
async def test_every_request_ends_once_while_runners_are_killed() -> None:
    tally = Tally()
    share = TASKS // REQUESTERS
    with trio.fail_after(400):
        async with open_broker() as broker, trio.open_nursery() as fleet_nursery:
            fleet = Fleet(broker, tally)
            for number in range(RUNNERS):
                fleet_nursery.start_soon(fleet.keep_running, number)
            fleet_nursery.start_soon(fleet.kill_at_random, random.Random(20))
            async with trio.open_nursery() as requesters:
                for number in range(REQUESTERS):
                    requesters.start_soon(
                        one_requester, broker, tally, range(number * share, (number + 1) * share)
                    )
            fleet_nursery.cancel_scope.cancel()
    below = tally.processes_killed_with_them
    print(f"{dict(tally.outcomes)}; {tally.kills} runners killed, {below} processes below them gone")
    assert tally.total == TASKS
    assert set(tally.outcomes) <= {"completed", RunnerLost.__name__}
    assert tally.outcomes["completed"] > TASKS * 0.9
    assert tally.kills >= 10


async def one_requester(broker: BrokerHandle, tally: Tally, numbers: range) -> None:
    async with open_requester(broker.url, auth_token=TOKEN) as requester:
        await submit_all(requester, tally, numbers)
