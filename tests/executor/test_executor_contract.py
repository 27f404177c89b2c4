"""What every executor promises, held by one suite over all of them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import attrs
import pytest
import trio

from trio_runner.executor.contract import Executor, Job, Printed, Started
from trio_runner.executor.handlers import CombinedExecutor, HandlerExecutor, HandlerTask
from trio_runner.executor.pool import open_process_executor
from trio_runner.protocol.raw_json import RawJson
from trio_runner.scheduling.outcome import Completed, Failed

from .tasks import FREE_CONFIG, Events, job


@attrs.frozen
class Case:
    """An implementation, and how to have it do the same few things."""

    open: Callable[[], AbstractAsyncContextManager[Executor]]
    task: Callable[[str], Job]


_CODE = {
    "double": "return [2 * item['json']['n'] for item in _items]",
    "show": "print('one', 1)\nprint('two')\nreturn None",
    "fail": "raise ValueError('no good')",
    "nan": "return float('nan')",
    "hang": "print('hanging')\nimport time\nwhile True: time.sleep(1000)",
}


def _process_task(name: str) -> Job:
    return job(_CODE[name], items=[{"json": {"n": 21}}], workflowName="Sums", continueOnFail=True)


def _handler_task(name: str) -> Job:
    settings = {"what": name, "n": 21, "workflowName": "Sums", "continueOnFail": True}
    return Job("task-1", "python", RawJson.of(settings))


async def _handler(task: HandlerTask) -> object:
    match task.settings["what"]:
        case "double":
            return [2 * task.settings["n"]]
        case "show":
            task.print("one", 1)
            task.print("two")
            return None
        case "fail":
            raise ValueError("no good")
        case "nan":
            return float("nan")
        case _:
            task.print("hanging")
            return await trio.sleep_forever()


@asynccontextmanager
async def _open_handlers() -> AsyncIterator[Executor]:
    yield HandlerExecutor({"python": _handler})


@asynccontextmanager
async def _open_combined() -> AsyncIterator[Executor]:
    async with open_process_executor(FREE_CONFIG) as processes:
        yield CombinedExecutor([HandlerExecutor({"other": _handler}), processes])


_MARKS = {"processes": pytest.mark.process, "combined": pytest.mark.process}
CASES = {
    "processes": Case(lambda: open_process_executor(FREE_CONFIG), _process_task),
    "handlers": Case(_open_handlers, _handler_task),
    "combined": Case(_open_combined, _process_task),
}


@pytest.fixture(params=[pytest.param(name, marks=_MARKS.get(name, ())) for name in CASES])
def case(request: pytest.FixtureRequest) -> Case:
    """Each implementation in turn."""
    return CASES[request.param]


async def test_a_result_is_json(case: Case) -> None:
    async with case.open() as executor:
        assert executor.task_types[-1] == "python"
        outcome = await executor.run(case.task("double"), Events())
        assert isinstance(outcome, Completed)
        assert outcome.result.decode() == [42]


async def test_started_comes_once_and_first_then_each_print(case: Case) -> None:
    events = Events()
    async with case.open() as executor:
        outcome = await executor.run(case.task("show"), events)
    assert outcome == Completed(RawJson(b"null"))
    started, *prints = events.events
    assert started == Started(continue_on_fail=True, workflow_name="Sums")
    assert prints == [
        Printed(RawJson(b"""["'one'","1"]"""), "one 1"),
        Printed(RawJson(b"""["'two'"]"""), "two"),
    ]


async def test_what_the_code_raises_is_an_outcome(case: Case) -> None:
    async with case.open() as executor:
        outcome = await executor.run(case.task("fail"), Events())
    assert isinstance(outcome, Failed)
    assert (outcome.message, outcome.kind) == ("no good", "user-code")
    assert "ValueError: no good" in outcome.stack


async def test_a_result_that_is_no_json_is_an_outcome(case: Case) -> None:
    async with case.open() as executor:
        outcome = await executor.run(case.task("nan"), Events())
    assert isinstance(outcome, Failed)
    assert outcome.kind == "result"


async def test_settings_that_are_no_json_are_an_outcome(case: Case) -> None:
    async with case.open() as executor:
        outcome = await executor.run(Job("task-1", "python", RawJson(b"{nonsense")), Events())
    assert isinstance(outcome, Failed)
    assert outcome.kind == "settings"


async def test_cancelling_delivers_prints_and_lets_cancelled_through(case: Case) -> None:
    events = Events()
    async with case.open() as executor:
        with trio.CancelScope() as scope:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(executor.run, case.task("hang"), events)
                assert await events.next_print() == "hanging"
                assert executor.statistics().running == 1
                scope.cancel()
        assert scope.cancelled_caught
        assert events.printed == ["hanging"]
        assert executor.statistics().running == 0


async def test_a_run_in_a_cancelled_scope_is_cancelled(case: Case) -> None:
    events = Events()
    async with case.open() as executor:
        with trio.CancelScope() as scope:
            scope.cancel()
            await executor.run(case.task("show"), events)
        assert scope.cancelled_caught
    assert events.events == []


async def test_many_tasks_at_once(case: Case) -> None:
    results = []

    async def run_one(executor: Executor) -> None:
        results.append(await executor.run(case.task("double"), Events()))

    async with case.open() as executor:
        async with trio.open_nursery() as nursery:
            for _ in range(20):
                nursery.start_soon(run_one, executor)
        assert results == [Completed(RawJson(b"[42]"))] * 20
        assert executor.statistics().started == 20
        assert executor.statistics().running == 0
