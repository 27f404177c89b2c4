"""Results as JSON."""

from __future__ import annotations

import datetime
import decimal
import enum
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trio_runner.sandbox.report import Failure, TaskFailed
from trio_runner.sandbox.results import encode_result

from .running import FREE, run

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters()),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters()), inner),
    max_leaves=6,
)


class Hostile:
    """Its str() raises."""

    def __str__(self) -> str:
        raise ValueError("mute")


class Colour(enum.IntEnum):
    """A number that is more."""

    RED = 1


def refusal(value: object, limit: int = 10**6) -> Failure:
    with pytest.raises(TaskFailed) as caught:
        encode_result(value, limit)
    assert caught.value.failure.kind == "result"
    assert caught.value.failure.description
    return caught.value.failure


@settings(deadline=None)
@given(JSON)
def test_what_json_knows_comes_back(value: object) -> None:
    assert json.loads(encode_result(value, 10**6).decode("utf-8")) == value


@settings(deadline=None)
@given(JSON)
def test_a_task_hands_its_input_through(value: Any) -> None:
    assert run("return _items", [value]).result == [value]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("Grüße 👋", '"Grüße 👋"'),
        ("\ud83d!", '"\\ud83d!"'),
        ({"\udc00": "\\\udc00"}, '{"\\udc00":"\\\\\\udc00"}'),
        ((1, 2), "[1,2]"),
        ({7: 1, None: 2, True: 3, 1.5: 4}, '{"7":1,"null":2,"true":3,"1.5":4}'),
        (2**100, str(2**100)),
        (datetime.date(2024, 2, 29), '"2024-02-29"'),
        ([decimal.Decimal("1.10"), {7}, b"raw", 1j, Colour.RED], '["1.10","{7}","b\'raw\'","1j",1]'),
    ],
)
def test_how_values_are_written(value: object, text: str) -> None:
    assert encode_result(value, 10**6).decode() == text


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (float("nan"), "result is NaN"),
        ([{"json": {"price": 1.5}}, {"json": {"price": float("inf")}}], "result[1].json.price is Infinity"),
        ({"a b": [1, (2, -float("inf"))]}, "result['a b'][1][1] is -Infinity"),
        ({"a": {float("nan"): 1}}, "result.a has the key NaN"),
        ([{"x": {(1, 2): 3}}], "result[0].x has a key of type tuple"),
        ([{b"x": 3}], "result[0] has a key of type bytes"),
    ],
)
def test_what_json_lacks_is_named_with_its_place(value: object, message: str) -> None:
    assert refusal(value).message == f"The result is not valid JSON: {message}"


def test_a_circle_is_named_with_its_place() -> None:
    loop: dict[str, Any] = {"a": [1]}
    loop["a"].append({"back": loop})
    assert (
        refusal(loop).message
        == "The result is not valid JSON: result.a[1].back is circular, it contains itself"
    )


def test_the_same_value_twice_is_no_circle() -> None:
    twice = [1]
    assert encode_result([twice, {"a": twice}], 100) == b'[[1],{"a":[1]}]'
    assert "result[2] is NaN" in refusal([twice, twice, float("nan")]).message


def test_nesting_that_is_too_deep() -> None:
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    assert refusal(deep).message == "The result is nested too deeply for JSON"


def test_a_number_of_too_many_digits() -> None:
    what = "an integer of more than 4300 digits"
    failure = refusal({"a": [1, 10**4299, 10**4300]})
    assert failure.message == f"The result is not valid JSON: result.a[2] is {what}"
    assert failure.description.endswith("return it as text, such as hex(number).")
    assert refusal({10**5000: 1}).message == f"The result is not valid JSON: result has {what} as key"


def test_an_object_that_cannot_be_written() -> None:
    assert refusal([Hostile()]).message == (
        "The result holds a Hostile that cannot be written: its str() raised ValueError"
    )


def test_a_result_at_the_limit_and_beyond() -> None:
    assert encode_result("é" * 4, 10) == ('"' + "é" * 4 + '"').encode()
    failure = refusal("é" * 5, 10)
    assert failure.message == "The result is too large: 12 bytes of JSON, and at most 10 are allowed"
    assert "N8N_RUNNERS_MAX_PAYLOAD" in failure.description


def test_a_str_that_ends_the_process_is_what_the_code_did() -> None:
    code = "class A:\n    def __str__(self):\n        raise SystemExit(3)\nreturn A()"
    failure = run(code, policy=FREE).failure
    assert failure["message"] == "Process exited with code 3"
    assert failure["kind"] == "user-code"
