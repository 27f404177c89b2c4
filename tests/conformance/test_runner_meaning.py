"""What running a Python task means: modes, items and results. Section 4 of the protocol's document."""

from __future__ import annotations

from typing import Any

import pytest

from .fake_broker import Session, settings_of
from .task_desk import TaskDesk

EACH = "runOnceForEachItem"
ITEMS = [{"json": {"n": 1}}, {"json": {"n": 2}}, {"json": {"n": 3}}]


@pytest.mark.row("2", "broker:tasksettings → runner:taskdone with data.result")
def test_the_answer_is_taskdone_with_the_result(plain: TaskDesk) -> None:
    end = plain.run("return [{'json': {'ok': True}}]").end
    assert end == {
        "type": "runner:taskdone",
        "taskId": end["taskId"],
        "data": {"result": [{"json": {"ok": True}}]},
    }


@pytest.mark.row("4", "all items: runs once with _items; what it returns is the result, unchanged")
@pytest.mark.parametrize(
    ("code", "result"),
    [
        ("return _items", ITEMS),
        ("return [item['json']['n'] for item in _items]", [1, 2, 3]),
        ("return None", None),
        ("pass", None),
        ("return 7", 7),
        ("return 1.5", 1.5),
        ("return 'text'", "text"),
        ("return True", True),
        ("return []", []),
        ("return {}", {}),
        ("return {'json': {'a': 1}}", {"json": {"a": 1}}),
        ("return (1, 2)", [1, 2]),
        ("return {1: 'int key', None: 'none key'}", {"1": "int key", "null": "none key"}),
        ("return 2 ** 100", 2**100),
    ],
)
def test_all_items_returns_what_the_code_returns(plain: TaskDesk, code: str, result: Any) -> None:
    got = plain.result(code, items=ITEMS)
    assert got == result
    assert type(got) is type(result)


@pytest.mark.row("4", "code is the body of a function: several lines, nested blocks, no return, tabs, CRLF")
@pytest.mark.parametrize(
    ("code", "result"),
    [
        ("total = 0\nfor item in _items:\n    total += item['json']['n']\nreturn total", 6),
        ("def double(n):\n\treturn n * 2\nreturn double(21)", 42),
        ("return '''two\nlines'''", "two\nlines"),
        ("x = 1\r\nif x:\r\n    return 'crlf'\r\n", "crlf"),
        ("# only a comment", None),
        ("", None),
        ("   \n\n", None),
        ("return 1  # trailing comment", 1),
        ("return (\n1\n+ 1)", 2),
        ("x = 5\ndef bump():\n    nonlocal x\n    x += 1\nbump()\nreturn x", 6),
        ("return [i for i in range(3) if i in [y for y in (0, 2)]]", [0, 2]),
        ("fib = lambda n: n if n < 2 else fib(n - 1) + fib(n - 2)\nreturn fib(10)", 55),
    ],
)
def test_code_is_a_function_body(plain: TaskDesk, code: str, result: object) -> None:
    assert plain.result(code, items=ITEMS) == result


@pytest.mark.row("4", "each item: runs once per item with _item, output {json, pairedItem: {item: index}}")
def test_each_item_pairs_its_outputs(plain: TaskDesk) -> None:
    assert plain.result("return {'twice': _item['json']['n'] * 2}", nodeMode=EACH, items=ITEMS) == [
        {"json": {"twice": 2}, "pairedItem": {"item": 0}},
        {"json": {"twice": 4}, "pairedItem": {"item": 1}},
        {"json": {"twice": 6}, "pairedItem": {"item": 2}},
    ]


@pytest.mark.row("4", "each item: a return of None drops the item, the others keep their index")
def test_each_item_drops_none(plain: TaskDesk) -> None:
    code = "if _item['json']['n'] == 2:\n    return None\nreturn {'n': _item['json']['n']}"
    assert plain.result(code, nodeMode=EACH, items=ITEMS) == [
        {"json": {"n": 1}, "pairedItem": {"item": 0}},
        {"json": {"n": 3}, "pairedItem": {"item": 2}},
    ]


@pytest.mark.row("4", "each item: falsy results other than None are kept")
@pytest.mark.parametrize(("code", "value"), [("0", 0), ("''", ""), ("False", False), ("[]", []), ("{}", {})])
def test_each_item_keeps_falsy_results(plain: TaskDesk, code: str, value: object) -> None:
    assert plain.result(f"return {code}", nodeMode=EACH) == [{"json": value, "pairedItem": {"item": 0}}]


