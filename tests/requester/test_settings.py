"""Settings of Python tasks, built from what a caller has in hand."""

from __future__ import annotations

import json
from datetime import date
from typing import Any

import pytest

from trio_runner.protocol.raw_json import RawJson
from trio_runner.requester.settings import Items, as_item, python_settings, raw_settings


@pytest.mark.parametrize(
    ("value", "item"),
    [
        ({"json": {"a": 1}}, {"json": {"a": 1}}),
        ({"json": {}, "binary": {"f": {}}}, {"json": {}, "binary": {"f": {}}}),
        ({"a": 1}, {"json": {"a": 1}}),
        ({"json": "a column of that name"}, {"json": {"json": "a column of that name"}}),
        (5, {"json": 5}),
        (None, {"json": None}),
        (["a"], {"json": ["a"]}),
    ],
)
def test_what_is_no_item_is_wrapped(value: object, item: object) -> None:
    assert as_item(value) == item


@pytest.mark.parametrize(("mode", "wire"), [("all", "runOnceForAllItems"), ("each", "runOnceForEachItem")])
def test_modes_have_their_wire_names(mode: Any, wire: str) -> None:
    assert python_settings("return 1", (), mode=mode).decode() == {
        "code": "return 1",
        "nodeMode": wire,
        "items": [],
    }


def test_a_trace_is_passed_on_and_what_is_none_is_refused() -> None:
    trace = f"00-{'a' * 32}-{'b' * 16}-01"
    assert python_settings("", (), mode="all", traceparent=trace).decode()["traceparent"] == trace
    for none in ("", trace.upper(), 5):
        with pytest.raises(ValueError, match="traceparent must be 00-"):
            python_settings("", (), mode="all", traceparent=none)


def test_options_that_are_none_are_left_out() -> None:
    settings = python_settings("c", [1], mode="all", query={"q": 1}, workflowId=None, continueOnFail=False)
    assert settings.decode() == {
        "code": "c",
        "nodeMode": "runOnceForAllItems",
        "query": {"q": 1},
        "continueOnFail": False,
        "items": [{"json": 1}],
    }


def test_raw_items_pass_untouched() -> None:
    items = RawJson(b'[ {"json":{"half an emoji":"\\ud83d"}} ]')
    settings = python_settings("return 'ä'", items, mode="all")
    assert items.data in settings.data
    assert json.loads(settings.data)["code"] == "return 'ä'"


@pytest.mark.parametrize("items", ["text", b"bytes", {"a": 1}, 5, None, {1, 2}])
def test_items_that_are_no_list_are_refused(items: Any) -> None:
    with pytest.raises(TypeError, match=f"list of items, not {type(items).__name__}"):
        python_settings("c", items, mode="all")


@pytest.mark.parametrize(
    ("items", "error", "message"),
    [
        ([1, 2, {"day": date(2026, 1, 1)}], TypeError, r"items\[2\] is not JSON: .*date"),
        ([float("nan")], ValueError, r"items\[0\] is not JSON: Out of range"),
    ],
)
def test_the_item_that_is_no_json_is_named(items: Items, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        python_settings("c", items, mode="all")


def test_an_unknown_mode_is_refused() -> None:
    with pytest.raises(ValueError, match="mode must be 'all' or 'each', not 'some'"):
        python_settings("c", (), mode="some")  # type: ignore[arg-type]


def test_settings_of_other_tasks_are_json_of_any_kind() -> None:
    raw = RawJson(b"[1 ]")
    assert raw_settings(raw) is raw
    assert raw_settings({"a": [1, None]}).decode() == {"a": [1, None]}
