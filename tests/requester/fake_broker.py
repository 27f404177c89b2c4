"""A broker at the other end of a link in memory: the test decides what it says."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import attrs
import trio
from trio.testing import wait_all_tasks_blocked

from trio_runner.errors import LinkLost, LocalProtocolError, TaskError
from trio_runner.protocol import messages as m
from trio_runner.protocol.codec import BROKER_TO_REQUESTER, REQUESTER_TO_BROKER
from trio_runner.protocol.raw_json import RawJson
from trio_runner.requester.client import Requester, requester_over
from trio_runner.scheduling.observer import Observer
from trio_runner.testing import MemoryLink, memory_link_pair
from trio_runner.transport.link import LinkSettings

MessageT = TypeVar("MessageT")


@attrs.frozen
class Task:
    """A task the broker has announced as ready, and the settings that came for it."""

    task_id: str
    settings: RawJson


class FakeBroker:
    """Speaks the broker's side, step by step."""

    def __init__(self, link: MemoryLink[m.RequesterToBroker]) -> None:
        self.link = link
        self._tasks = 0

    async def expect(self, kind: type[MessageT]) -> MessageT:
        """Receive the next message, which must be of this class."""
        message = await self.link.receive()
        assert isinstance(message, kind), f"expected {kind.__name__}, got {message!r}"
        return message

    def ready(self, request: m.TaskRequest) -> str:
        """Say that a runner took the request; returns the task's id."""
        self._tasks += 1
        task_id = f"task-{self._tasks}"
        self.link.send(m.TaskReady(request.request_id, task_id))
        return task_id

    async def start(self) -> Task:
        """Let the next request be taken by a runner and receive its settings."""
        task_id = self.ready(await self.expect(m.TaskRequest))
        settings = await self.expect(m.RequesterTaskSettings)
        assert settings.task_id == task_id
        return Task(task_id, settings.settings)

    def prints(self, task_id: str, *params: str, call_id: str = "call") -> None:
        """Let the task call ``print()``."""
        self.link.send(m.BrokerRpcRequest(call_id, task_id, "logNodeOutput", RawJson.of(list(params))))

    def done(self, task_id: str, result: object) -> None:
        """End the task with a result."""
        self.link.send(m.TaskResult(task_id, RawJson.of({"result": result})))

    def failed(self, task_id: str, message: str, **fields: object) -> None:
        """End the task with an error."""
        self.link.send(m.TaskFailure(task_id, RawJson.of({"message": message, "description": "", **fields})))


class Outcome:
    """What came of a call that ran beside the test."""

    def __init__(self) -> None:
        self.value: Any = None
        self.error: BaseException | None = None
        self.over = False


async def _note(outcome: Outcome, call: Callable[..., Any], *args: Any, **options: Any) -> None:
    try:
        outcome.value = await call(*args, **options)
    except (TaskError, LinkLost, LocalProtocolError, ValueError) as exc:
        outcome.error = exc
    finally:
        outcome.over = True


def beside(nursery: trio.Nursery, call: Callable[..., Any], *args: Any, **options: Any) -> Outcome:
    """Call beside the test and note what comes of it."""
    outcome = Outcome()

    async def run() -> None:
        await _note(outcome, call, *args, **options)

    nursery.start_soon(run)
    return outcome


async def nothing_more(broker: FakeBroker) -> None:
    """Check that the requester says nothing more."""
    await wait_all_tasks_blocked()
    with trio.move_on_after(0):
        raise AssertionError(f"unexpected {await broker.link.receive()!r}")


@asynccontextmanager
async def fake_broker(
    *,
    max_in_flight: int | None = None,
    observer: Observer | None = None,
    settings: LinkSettings | None = None,
) -> AsyncIterator[tuple[Requester, FakeBroker]]:
    """Open a requester whose broker is a fake."""
    ours, theirs = memory_link_pair(
        BROKER_TO_REQUESTER, REQUESTER_TO_BROKER, settings=settings or LinkSettings()
    )
    async with requester_over(ours, max_in_flight=max_in_flight, observer=observer) as requester:
        yield requester, FakeBroker(theirs)
