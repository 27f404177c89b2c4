"""`print()` in user code: section 4 of the protocol's document, and `runner:rpc` of section 2."""

from __future__ import annotations

import json
import re

import pytest

from .fake_broker import Session, fresh_id
from .processes import MARK, WAIT, go_on
from .task_desk import TaskDesk


@pytest.mark.row("2", "runner:rpc logNodeOutput: callId, taskId, name, params, before taskdone, in order")
def test_each_print_is_one_call_before_the_end(plain: TaskDesk) -> None:
    run = plain.run("for n in range(20):\n    print('line', n)\nreturn 'end'")
    assert run.prints == [["'line'", str(n)] for n in range(20)]
    assert run.messages[-1] == run.end
    calls = run.messages[1:-1]
    assert run.messages[0]["type"] == "runner:taskaccepted"
    assert all(set(call) == {"type", "callId", "taskId", "name", "params"} for call in calls)
    assert {call["name"] for call in calls} == {"logNodeOutput"}
    assert len({call["callId"] for call in calls}) == 20


@pytest.mark.row("4", "print: a str in single quotes, None/int/float/bool by str()")
@pytest.mark.parametrize(
    ("argument", "formatted"),
    [
        ("'text'", "'text'"),
        ("''", "''"),
        ("'Grüße 👋'", "'Grüße 👋'"),
        ("'two\\nlines'", "'two\nlines'"),
        ("'{}'", "'{}'"),
        ("None", "None"),
        ("7", "7"),
        ("-1.5", "-1.5"),
        ("2 ** 80", str(2**80)),
        ("True", "True"),
        ("float('nan')", "nan"),
        ("1e100", "1e+100"),
    ],
)
def test_simple_arguments(plain: TaskDesk, argument: str, formatted: str) -> None:
    assert plain.run(f"print({argument})").prints == [[formatted]]


@pytest.mark.row("4", "print: anything else as JSON with str for the rest")
@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("[1, 'a', None, True]", [1, "a", None, True]),
        ("{'k': {'n': [1.5]}}", {"k": {"n": [1.5]}}),
        ("(1, 2)", [1, 2]),
        ("[]", []),
        ("{'ü': '👋'}", {"ü": "👋"}),
        ("{1}", "{1}"),
        ("b'raw'", "b'raw'"),
        ("[b'raw', {2}]", ["b'raw'", "{2}"]),
        ("[[1]] * 2", [[1], [1]]),
    ],
)
def test_structured_arguments(plain: TaskDesk, argument: str, value: object) -> None:
    ((formatted,),) = plain.run(f"print({argument})").prints
    assert json.loads(formatted) == value


@pytest.mark.row("4", "print: JSON keeps text as it is, no ASCII escapes needed")
def test_json_arguments_are_readable(plain: TaskDesk) -> None:
    ((formatted,),) = plain.run("print(['Grüße'])").prints
    assert "Grüße" in formatted


@pytest.mark.row("4", "print: an argument JSON cannot hold as [Circular {type name}]")
@pytest.mark.parametrize(
    ("make", "formatted"),
    [
        ("loop = []\nloop.append(loop)", "[Circular list]"),
        ("loop = {}\nloop['self'] = loop", "[Circular dict]"),
        ("inner = []\nloop = {'a': inner}\ninner.append(loop)", "[Circular dict]"),
    ],
)
def test_circular_arguments(plain: TaskDesk, make: str, formatted: str) -> None:
    assert plain.run(f"{make}\nprint('before', loop, 1)").prints == [["'before'", formatted, "1"]]


@pytest.mark.row("4", "print: no arguments, many arguments, sep and end")
def test_argument_counts(plain: TaskDesk) -> None:
    run = plain.run("print()\nprint(1, 'two', [3])\nprint('a', 'b', sep='-', end='!')")
    assert run.prints[0] == []
    assert run.prints[1][:2] == ["1", "'two'"]
    assert json.loads(run.prints[1][2]) == [3]
    assert run.prints[2] == ["'a'", "'b'"]


@pytest.mark.row("4", "print: an argument whose own methods fail harms the task at most, with a message")
def test_an_argument_that_cannot_be_written(free: TaskDesk) -> None:
    code = "class Mute:\n    def __str__(self): raise ValueError('mute')\nprint(Mute())\nreturn 'went on'"
    run = free.run(code)
    assert run.done or run.error["message"]
    assert free.result("return 1") == 1