@pytest.mark.row("4", "each item: json is the dict's own json, else the dict without binary, else the value")
@pytest.mark.parametrize(
    ("returned", "output"),
    [
        ("{'json': {'a': 1}}", {"json": {"a": 1}}),
        ("{'json': {'a': 1}, 'other': 2}", {"json": {"a": 1}}),
        ("{'a': 1}", {"json": {"a": 1}}),
        ("{'a': 1, 'binary': {'file': {}}}", {"json": {"a": 1}, "binary": {"file": {}}}),
        (
            "{'json': {'a': 1}, 'binary': {'f': {'data': 'QQ=='}}}",
            {"json": {"a": 1}, "binary": {"f": {"data": "QQ=="}}},
        ),
        ("{'binary': {'f': {}}}", {"json": {}, "binary": {"f": {}}}),
        ("{'json': None}", {"json": None}),
        ("7", {"json": 7}),
        ("'text'", {"json": "text"}),
        ("[1, 2]", {"json": [1, 2]}),
        ("{'json': {}, 'pairedItem': 9}", {"json": {}}),
    ],
)
def test_each_item_shapes_its_outputs(plain: TaskDesk, returned: str, output: dict[str, object]) -> None:
    assert plain.result(f"return {returned}", nodeMode=EACH) == [{**output, "pairedItem": {"item": 0}}]


@pytest.mark.row("4", "items bring json, binary and pairedItem to the code as they are")
def test_the_code_sees_whole_items(plain: TaskDesk) -> None:
    item = {
        "json": {"a": [1, {"b": None}]},
        "binary": {"f": {"mimeType": "text/plain"}},
        "pairedItem": {"item": 4},
    }
    assert plain.result("return _items", items=[item]) == [item]
    (output,) = plain.result("return {'seen': _item}", nodeMode=EACH, items=[item])
    assert output["json"] == {"seen": item}


@pytest.mark.row("4", "no items: all items sees an empty list, each item gives an empty list")
def test_no_items(plain: TaskDesk) -> None:
    assert plain.result("return len(_items)", items=[]) == 0
    assert plain.result("return 1", nodeMode=EACH, items=[]) == []


@pytest.mark.row("4", "_item is not there for all items, _items not for each item")
def test_a_mode_has_its_own_variable_only(plain: TaskDesk) -> None:
    assert "_item" in plain.error("return _item")["message"]
    assert "_items" in plain.error("return _items", nodeMode=EACH)["message"]


@pytest.mark.row("4", "query: a string, an object, null or absent, seen as _query")
@pytest.mark.parametrize("query", ["what is it?", {"city": "Ålesund", "n": [1]}, None, ...])
def test_the_code_sees_the_query(plain: TaskDesk, query: object) -> None:
    settings: dict[str, Any] = {} if query is ... else {"query": query}
    assert plain.result("return {'query': _query}", **settings) == {"query": None if query is ... else query}


@pytest.mark.row("4", "a value JSON does not know is written as str(value)")
def test_results_fall_back_to_str(free: TaskDesk) -> None:
    code = """
import datetime, decimal, uuid
class Thing:
    def __str__(self): return 'a thing'
return {
    'date': datetime.date(2024, 2, 29), 'decimal': decimal.Decimal('1.10'), 'set': {1},
    'uuid': uuid.UUID(int=5), 'bytes': b'raw', 'thing': [Thing()], 'complex': 1j,
}
"""
    assert free.result(code) == {
        "date": "2024-02-29",
        "decimal": "1.10",
        "set": "{1}",
        "uuid": "00000000-0000-0000-0000-000000000005",
        "bytes": "b'raw'",
        "thing": ["a thing"],
        "complex": "1j",
    }


@pytest.mark.row("4", "results are JSON: NaN and the infinities are none, and the error says so")
@pytest.mark.parametrize("number", ["nan", "inf", "-inf"])
def test_numbers_that_json_lacks(plain: TaskDesk, number: str) -> None:
    error = plain.error(f"return [float('{number}')]")
    assert "JSON" in error["message"]
    assert "None" in error["description"]  # the remedy


@pytest.mark.row("4", "a result JSON cannot hold (circular) is a failure, not a hang")
def test_a_circular_result_is_an_error(plain: TaskDesk) -> None:
    assert plain.error("loop = []\nloop.append(loop)\nreturn loop")["message"]


