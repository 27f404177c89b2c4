"""Ten thousand tasks on one runner, however they end: no zombie, process or descriptor is left of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio

from trio_runner import BrokerConfig, BrokerHandle, Requester, TaskError, open_requester, serve_broker

from .processes import Daemon, descendants, run_daemon, wait_until_gone, watch

TASKS = 10_000
SLOTS = 4
TOKEN = "many-tasks"
CODES = (
    "return 1",
    "raise ValueError('x')",
    "import os\nos._exit(3)",
    "import os\nif os.fork() == 0:\n    os.setsid()\n    while True: pass\nreturn 1",
)
"""What the tasks do: succeed, fail, end their process, leave a child behind that burns a core."""
ENDS = {"completed": TASKS // 2, "UserCodeError": TASKS // 4, "WorkerDied": TASKS // 4}


def state_of(pid: int) -> str:
    """Return the one letter that procfs has for the state of a process; empty if it is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return ""


def descriptors(pid: int) -> int:
    """Return how many descriptors a process has open."""
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


async def run_tasks(requester: Requester, count: int) -> Counter[str]:
    """Run tasks of every kind in turn, a few more at a time than there are slots, and count how they end."""
    ends: Counter[str] = Counter()
    numbers = iter(range(count))

    async def some() -> None:
        for number in numbers:
            try:
                await requester.run(CODES[number % len(CODES)])
            except TaskError as exc:
                ends[type(exc).__name__] += 1
            else:
                ends["completed"] += 1

    async with trio.open_nursery() as nursery:
        for _ in range(SLOTS + 2):
            nursery.start_soon(some)
    return ends


@asynccontextmanager
async def open_fleet() -> AsyncIterator[tuple[Daemon, Requester]]:
    async with trio.open_nursery() as nursery:
        broker: BrokerHandle = await nursery.start(serve_broker, BrokerConfig(port=0, auth_token=TOKEN))
        environment = {
            "N8N_RUNNERS_TASK_BROKER_URI": broker.url,
            "N8N_RUNNERS_AUTH_TOKEN": TOKEN,
            "N8N_RUNNERS_MAX_CONCURRENCY": str(SLOTS),
            "N8N_RUNNERS_STDLIB_ALLOW": "*",
            "N8N_RUNNERS_EXTERNAL_ALLOW": "*",
            "N8N_RUNNERS_LAUNCHER_LOG_LEVEL": "warn",
        }
        async with (
            run_daemon("run", environment) as daemon,
            open_requester(broker.url, auth_token=TOKEN) as requester,
        ):
            yield daemon, requester
        nursery.cancel_scope.cancel()


@pytest.mark.soak
@pytest.mark.process
@pytest.mark.timeout(1200)
async def test_nothing_is_left_of_ten_thousand_tasks() -> None:
    async with open_fleet() as (daemon, requester):
        await run_tasks(requester, 100)
        before = descriptors(daemon.pid)
        assert await run_tasks(requester, TASKS) == ENDS
        below = descendants(daemon.pid)
        assert [pid for pid in below if state_of(pid) == "Z"] == []
        assert len(below) <= 4 + 2 * SLOTS, "the zygote and idle workers"
        assert descriptors(daemon.pid) <= before + 3 * SLOTS, "three for each idle worker"
        with watch(below) as held:
            daemon.process.terminate()
            assert await daemon.process.wait() == 0
            await wait_until_gone(held)
