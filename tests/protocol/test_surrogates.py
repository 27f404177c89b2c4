"""Half emojis: masked without moving anything, replaced without touching whole ones."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trio_runner.protocol.surrogates import mask_escaped_surrogates, replace_surrogates


@pytest.mark.parametrize("escape", [rb"\ud800", rb"\uDBFF", rb"\udc00", rb"\uDfFf"])
def test_every_escaped_surrogate_is_masked(escape: bytes) -> None:
    assert mask_escaped_surrogates(b'"a' + escape + b'b"') == rb'"a\ufffdb"'


@pytest.mark.parametrize("data", [rb'"\ud7ff"', rb'"\ue000"', rb'"\u00e9"', b'"ud800"', rb'"\ud8"', b"{}"])
def test_nothing_else_is_masked(data: bytes) -> None:
    assert mask_escaped_surrogates(data) == data


json_values = st.recursive(
    st.text(st.characters()),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


@given(json_values)
def test_a_mask_keeps_length_and_structure(value: object) -> None:
    data = json.dumps(value).encode()
    masked = mask_escaped_surrogates(data)
    assert len(masked) == len(data)
    assert [byte for byte in masked if byte in b'"[]{},:'] == [byte for byte in data if byte in b'"[]{},:']
    json.dumps(json.loads(masked), ensure_ascii=False).encode()


@pytest.mark.parametrize(
    ("text", "replaced"),
    [
        ("plain", "plain"),
        ("é😀", "é😀"),
        ("\ud83d", "\ufffd"),
        ("\ude00\ud83d", "\ufffd\ufffd"),
        ("\ud83d\ude00", "😀"),
        ("a\ud83db", "a\ufffdb"),
        ("", ""),
    ],
)
def test_lone_surrogates_are_replaced(text: str, replaced: str) -> None:
    assert replace_surrogates(text) == replaced


@given(st.text(st.characters()))
def test_replaced_text_can_always_be_encoded(text: str) -> None:
    replace_surrogates(text).encode()
