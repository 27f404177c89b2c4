"""Handlers: what the application's functions are given, and what becomes of what they do."""

from __future__ import annotations

import pytest
import trio

from trio_runner.errors import ConfigError
from trio_runner.executor.contract import ExecutorStatistics, Job, Started
from trio_runner.executor.handlers import CombinedExecutor, Handler, HandlerExecutor, HandlerTask
from trio_runner.protocol.raw_json import RawJson
from trio_runner.scheduling.outcome import Completed, Failed, WorkerDied
from trio_runner.testing import ScriptedExecutor

from .tasks import Events

TRACE = f"00-{'a' * 32}-{'b' * 16}-01"


async def _run(
    handler: Handler, settings: object = None, events: Events | None = None
) -> Completed | Failed | WorkerDied:
    return await HandlerExecutor({"greet": handler}).run(
        Job("task-7", "greet", RawJson.of(settings)), events or Events()
    )


async def test_a_handler_is_given_its_task() -> None:
    async def handler(task: HandlerTask) -> object:
        await trio.lowlevel.checkpoint()
        return [task.task_id, task.task_type, task.settings]

    outcome = await _run(handler, {"name": "Ada"})
    assert outcome == Completed(RawJson(b'["task-7","greet",{"name":"Ada"}]'))


@pytest.mark.parametrize(
    ("settings", "started"),
    [
        (
            {"continueOnFail": True, "nodeName": "Greeter"},
            Started(continue_on_fail=True, node_name="Greeter"),
        ),
        ({"traceparent": TRACE}, Started(traceparent=TRACE)),
        ({"continueOnFail": "yes", "nodeName": 7, "traceparent": TRACE.upper()}, Started()),
        ([1, 2], Started()),
    ],
)
async def test_what_started_says(settings: object, started: Started) -> None:
    async def handler(task: HandlerTask) -> None:
        await trio.lowlevel.checkpoint()

    events = Events()
    await _run(handler, settings, events)
    assert events.events == [started]


async def test_printing_after_the_end_is_an_error() -> None:
    kept: list[HandlerTask] = []

    async def handler(task: HandlerTask) -> None:
        await trio.lowlevel.checkpoint()
        kept.append(task)

    events = Events()
    await _run(handler, None, events)
    with pytest.raises(RuntimeError, match="task-7 has ended"):
        kept[0].print("late")
    assert events.printed == []


async def test_a_failure_tells_the_handlers_own_frames_only() -> None:
    async def handler(task: HandlerTask) -> None:
        await trio.lowlevel.checkpoint()
        raise LookupError

    outcome = await _run(handler)
    assert isinstance(outcome, Failed)
    assert outcome.message == "LookupError"
    assert "in handler" in outcome.stack
    assert "handlers.py" not in outcome.stack.replace("test_handlers.py", "")


async def test_the_one_fault_in_a_nursery_is_the_message() -> None:
    async def break_down() -> None:
        await trio.lowlevel.checkpoint()
        raise OSError("disk full")

    async def handler(task: HandlerTask) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(break_down)
            nursery.start_soon(trio.sleep_forever)

    outcome = await _run(handler)
    assert isinstance(outcome, Failed)
    assert outcome.message == "disk full"


@pytest.mark.parametrize("result", [object(), {1, 2}, float("inf")])
async def test_a_result_that_is_no_json_names_the_remedy(result: object) -> None:
    async def handler(task: HandlerTask) -> object:
        await trio.lowlevel.checkpoint()
        return result

    outcome = await _run(handler)
    assert isinstance(outcome, Failed)
    assert outcome.kind == "result"
    assert outcome.message.startswith("Result is not JSON: ")
    assert "must return" in outcome.description


async def test_an_endless_result_is_an_outcome() -> None:
    async def handler(task: HandlerTask) -> object:
        await trio.lowlevel.checkpoint()
        nested: list[object] = []
        for _ in range(100_000):
            nested = [nested]
        return nested

    outcome = await _run(handler)
    assert isinstance(outcome, Failed)
    assert outcome.kind == "result"


async def test_a_type_without_handler_is_an_outcome() -> None:
    async def handler(task: HandlerTask) -> None: ...

    for executor in (
        HandlerExecutor({"greet": handler}),
        CombinedExecutor([HandlerExecutor({"greet": handler})]),
    ):
        outcome = await executor.run(Job("task-7", "part", RawJson.NULL), Events())
        assert outcome == Failed(
            "Task type 'part' is not supported by this runner", "It runs 'greet'.", kind="settings"
        )


def test_an_empty_task_type_is_refused() -> None:
    async def handler(task: HandlerTask) -> None: ...

    with pytest.raises(ConfigError, match="must not be empty"):
        HandlerExecutor({"": handler})


def test_one_type_claimed_twice_is_refused() -> None:
    async def handler(task: HandlerTask) -> None: ...

    one, other = HandlerExecutor({"a": handler, "b": handler}), HandlerExecutor({"b": handler})
    with pytest.raises(ConfigError, match="'b' is claimed by two executors"):
        CombinedExecutor([one, other])


async def test_combined_statistics_are_sums() -> None:
    async def handler(task: HandlerTask) -> None: ...

    one, other = HandlerExecutor({"a": handler}), HandlerExecutor({"b": handler})
    combined = CombinedExecutor([one, other])
    for task_type in "aab":
        await combined.run(Job("task-7", task_type, RawJson.NULL), Events())
    assert combined.task_types == ("a", "b")
    assert combined.statistics() == ExecutorStatistics(started=3)


async def test_a_combination_reloads_every_part() -> None:
    async def handler(task: HandlerTask) -> None: ...

    parts = [ScriptedExecutor(("a",)), ScriptedExecutor(("b",))]
    await CombinedExecutor([*parts, HandlerExecutor({"c": handler})]).reload()
    assert [part.reloads for part in parts] == [1, 1]