@pytest.mark.row("4", "a result nested deeper than the interpreter's stack is a failure of the task alone")
def test_a_very_deep_result_is_the_tasks_own_problem(plain: TaskDesk) -> None:
    run = plain.run("deep = []\nfor _ in range(200_000):\n    deep = [deep]\nreturn deep")
    assert not run.done
    assert plain.result("return 1") == 1


@pytest.mark.row("4", "text stays as it is: unicode, emoji, control characters")
def test_text_comes_back_as_it_went(plain: TaskDesk) -> None:
    text = 'Grüße, 日本語, 👩‍👩‍👧, \u0000\u0001\u2028\u2029\u007f\uffff, "quotes" \\ / \t\r\n'
    assert plain.result("return [item['json'] for item in _items]", items=[{"json": {text: text}}]) == [
        {text: text}
    ]


@pytest.mark.row("4", "text stays as it is: a lone surrogate, as JavaScript emits for a cut emoji")
def test_a_lone_surrogate_comes_back(plain: TaskDesk) -> None:
    assert plain.result("return [_items[0]['json']['cut'], 1]", items=[{"json": {"cut": "a\ud83d"}}]) == [
        "a\ud83d",
        1,
    ]


@pytest.mark.row("4", "a lone surrogate in the settings beside the items does no harm")
def test_a_lone_surrogate_in_the_code(plain: TaskDesk) -> None:
    assert plain.result("return 'ok'", nodeName="cut \ud83d", query="\udc00") == "ok"


@pytest.mark.row("4", "numbers keep their value: integers over 64 bits, 17 digits")
def test_numbers_come_back_as_they_went(plain: TaskDesk) -> None:
    numbers = [2**70, -(2**64), 0.1 + 0.2, 1e300, -0.0, 5e-324, 9007199254740993]
    assert plain.result("return _items[0]['json']['n']", items=[{"json": {"n": numbers}}]) == numbers


@pytest.mark.row("4", "workflowId, workflowName, nodeId, nodeName are optional")
def test_settings_without_names(plain: TaskDesk) -> None:
    async def bare(session: Session) -> object:
        task_id = await session.hold()
        whole = settings_of("return 'bare'")
        bare = {name: whole[name] for name in ("code", "nodeMode", "items")}
        session.peer.send({"type": "broker:tasksettings", "taskId": task_id, "settings": bare})
        return (await session.end(task_id)).result

    assert plain.use(bare) == "bare"


@pytest.mark.row("4", "unknown keys of the settings are tolerated")
def test_unknown_settings_are_tolerated(plain: TaskDesk) -> None:
    assert plain.result("return 1", somethingNew={"deep": [1]}, additionalProperties=None) == 1


@pytest.mark.row("4", "nodeMode: anything else is an error")
@pytest.mark.parametrize("mode", ["runOnceForEverything", "", None, 7])
def test_an_unknown_mode_is_an_error(plain: TaskDesk, mode: object) -> None:
    message = plain.error("return 1", nodeMode=mode)["message"]
    assert "nodeMode" in message or (isinstance(mode, str) and mode and mode in message), message


@pytest.mark.row("4", "settings that make no sense are an error of the task, which names the key")
@pytest.mark.parametrize(
    ("key", "value"),
    [("code", None), ("code", 7), ("items", "abc"), ("items", {"json": {}}), ("items", None)],
)
def test_settings_of_a_wrong_type_are_an_error(plain: TaskDesk, key: str, value: object) -> None:
    error = plain.error(**{"code": "return 1", key: value})  # type: ignore[arg-type]
    assert key in error["message"] + error["description"]


@pytest.mark.row("4", "settings that lack code are an error of the task, settings that are no object as well")
@pytest.mark.parametrize(
    "settings",
    [{}, {"nodeMode": "runOnceForAllItems", "items": []}, [], None, "code", 7, {"code": "return 1"}],
)
def test_settings_that_lack_something_are_an_error(plain: TaskDesk, settings: object) -> None:
    async def odd(session: Session) -> str:
        task_id = await session.hold()
        session.peer.send({"type": "broker:tasksettings", "taskId": task_id, "settings": settings})
        return str((await session.end(task_id)).error["message"])

    assert plain.use(odd)


@pytest.mark.row("4", "items that are not all objects reach the code; the runner stays whole")
def test_odd_items(plain: TaskDesk) -> None:
    assert plain.run("return _items", items=[1, None, "x", [2]]).end["type"] in (
        "runner:taskdone",
        "runner:taskerror",
    )
    assert plain.result("return 1") == 1
