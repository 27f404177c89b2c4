"""Settings, read without trust."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trio_runner.sandbox.framing import FrameKind
from trio_runner.sandbox.report import TaskFailed
from trio_runner.sandbox.task_settings import read_object, read_settings, started_payload

from .running import run, run_settings

GOOD: dict[str, Any] = {"code": "return 1", "nodeMode": "runOnceForAllItems", "items": []}
UNKNOWN = {"workflowId": "Unknown", "workflowName": "Unknown", "nodeId": "Unknown", "nodeName": "Unknown"}


def message(fields: dict[str, Any]) -> str:
    with pytest.raises(TaskFailed) as caught:
        read_settings(fields)
    assert caught.value.failure.kind == "settings"
    return caught.value.failure.message


def test_good_settings() -> None:
    read = read_settings({**GOOD, "items": [1], "query": {"a": 1}, "unknown": 2})
    assert read.code == "return 1"
    assert read.items == [1]
    assert read.query == {"a": 1}
    assert not read.each_item
    assert read_settings({**GOOD, "nodeMode": "runOnceForEachItem"}).each_item


def test_a_byte_order_mark_is_no_code() -> None:
    assert read_settings({**GOOD, "code": "\ufeffreturn 1"}).code == "return 1"


MODES = '; it must be "runOnceForAllItems" or "runOnceForEachItem"'


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"code": None}, "The task's setting 'code' is null; it must be text, the body of a Python function"),
        ({"code": 7}, "The task's setting 'code' is 7; it must be text, the body of a Python function"),
        ({"nodeMode": "runTwice"}, f"The task's setting 'nodeMode' is \"runTwice\"{MODES}"),
        ({"nodeMode": None}, f"The task's setting 'nodeMode' is null{MODES}"),
        ({"nodeMode": ["runOnceForAllItems"]}, f"The task's setting 'nodeMode' is a list{MODES}"),
        ({"items": None}, "The task's setting 'items' is null; it must be a list of items"),
        ({"items": {"json": {}}}, "The task's setting 'items' is an object; it must be a list of items"),
        (
            {"items": "x" * 1000},
            "The task's setting 'items' is \""
            + "x" * 59
            + "… 942 more characters; it must be a list of items",
        ),
    ],
)
def test_a_wrong_value_is_named(change: dict[str, Any], expected: str) -> None:
    assert message({**GOOD, **change}) == expected


@pytest.mark.parametrize("key", ["code", "nodeMode", "items"])
def test_a_missing_key_is_named(key: str) -> None:
    assert f"'{key}' is missing" in message({name: value for name, value in GOOD.items() if name != key})


@pytest.mark.parametrize(
    ("data", "part"),
    [
        (b"", "not readable as JSON"),
        (b"{", "not readable as JSON"),
        (b"\xff\xfe\xff", "not readable as JSON"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"a":' * 100_000, "nested too deeply"),
        (b"1" * 5000, "not readable as JSON"),
        (b"[]", "must be a JSON object, not a list"),
        (b"null", "must be a JSON object, not null"),
        (b'"code"', 'must be a JSON object, not "code"'),
    ],
)
def test_what_is_no_object_fails_before_the_start(data: bytes, part: str) -> None:
    frames = run_settings(data)
    assert frames.kinds == [FrameKind.FAILED]
    assert frames.failure["kind"] == "settings"
    assert part in frames.failure["message"]


def test_a_wrong_value_fails_after_the_start_so_that_continue_on_fail_counts() -> None:
    frames = run("x", mode="nonsense", continueOnFail=True)
    assert frames.kinds == [FrameKind.STARTED, FrameKind.FAILED]
    assert frames.frames[0][1]["continueOnFail"] is True


@pytest.mark.parametrize(
    ("fields", "started"),
    [
        ({}, {"continueOnFail": False, **UNKNOWN}),
        ({"continueOnFail": None, "workflowId": None, "nodeName": ""}, {"continueOnFail": False, **UNKNOWN}),
        ({"continueOnFail": "yes", "nodeId": [], "nodeName": True}, {"continueOnFail": False, **UNKNOWN}),
        (
            {
                "continueOnFail": True,
                "workflowId": "w",
                "workflowName": "Wörk",
                "nodeId": 7,
                "nodeName": "\ud83d",
            },
            {
                "continueOnFail": True,
                "workflowId": "w",
                "workflowName": "Wörk",
                "nodeId": "7",
                "nodeName": "\ud83d",
            },
        ),
    ],
)
def test_what_the_runner_is_told(fields: dict[str, object], started: dict[str, object]) -> None:
    assert json.loads(started_payload(fields).decode("utf-8")) == started


def test_the_runner_is_told_the_trace_if_it_can_be_one() -> None:
    trace = f"00-{'a' * 32}-{'b' * 16}-01"
    assert json.loads(started_payload({"traceparent": trace}))["traceparent"] == trace
    for none in (f"{trace}-x", "a" * 10**6, "", 55, [trace]):
        assert "traceparent" not in json.loads(started_payload({"traceparent": none}))


@settings(deadline=None)
@given(st.binary() | st.text().map(str.encode))
def test_no_bytes_are_too_odd_to_read(data: bytes) -> None:
    try:
        assert isinstance(read_object(data), dict)
    except TaskFailed as failed:
        assert failed.failure.kind == "settings"


ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(), lambda inner: st.lists(inner), max_leaves=6
)


@settings(deadline=None)
@given(st.dictionaries(st.sampled_from([*GOOD, "continueOnFail", "nodeId", "query"]), ANY))
def test_no_values_are_too_odd_to_judge(fields: dict[str, object]) -> None:
    assert json.loads(started_payload(fields))["continueOnFail"] is (fields.get("continueOnFail") is True)
    try:
        read_settings(fields)
    except TaskFailed as failed:
        assert failed.failure.kind == "settings"