@pytest.mark.row("4", "print: the first 100 calls, then one line saying how many were cut")
@pytest.mark.parametrize("calls", [100, 101, 250])
def test_the_calls_are_limited(plain: TaskDesk, calls: int) -> None:
    run = plain.run(f"for n in range({calls}):\n    print(n)\nreturn 'end'")
    assert run.result == "end"
    assert run.prints[:100] == [[str(n)] for n in range(100)]
    if calls == 100:
        assert len(run.prints) == 100
    else:
        (notice,) = run.prints[100:]
        assert str(calls - 100) in re.findall(r"\d+", " ".join(notice))


@pytest.mark.row("4", "print: the limit counts one task's calls, over all its items")
def test_the_limit_is_per_task(plain: TaskDesk) -> None:
    items = [{"json": {"n": n}} for n in range(120)]
    first = plain.run("print(_item['json']['n'])", nodeMode="runOnceForEachItem", items=items)
    assert len(first.prints) == 101
    assert plain.run("print('fresh')").prints == [["'fresh'"]]


@pytest.mark.row("4", "print: sent while the task runs, not kept until its end")
def test_prints_come_live(free: TaskDesk) -> None:
    marker = fresh_id("live-marker")

    async def watch(session: Session) -> object:
        task_id = await session.start(f"{MARK.format(marker=marker)}{WAIT}return 'only now'")
        await session.printed(task_id, "'up'")
        go_on(marker)  # not before: the task has not ended
        return (await session.end(task_id)).result

    assert free.use(watch) == "only now"


@pytest.mark.row("4", "print: the same text also reaches the runner's own log")
def test_prints_reach_the_log(plain: TaskDesk) -> None:
    text = fresh_id("seen-in-the-log")
    plain.run(f"print('{text}')")
    plain.use(lambda session: plain.daemon.line(text))


@pytest.mark.row("4", "print: large output comes whole")
def test_a_large_print(plain: TaskDesk) -> None:
    ((formatted,),) = plain.run("print('x' * 2_000_000)").prints
    assert formatted == "'" + "x" * 2_000_000 + "'"


@pytest.mark.row("4", "print(file=sys.stderr) is captured stderr, no call")
def test_prints_to_stderr_are_no_calls(free: TaskDesk) -> None:
    run = free.run("import sys\nprint('aside', file=sys.stderr)\nprint('shown')\nreturn 1")
    assert run.result == 1
    assert run.prints == [["'shown'"]]


@pytest.mark.row(
    "2", "broker:rpcresponse is tolerated: success, error, unknown call, unknown task, after the end"
)
def test_responses_to_calls_are_tolerated(free: TaskDesk) -> None:
    marker = fresh_id("response-marker")

    async def respond(session: Session) -> object:
        task_id = await session.start(f"{MARK.format(marker=marker)}{WAIT}return 'unharmed'")
        call = await session.peer.next("runner:rpc", taskId=task_id)
        answers = [
            {"callId": call["callId"], "taskId": task_id, "status": "success", "data": None},
            {"callId": call["callId"], "taskId": task_id, "status": "error", "data": {"message": "no"}},
            {"callId": "unknown", "taskId": "unknown", "status": "success", "data": [1]},
            {"callId": call["callId"], "taskId": task_id, "status": "success"},
        ]
        session.peer.send(*({"type": "broker:rpcresponse", **answer} for answer in answers))
        await session.fence()
        go_on(marker)
        run = await session.end(task_id)
        session.peer.send(*({"type": "broker:rpcresponse", **answer} for answer in answers))
        await session.fence()
        return run.result

    assert free.use(respond) == "unharmed"


@pytest.mark.row("4", "prints of tasks side by side go to their own task")
def test_prints_of_two_tasks_do_not_mix(free: TaskDesk) -> None:
    async def both(session: Session) -> list[list[list[str]]]:
        code = (
            "import time\nfor n in range(10):\n    print(_items[0]['json']['name'], n)\n    time.sleep(0.01)"
        )
        tasks = [await session.start(code, items=[{"json": {"name": name}}]) for name in ("left", "right")]
        return [(await session.end(task_id)).prints for task_id in tasks]

    left, right = free.use(both)
    assert left == [["'left'", str(n)] for n in range(10)]
    assert right == [["'right'", str(n)] for n in range(10)]
