"""JSON values kept as bytes: made, checked, decoded, and never shown whole."""

from __future__ import annotations

import json
import math
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trio_runner.protocol.raw_json import RawJson

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


# --- of ---------------------------------------------------------------------------------------------


@given(json_values)
def test_what_is_made_can_be_checked_and_decoded(value: object) -> None:
    raw = RawJson.of(value)
    assert RawJson.checked(raw.data) == raw
    assert raw.decode() == value


def test_text_is_written_as_it_is() -> None:
    assert RawJson.of({"é": "😀"}).data == '{"é":"😀"}'.encode()


def test_half_an_emoji_is_escaped() -> None:
    raw = RawJson.of(["é\ud83d"])
    assert raw.data == rb'["\u00e9\ud83d"]'
    assert raw.decode() == ["é\ud83d"]


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, [math.nan]])
def test_numbers_that_are_no_json_are_refused(value: object) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        RawJson.of(value)


def test_a_circle_is_refused() -> None:
    circle: list[Any] = []
    circle.append(circle)
    with pytest.raises(ValueError, match="Circular"):
        RawJson.of(circle)


def test_a_value_nested_too_deeply_is_refused() -> None:
    value: list[Any] = []
    for _ in range(200_000):
        value = [value]
    with pytest.raises(ValueError, match="nested too deeply"):
        RawJson.of(value)


@pytest.mark.parametrize("value", [object(), {1, 2}, b"bytes", {("a",): 1}])
def test_what_json_does_not_know_is_refused(value: object) -> None:
    with pytest.raises(TypeError):
        RawJson.of(value)


# --- checked ----------------------------------------------------------------------------------------

GOOD = [
    b"null",
    b" [1, 2.50, -0, 1E5]\n",
    b'{"a":1,"a":2}',
    '"é😀\u2028\x7f"'.encode(),
    rb'"\ud83d\ude00 \ud83d \\ud83d \\\ude00 \u0000"',
    rb'{"\ud83d":[]}',
    b"1e999",
    b"9" * 5000,
    b"[" * 400 + b"]" * 400,
    ('"' + "é" * 100_000 + '"').encode(),
    (" " * 65_534 + '"😀é"').encode(),
]


@pytest.mark.parametrize("data", GOOD, ids=lambda data: str(data[:16]))
def test_one_json_value_is_taken_byte_for_byte(data: bytes) -> None:
    assert RawJson.checked(data).data is data


BAD = [
    b"",
    b" ",
    b"{",
    b"[1,]",
    b"[1 2]",
    b"1 2",
    b"null,",
    b"{}{}",
    b"{'a':1}",
    b"{1:2}",
    b"NaN",
    b"[Infinity]",
    b"-Infinity",
    b"01",
    b"+1",
    b"1.",
    b"-",
    b"tru",
    b'"\t"',
    rb'"\x41"',
    rb'"\u12"',
    rb'"\ud8"',
    rb'"\ud83d',
    rb"\ud83d",
    rb'{"a":"\ud83d",}',
    b'"open',
    b"\xef\xbb\xbf1",
    "1".encode("utf-16"),
    b"\0",
    b"/* */1",
]


@pytest.mark.parametrize("data", BAD, ids=lambda data: str(data[:16]))
def test_anything_else_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match=r".+"):
        RawJson.checked(data)


@pytest.mark.parametrize(
    "broken",
    [b"\xff", b"\xc3", b"\xc0\x80", b"\xed\xa0\xbd", b"\xf5\x80\x80\x80", b"\xe2\x82", b"\x80"],
)
@pytest.mark.parametrize("around", [b'"%s"', b'["a", {"b": "%s"}]', b'{"%s": 1}', rb'"\ud83d %s"'])
def test_text_that_is_no_utf8_is_refused_wherever_it_is(broken: bytes, around: bytes) -> None:
    """One such byte in a result, sent on, would end the connection and with it every task on it."""
    with pytest.raises(ValueError, match="utf-8"):
        RawJson.checked(around.replace(b"%s", broken))


@pytest.mark.parametrize("position", [65_530, 65_534, 65_535, 65_536, 131_070])
def test_utf8_is_checked_across_the_seams_of_large_values(position: int) -> None:
    text = "a" * position + "😀" + "a" * 10
    assert RawJson.checked(f'"{text}"'.encode()).decode() == text
    broken = f'"{text}"'.encode().replace("😀".encode(), b"\xf0\x9f\x98a")
    with pytest.raises(ValueError, match="utf-8"):
        RawJson.checked(broken)


@pytest.mark.parametrize(
    "data", [b"[" * 100_000 + b"]" * 100_000, b'{"a":' * 100_000 + b"0" + b"}" * 100_000]
)
def test_a_nesting_bomb_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="nested too deeply"):
        RawJson.checked(data)
    with pytest.raises(ValueError, match="nested too deeply"):
        RawJson.checked(rb'["\ud83d",' + data + b"]")


@given(st.binary() | st.text().map(str.encode))
def test_whatever_passes_is_json_and_utf8(data: bytes) -> None:
    try:
        checked = RawJson.checked(data)
    except ValueError:
        return
    json.loads(data.decode())
    checked.decode()


# --- decode and the rest ----------------------------------------------------------------------------


@pytest.mark.parametrize("data", [b"", b"{", b"nonsense", b"\xff", b"[" * 200_000, b"9" * 5000])
def test_decoding_what_is_no_json_raises_value_error(data: bytes) -> None:
    with pytest.raises(ValueError, match=r".+"):
        RawJson(data).decode()


def test_null() -> None:
    assert RawJson.NULL.data == b"null"
    assert RawJson.NULL.decode() is None


def test_length_is_that_of_the_bytes() -> None:
    assert len(RawJson.of("é")) == 4


def test_a_payload_never_ends_up_in_a_log_by_its_repr() -> None:
    assert repr(RawJson.of("secret")) == "RawJson(8 bytes)"


def test_values_are_compared_by_their_bytes_and_cannot_be_changed() -> None:
    assert RawJson(b"1") == RawJson(b"1") != RawJson(b"1.0")
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        RawJson(b"1").data = b"2"  # type: ignore[misc]
