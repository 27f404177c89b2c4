"""Whatever arrives, a codec returns a message or raises `RemoteProtocolError`."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from trio_runner.errors import RemoteProtocolError
from trio_runner.protocol.codec import (
    BROKER_TO_REQUESTER,
    BROKER_TO_RUNNER,
    REQUESTER_TO_BROKER,
    RUNNER_TO_BROKER,
    Codec,
    encode,
)

CODECS: list[Codec[Any]] = [BROKER_TO_RUNNER, RUNNER_TO_BROKER, REQUESTER_TO_BROKER, BROKER_TO_REQUESTER]
FRAMES = [
    b'{"type":"broker:tasksettings","taskId":"t","settings":{"code":"return 1","items":[{"json":{}}]}}',
    b'{"type":"broker:rpcresponse","callId":"c","taskId":"t","status":"success","data":null}',
    b'{"type":"broker:taskofferaccept","taskId":"t","offerId":"o"}',
    b'{"type":"runner:taskoffer","offerId":"o","taskType":"python","validFor":5250}',
    b'{"type":"runner:info","name":"Python Task Runner","types":["python","javascript"]}',
    b'{"type":"requester:rpcresponse","taskId":"t","callId":"c","status":"error","data":[1.5]}',
    rb'{"type":"broker:taskdone","taskId":"\u00e9","data":{"result":["\ud83d"]}}',
]
# Bytes that mean something to a parser are worth more than random ones.
SPICE = [b'"', b"\\", b"{", b"}", b"[", b"]", b",", b":", b"\\u", rb"\ud83d", b"\xff", b"\xed\xa0\xbd", b"\0"]
SPICE += [
    b"1e999",
    b"NaN",
    b"-",
    b"null",
    b"true",
    b'""',
    b" ",
    b"/",
    b"9" * 4301,
    b"[" * 2000,
    b'{"a":' * 999,
]


def feed(frame: bytes | str) -> None:
    """Give a frame to every codec; what is understood must also be possible to send on."""
    for codec in CODECS:
        try:
            decoded = codec.decode(frame)
        except RemoteProtocolError as exc:
            assert str(exc)
        else:
            assert repr(decoded)


@given(st.text())
def test_any_text(text: str) -> None:
    feed(text)


@given(st.binary())
def test_any_bytes(data: bytes) -> None:
    feed(data)


@given(st.sampled_from(FRAMES), st.data())
def test_frames_with_mutations(frame: bytes, data: st.DataObject) -> None:
    for _ in range(data.draw(st.integers(1, 4))):
        position = data.draw(st.integers(0, len(frame)))
        removed = data.draw(st.integers(0, 12))
        piece = data.draw(st.sampled_from(SPICE) | st.binary(max_size=4))
        frame = frame[:position] + piece + frame[position + removed :]
    feed(frame)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
FIELDS = [
    "taskId",
    "offerId",
    "callId",
    "requestId",
    "taskType",
    "name",
    "types",
    "validFor",
    "status",
    "data",
]
TYPES = [json.loads(frame)["type"] for frame in FRAMES]


@given(
    st.sampled_from(TYPES) | json_values,
    st.dictionaries(st.sampled_from([*FIELDS, "settings", "error", "reason"]), json_values),
    st.booleans(),
)
@example("runner:taskoffer", {"offerId": "o", "taskType": "p", "validFor": 10**400}, True)
@example("runner:taskoffer", {"offerId": "o", "taskType": "p", "validFor": float("inf")}, True)
@example("runner:info", {"name": "\ud83d", "types": ["\ud83d"]}, True)
def test_known_fields_with_any_values(tag: object, fields: dict[str, object], escape: bool) -> None:
    feed(json.dumps({"type": tag, **fields}, ensure_ascii=escape))


@given(st.sampled_from(TYPES), st.dictionaries(st.sampled_from(FIELDS), json_values))
def test_what_was_understood_can_be_sent(tag: str, fields: dict[str, object]) -> None:
    frame = json.dumps({"type": tag, "taskId": "t", "offerId": "o", "callId": "c", "settings": 0, **fields})
    for codec in CODECS:
        try:
            decoded = codec.decode(frame)
        except RemoteProtocolError:
            continue
        if type(decoded).__name__ != "UnknownMessage":
            assert codec.decode(encode(decoded)) == decoded


@pytest.mark.parametrize("spice", SPICE, ids=lambda spice: repr(spice[:12]))
def test_each_kind_of_mutation_at_each_place(spice: bytes) -> None:
    for frame in FRAMES[:4]:
        for position in range(len(frame) + 1):
            feed(frame[:position] + spice + frame[position + 1 :])
