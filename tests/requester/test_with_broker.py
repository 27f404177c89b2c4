"""A requester with the real broker and runners: what the wire makes of every end of a task."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import pytest
import trio

from trio_runner.broker.config import BrokerConfig
from trio_runner.broker.serve import BrokerHandle, serve_broker
from trio_runner.errors import (
    LinkLost,
    PolicyViolation,
    RequestExpired,
    RunnerLost,
    TaskCancelled,
    TaskTimedOut,
    UserCodeError,
    WorkerDied,
)
from trio_runner.executor.handlers import Handler, HandlerExecutor, HandlerTask
from trio_runner.requester import Requester, open_requester
from trio_runner.runner.config import RunnerConfig
from trio_runner.runner.serve import Runner, serve_runner
from trio_runner.sandbox.policy import Policy
from trio_runner.scheduling.observer import TaskAcceptedEvent, TaskEnded
from trio_runner.testing import RecordingObserver

SECRET = "hush-hush"
LIMIT = 30.0  # seconds in which anything here ends, even on a busy machine

pytestmark = pytest.mark.process


@asynccontextmanager
async def running_broker(**options: Any) -> AsyncIterator[tuple[BrokerHandle, trio.Nursery]]:
    """A broker that does not limit rates, and the nursery it runs in."""
    with trio.fail_after(LIMIT):
        async with trio.open_nursery() as nursery:
            config = BrokerConfig(port=0, auth_token=SECRET, requests_per_second=math.inf, **options)
            broker: BrokerHandle = await nursery.start(serve_broker, config)
            yield broker, nursery
            nursery.cancel_scope.cancel()


async def start_runner(
    nursery: trio.Nursery,
    broker: BrokerHandle,
    handlers: dict[str, Handler],
    observer: RecordingObserver | None = None,
) -> Runner:
    """Start a runner that serves handlers only, so that no processes are needed."""
    config = RunnerConfig(brokers=(broker.url,), auth_token=SECRET)
    serve = partial(serve_runner, config, executor=HandlerExecutor(handlers), observer=observer)
    runner: Runner = await nursery.start(serve)
    return runner


def connected(broker: BrokerHandle, **options: Any) -> Any:
    return open_requester(broker.url, auth_token=SECRET, **options)


async def echo(task: HandlerTask) -> object:
    """Return the settings."""
    task.print("echo", task.settings)
    await trio.lowlevel.checkpoint()
    return task.settings


async def hang(task: HandlerTask) -> object:
    """Never return."""
    task.print("hanging")
    await trio.sleep_forever()


async def first_line(requester: Requester, *, then: Callable[[], None]) -> object:
    """Run a task that hangs, and do something once it runs."""
    async with requester.start_task("hang", {}) as running:
        await anext(running.output)
        then()
        return await running.result()


@pytest.mark.parametrize(
    ("code", "family", "message", "line"),
    [
        ("x = 1\nreturn x / 0", UserCodeError, "division by zero", 2),
        ("return (", UserCodeError, "was never closed", 1),
        ("import os", PolicyViolation, "Security violations detected", 1),
        ("import sys\nsys.exit(3)", UserCodeError, "Process exited with code 3", None),
        ("import posix\nposix._exit(3)", WorkerDied, "Task subprocess exited with code 3", None),
        ("while True: pass", TaskTimedOut, "Task execution timed out after 2 seconds", None),
    ],
)
async def test_python_tasks_end_as_their_family(
    code: str, family: type[Exception], message: str, line: int | None
) -> None:
    async with running_broker() as (broker, nursery):
        policy = Policy(stdlib_allow=frozenset({"sys", "posix"}))
        limit = 2 if family is TaskTimedOut else 60
        config = RunnerConfig(brokers=(broker.url,), auth_token=SECRET, policy=policy, task_timeout=limit)
        await nursery.start(serve_runner, config)
        async with connected(broker) as requester:
            with pytest.raises(family, match=message) as caught:
                await requester.run(code)
            assert line is None or getattr(caught.value, "line_number", None) == line
            assert await requester.run("return 'the next one'") == "the next one"


async def test_many_tasks_of_many_requesters() -> None:
    async with running_broker() as (broker, nursery):
        await start_runner(nursery, broker, {"echo": echo})
        results: list[tuple[int, int]] = []

        async def submit(requester: Requester, who: int, number: int) -> None:
            results.append((who, await requester.run_task("echo", number)))

        async with (
            connected(broker) as first,
            connected(broker, max_in_flight=2) as second,
            trio.open_nursery() as tasks,
        ):
            for number in range(40):
                tasks.start_soon(submit, first, 1, number)
                tasks.start_soon(submit, second, 2, number)
        assert sorted(results) == [(who, number) for who in (1, 2) for number in range(40)]


async def test_a_cancelled_task_is_cancelled_in_the_runner() -> None:
    observer = RecordingObserver()
    async with running_broker() as (broker, nursery):
        await start_runner(nursery, broker, {"hang": hang}, observer)
        async with connected(broker) as requester:
            with trio.CancelScope() as scope:
                await first_line(requester, then=scope.cancel)
            assert (await observer.wait_for(TaskEnded)).outcome == "cancelled"


async def test_a_request_given_up_in_the_queue_is_never_run() -> None:
    observer = RecordingObserver()
    async with running_broker() as (broker, nursery), connected(broker) as requester:
        with trio.move_on_after(0.2):
            await requester.run_task("echo", "given up")
        assert requester.statistics().abandoned == 1
        await start_runner(nursery, broker, {"echo": echo}, observer)
        assert await requester.run_task("echo", "wanted") == "wanted"
        assert broker.statistics().given_up == {"cancelled": 1}
        assert len(observer.of(TaskAcceptedEvent)) == 1


async def test_no_runner_takes_it() -> None:
    async with running_broker(request_timeout=0.3) as (broker, _), connected(broker) as requester:
        with pytest.raises(RequestExpired) as caught:
            await requester.run_task("echo", 1)
        assert caught.value.reason in ("timeout", "no-runner")


async def test_too_many_requests_wait() -> None:
    async with running_broker(max_waiting=1) as (broker, _), connected(broker) as requester:
        async with requester.start_task("echo", 1):
            with pytest.raises(RequestExpired) as caught:
                await requester.run_task("echo", 2)
        assert caught.value.reason == "queue-full"


async def test_the_runner_is_lost() -> None:
    async with running_broker() as (broker, nursery), connected(broker) as requester:
        runner_life = trio.CancelScope()
        runner_is_up = trio.Event()

        async def live() -> None:
            with runner_life:
                async with trio.open_nursery() as doomed:
                    await start_runner(doomed, broker, {"hang": hang})
                    runner_is_up.set()

        nursery.start_soon(live)
        await runner_is_up.wait()
        with pytest.raises(RunnerLost):
            await first_line(requester, then=runner_life.cancel)


async def test_the_runner_shuts_down() -> None:
    async with running_broker() as (broker, nursery), connected(broker) as requester:
        config = RunnerConfig(brokers=(broker.url,), auth_token=SECRET, grace=0.1)
        runner: Runner = await nursery.start(
            partial(serve_runner, config, executor=HandlerExecutor({"hang": hang}))
        )
        with pytest.raises(TaskCancelled):
            await first_line(requester, then=runner.shut_down)


async def test_the_broker_is_lost() -> None:
    lost: list[LinkLost] = []

    async def run(broker: BrokerHandle, services: trio.Nursery) -> None:
        async with connected(broker) as requester:
            try:
                await first_line(requester, then=services.cancel_scope.cancel)
            except LinkLost as exc:
                lost.append(exc)

    async with trio.open_nursery() as nursery:
        async with running_broker() as (broker, services):
            await start_runner(nursery, broker, {"hang": hang})
            nursery.start_soon(run, broker, services)
            await trio.Event().wait()  # until the broker is cancelled
        nursery.cancel_scope.cancel()
    assert len(lost) == 1
