"""The two modes."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from .running import ALL, EACH, FREE, run

ITEMS = [{"json": {"n": 1}}, {"json": {"n": 2}}, {"json": {"n": 3}}]
VALUES = st.none() | st.integers() | st.text() | st.lists(st.integers())
OUTPUTS = VALUES | st.dictionaries(st.sampled_from(["json", "binary", "a", "pairedItem"]), VALUES)


@pytest.mark.parametrize("value", [None, 7, 1.5, "text", True, [], {}, {"json": {"a": 1}}, [[1], None]])
def test_all_items_the_result_is_unchanged(value: object) -> None:
    assert run("return _items[0]", [value]).result == value


def test_all_items_the_code_sees_items_and_query() -> None:
    assert run("return [_items, _query]", ITEMS, query={"q": 1}).result == [ITEMS, {"q": 1}]
    assert run("return _query").result is None


def expected_item(output: Any, index: int) -> dict[str, Any]:
    item: dict[str, Any] = {"json": output, "pairedItem": {"item": index}}
    if isinstance(output, dict):
        rest = {key: value for key, value in output.items() if key != "binary"}
        item["json"] = output.get("json", rest)
        if "binary" in output:
            item["binary"] = output["binary"]
    return item


@settings(deadline=None)
@given(st.lists(OUTPUTS, max_size=5))
def test_each_item_becomes_one_output_or_none(outputs: list[Any]) -> None:
    items = [{"json": {"out": output}} for output in outputs]
    assert run("return _item['json']['out']", items, mode=EACH).result == [
        expected_item(output, index) for index, output in enumerate(outputs) if output is not None
    ]


@pytest.mark.parametrize(
    ("returned", "output"),
    [
        ("{'a': 1}", {"json": {"a": 1}}),
        ("{'json': {'a': 1}, 'x': 2}", {"json": {"a": 1}}),
        ("{'json': None}", {"json": None}),
        ("{'a': 1, 'binary': {'f': 1}}", {"json": {"a": 1}, "binary": {"f": 1}}),
        ("{'json': {}, 'binary': {'f': 1}}", {"json": {}, "binary": {"f": 1}}),
        ("{}", {"json": {}}),
        ("0", {"json": 0}),
        ("''", {"json": ""}),
        ("[1]", {"json": [1]}),
        ("(1, 2)", {"json": [1, 2]}),
    ],
)
def test_each_item_what_becomes_json_and_binary(returned: str, output: dict[str, object]) -> None:
    assert run(f"return {returned}", [{}], mode=EACH).result == [{**output, "pairedItem": {"item": 0}}]


def test_each_item_a_none_is_dropped_and_the_others_keep_their_index() -> None:
    code = "if _item['json']['n'] != 2: return _item['json']"
    assert [item["pairedItem"] for item in run(code, ITEMS, mode=EACH).result] == [{"item": 0}, {"item": 2}]


@pytest.mark.parametrize("mode", [ALL, EACH])
def test_no_items(mode: str) -> None:
    assert run("return []", mode=mode).result == []


def test_each_item_nothing_is_left_of_the_run_before() -> None:
    code = "global seen\ntry:\n    seen\nexcept NameError:\n    seen = 1\n    return 'fresh'"
    assert [item["json"] for item in run(code, ITEMS, mode=EACH).result] == ["fresh"] * 3


def test_each_item_a_failure_says_which_item() -> None:
    failure = run("return 1 / (3 - _item['json']['n'])", ITEMS, mode=EACH).failure
    assert failure["message"] == "division by zero"
    assert "Item 2 (counted from 0) of 3." in failure["description"]
    assert failure["lineNumber"] == 1


def test_all_items_a_failure_says_nothing_of_items() -> None:
    assert "Item" not in run("1 / 0", ITEMS).failure["description"]


@pytest.mark.parametrize(
    ("mode", "name", "hint"),
    [(ALL, "_item", "'_items'"), (EACH, "_items", "'_item'"), (EACH, "_query", "'_item'")],
)
def test_the_variable_of_the_other_mode_gets_a_hint(mode: str, name: str, hint: str) -> None:
    failure = run(f"return {name}", [{}], mode=mode).failure
    assert failure["message"] == f"name '{name}' is not defined"
    assert hint in failure["description"]


def test_each_item_a_dict_of_ones_own_type_counts_as_a_dict() -> None:
    code = "class D(dict): pass\nreturn D(a=1, binary=2)"
    (item,) = run(code, [{}], mode=EACH, policy=FREE).result
    assert item == {"json": {"a": 1}, "binary": 2, "pairedItem": {"item": 0}}
