"""Splitting a frame into fields: exact places of the values, also where msgspec needs a mask."""

from __future__ import annotations

import json
from itertools import cycle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trio_runner.errors import RemoteProtocolError
from trio_runner.protocol.envelope import split_fields

# Pieces of JSON strings that could lead a search for places astray.
TRICKY = ['"', "\\", "\ud83d", "\ude00", "😀", "é", ":", ",", "{", "}", "\n", "\\ud83d", '\\"', "\x00", "a"]
strings = st.lists(st.sampled_from(TRICKY) | st.characters(), max_size=6).map("".join)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | strings,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(strings, inner, max_size=3),
    max_leaves=5,
)
spaces = st.text(st.sampled_from(" \t\r\n"), max_size=2)


@given(st.lists(st.tuples(strings, values), max_size=5), st.lists(spaces, min_size=1, max_size=5))
def test_every_field_is_cut_out_exactly(pairs: list[tuple[str, object]], spacing: list[str]) -> None:
    endless = cycle(spacing)

    def s() -> str:
        return next(endless)

    pieces = [(json.dumps(name), json.dumps(value)) for name, value in pairs]
    inside = ",".join(f"{s()}{name}{s()}:{s()}{piece}{s()}" for name, piece in pieces)
    fields = split_fields(f"{s()}{{{inside or s()}}}{s()}")
    expected = {json.loads(name): piece.encode() for name, piece in pieces}
    # A name with an escaped surrogate cannot be that of a known field; how it is spelled does not matter.
    for name, piece in expected.items():
        if "\\ud" not in json.dumps(name):
            assert bytes(fields[name]) == piece
    assert len(fields) <= len(expected)


def test_values_are_not_copied() -> None:
    frame = b'{"data":"' + b"x" * 1000 + rb'\ud83d"}'
    assert split_fields(frame)["data"].obj is frame


def test_masked_names_do_not_become_known_ones() -> None:
    fields = split_fields(rb'{"type":"\ud83d","\ud83dtype":1,"\\ud83d":2}')
    assert bytes(fields["type"]) == rb'"\ud83d"'


@pytest.mark.parametrize("frame", [b"", b"[]", b"{", b'{"a":1}}', b'{"a" 1}', rb'{"\ud83d":1,}', b"\xff"])
def test_what_is_no_object_is_refused(frame: bytes) -> None:
    with pytest.raises(RemoteProtocolError, match="message is not a JSON object"):
        split_fields(frame)
