"""Every message on the wire: names, types, tolerance, and what is refused with which words."""

from __future__ import annotations

import json
from typing import Any, get_args, get_type_hints

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trio_runner.errors import RemoteProtocolError
from trio_runner.protocol import messages as m
from trio_runner.protocol.codec import (
    BROKER_TO_REQUESTER,
    BROKER_TO_RUNNER,
    REQUESTER_TO_BROKER,
    RUNNER_TO_BROKER,
    Codec,
    UnknownMessage,
    encode,
    wire_type,
)
from trio_runner.protocol.raw_json import RawJson

RAW = RawJson(b'{"some": ["payload", 1.0]}')
PAYLOAD = {"some": ["payload", 1.0]}

# Written by hand from the tables of the protocol: what other people's brokers and runners send and expect.
ON_THE_WIRE: list[tuple[object, dict[str, Any]]] = [
    (m.InfoRequest(), {"type": "broker:inforequest"}),
    (m.RunnerRegistered(), {"type": "broker:runnerregistered"}),
    (m.TaskOfferAccept("t", "o"), {"type": "broker:taskofferaccept", "taskId": "t", "offerId": "o"}),
    (m.TaskSettings("t", RAW), {"type": "broker:tasksettings", "taskId": "t", "settings": PAYLOAD}),
    (m.TaskCancel("t", "why"), {"type": "broker:taskcancel", "taskId": "t", "reason": "why"}),
    (
        m.RpcResponse("c", "t", "success", RAW),
        {"type": "broker:rpcresponse", "callId": "c", "taskId": "t", "status": "success", "data": PAYLOAD},
    ),
    (
        m.TaskDataResponse("t", "r", RAW),
        {"type": "broker:taskdataresponse", "taskId": "t", "requestId": "r", "data": PAYLOAD},
    ),
    (
        m.NodeTypes("t", "r", RAW),
        {"type": "broker:nodetypes", "taskId": "t", "requestId": "r", "nodeTypes": PAYLOAD},
    ),
    (m.Drain(), {"type": "broker:drain"}),
    (
        m.RunnerInfo("Python Task Runner", ("python",)),
        {"type": "runner:info", "name": "Python Task Runner", "types": ["python"]},
    ),
    (
        m.TaskOffer("o", "python", 5250),
        {"type": "runner:taskoffer", "offerId": "o", "taskType": "python", "validFor": 5250},
    ),
    (m.TaskAccepted("t"), {"type": "runner:taskaccepted", "taskId": "t"}),
    (m.TaskRejected("t", "why"), {"type": "runner:taskrejected", "taskId": "t", "reason": "why"}),
    (m.TaskDeferred("t"), {"type": "runner:taskdeferred", "taskId": "t"}),
    (m.TaskDone("t", RAW), {"type": "runner:taskdone", "taskId": "t", "data": PAYLOAD}),
    (m.TaskErrorReport("t", RAW), {"type": "runner:taskerror", "taskId": "t", "error": PAYLOAD}),
    (
        m.RpcRequest("c", "t", "logNodeOutput", RAW),
        {"type": "runner:rpc", "callId": "c", "taskId": "t", "name": "logNodeOutput", "params": PAYLOAD},
    ),
    (
        m.TaskDataRequest("t", "r", RAW),
        {"type": "runner:taskdatarequest", "taskId": "t", "requestId": "r", "requestParams": PAYLOAD},
    ),
    (
        m.NodeTypesRequest("t", "r", RAW),
        {"type": "runner:nodetypesrequest", "taskId": "t", "requestId": "r", "requestParams": PAYLOAD},
    ),
    (
        m.TaskRequest("r", "python"),
        {"type": "requester:taskrequest", "requestId": "r", "taskType": "python"},
    ),
    (
        m.RequesterTaskSettings("t", RAW),
        {"type": "requester:tasksettings", "taskId": "t", "settings": PAYLOAD},
    ),
    (
        m.RequesterTaskCancel("t", "why"),
        {"type": "requester:taskcancel", "taskId": "t", "reason": "why"},
    ),
    (
        m.RequesterRpcResponse("t", "c", "error", RAW),
        {"type": "requester:rpcresponse", "taskId": "t", "callId": "c", "status": "error", "data": PAYLOAD},
    ),
    (
        m.RequesterTaskDataResponse("t", "r", RAW),
        {"type": "requester:taskdataresponse", "taskId": "t", "requestId": "r", "data": PAYLOAD},
    ),
    (
        m.RequesterNodeTypesResponse("t", "r", RAW),
        {"type": "requester:nodetypesresponse", "taskId": "t", "requestId": "r", "nodeTypes": PAYLOAD},
    ),
    (m.TaskReady("r", "t"), {"type": "broker:taskready", "requestId": "r", "taskId": "t"}),
    (m.TaskResult("t", RAW), {"type": "broker:taskdone", "taskId": "t", "data": PAYLOAD}),
    (m.TaskFailure("t", RAW), {"type": "broker:taskerror", "taskId": "t", "error": PAYLOAD}),
    (
        m.BrokerRpcRequest("c", "t", "logNodeOutput", RAW),
        {"type": "broker:rpc", "callId": "c", "taskId": "t", "name": "logNodeOutput", "params": PAYLOAD},
    ),
    (
        m.TaskDataQuery("t", "r", RAW),
        {"type": "broker:taskdatarequest", "taskId": "t", "requestId": "r", "requestParams": PAYLOAD},
    ),
    (
        m.NodeTypesQuery("t", "r", RAW),
        {"type": "broker:nodetypesrequest", "taskId": "t", "requestId": "r", "requestParams": PAYLOAD},
    ),
    (
        m.RequestExpiry("r", "timeout"),
        {"type": "broker:requestexpired", "requestId": "r", "reason": "timeout"},
    ),
]
every_message = pytest.mark.parametrize(
    ("message", "wire"), ON_THE_WIRE, ids=[type(message).__name__ for message, _ in ON_THE_WIRE]
)

UNIONS: list[tuple[object, Codec[Any]]] = [
    (m.BrokerToRunner, BROKER_TO_RUNNER),
    (m.RunnerToBroker, RUNNER_TO_BROKER),
    (m.RequesterToBroker, REQUESTER_TO_BROKER),
    (m.BrokerToRequester, BROKER_TO_REQUESTER),
]
CODECS: dict[type, Codec[Any]] = {
    message_class: codec for union, codec in UNIONS for message_class in get_args(union)
}


def offer(valid_for: str) -> str:
    """A task offer whose ``validFor`` is the given piece of JSON."""
    return f'{{"type":"runner:taskoffer","offerId":"o","taskType":"p","validFor":{valid_for}}}'


def refusal(codec: Codec[Any], frame: bytes | str) -> str:
    """Return the one-line error with which a frame is refused."""
    with pytest.raises(RemoteProtocolError) as caught:
        codec.decode(frame)
    text = str(caught.value)
    assert "\n" not in text
    assert len(text) < 300
    return text


# --- names and types --------------------------------------------------------------------------------


def test_the_table_above_knows_every_message_of_every_direction() -> None:
    assert {type(message) for message, _ in ON_THE_WIRE} == set(CODECS)
    assert len(ON_THE_WIRE) == len(CODECS)


def test_every_class_of_the_module_travels_in_one_direction() -> None:
    classes = {kind for name in m.__all__ if attrs.has(kind := getattr(m, name))}
    assert classes == set(CODECS)
    assert sum(len(get_args(union)) for union, _ in UNIONS) == len(classes)


@every_message
def test_encoding_gives_the_names_of_the_protocol(message: object, wire: dict[str, Any]) -> None:
    assert json.loads(encode(message)) == wire
    assert wire_type(type(message)) == wire["type"]


@every_message
def test_decoding_understands_the_names_of_the_protocol(message: object, wire: dict[str, Any]) -> None:
    codec = CODECS[type(message)]
    spaced = json.dumps(wire, indent=2)
    decoded = codec.decode(spaced)
    assert type(decoded) is type(message)
    assert json.loads(encode(decoded)) == wire


@every_message
def test_unknown_fields_are_tolerated(message: object, wire: dict[str, Any]) -> None:
    codec = CODECS[type(message)]
    extended = {"future": {"type": "x"}, **wire, "task_id": "snake", "anything": [None]}
    assert encode(codec.decode(json.dumps(extended))) == encode(codec.decode(json.dumps(wire)))


def test_encoding_something_else_is_an_error() -> None:
    with pytest.raises(KeyError):
        encode("no message")
    with pytest.raises(KeyError):
        wire_type(str)


# --- round trip of all classes ----------------------------------------------------------------------

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
texts = st.text(st.characters(exclude_categories=["Cs"]))
FIELD_VALUES: dict[object, st.SearchStrategy[Any]] = {
    str: texts,
    int: st.integers(-(2**53) + 1, 2**53 - 1),
    tuple[str, ...]: st.lists(texts, max_size=3).map(tuple),
    RawJson: json_values.map(RawJson.of),
    m.RpcStatus: st.sampled_from(["success", "error"]),
}


def instances(message_class: type) -> st.SearchStrategy[Any]:
    hints = get_type_hints(message_class)
    return st.builds(message_class, *(FIELD_VALUES[hints[f.name]] for f in attrs.fields(message_class)))


@given(st.one_of([instances(message_class) for message_class in CODECS]))
def test_round_trip(message: object) -> None:
    codec = CODECS[type(message)]
    frame = encode(message)
    assert codec.decode(frame) == message
    assert codec.decode(frame.decode()) == message


@pytest.mark.parametrize("message_class", CODECS, ids=lambda kind: str(kind.__name__))
def test_each_class_can_be_generated(message_class: type) -> None:
    """`test_round_trip` must not leave a class out because a field type has no strategy."""
    assert set(get_type_hints(message_class).values()) <= set(FIELD_VALUES)


# --- raw payloads -----------------------------------------------------------------------------------

ODD_PAYLOADS = [
    b'{ "b" : 1.0 ,\t"a":[ ] }',
    b"1e999",
    b"-0",
    b"12345678901234567890123456789012345678901234567890.000",
    b"9" * 5000,
    b'{"twice":1,"twice":2}',
    rb'"\u00e9\/ \ud83d\ude00"',
    '"é😀\u2028\x7f"'.encode(),
    rb'"cut \ud83d"',
    rb'{"\ude00":"\ud83d","settings":"}"}',
    rb'"a backslash and text: \\ud83d"',
    rb'"a backslash and half an emoji: \\\ud83d \" , \ud83d: "',
    b"[" * 400 + b"]" * 400,
]


@pytest.mark.parametrize("payload", ODD_PAYLOADS, ids=lambda payload: str(payload[:20]))
@pytest.mark.parametrize("spacing", [b"", b" \r\n\t"])
def test_a_payload_passes_through_byte_for_byte(payload: bytes, spacing: bytes) -> None:
    s = spacing
    fields = [b'"taskId"', b":", b'"t"', b",", b'"settings"', b":", payload, b","]
    frame = s.join([b"", b"{", *fields, b'"type"', b":", b'"broker:tasksettings"', b"}", b""])
    decoded = BROKER_TO_RUNNER.decode(frame)
    assert decoded == m.TaskSettings("t", RawJson(payload))
    assert payload in encode(decoded)
    assert BROKER_TO_RUNNER.decode(encode(decoded)) == decoded


def test_a_payload_of_null_is_a_payload() -> None:
    decoded = BROKER_TO_RUNNER.decode('{"type":"broker:tasksettings","taskId":"t","settings":null}')
    assert decoded == m.TaskSettings("t", RawJson.NULL)


def test_an_optional_payload_that_is_absent_counts_as_null() -> None:
    frame = '{"type":"broker:rpcresponse","callId":"c","taskId":"t","status":"error"}'
    assert BROKER_TO_RUNNER.decode(frame) == m.RpcResponse("c", "t", "error", RawJson.NULL)


# --- tolerance --------------------------------------------------------------------------------------


@pytest.mark.parametrize("wire", ["broker:future", "", "runner:info", "TaskSettings", "é"])
def test_an_unknown_type_is_a_value_not_an_error(wire: str) -> None:
    frame = json.dumps({"type": wire, "taskId": 7})
    assert BROKER_TO_RUNNER.decode(frame) == UnknownMessage(wire)


def test_an_unknown_type_with_half_an_emoji_can_be_logged() -> None:
    assert BROKER_TO_RUNNER.decode(r'{"type":"x\ud83d"}') == UnknownMessage("x\N{REPLACEMENT CHARACTER}")


@pytest.mark.parametrize("value", ["absent", "null"])
def test_an_optional_field_may_be_absent_or_null(value: str) -> None:
    reason = "" if value == "absent" else ',"reason":null'
    cancel = BROKER_TO_RUNNER.decode(f'{{"type":"broker:taskcancel","taskId":"t"{reason}}}')
    assert cancel == m.TaskCancel("t", "")
    expiry = BROKER_TO_REQUESTER.decode(f'{{"type":"broker:requestexpired","requestId":"r"{reason}}}')
    assert expiry == m.RequestExpiry("r", "timeout")


def test_of_a_repeated_field_the_last_counts_as_in_javascript() -> None:
    decoded = BROKER_TO_RUNNER.decode('{"type":"x","type":"broker:taskcancel","taskId":"1","taskId":"2"}')
    assert decoded == m.TaskCancel("2")
    decoded = BROKER_TO_RUNNER.decode(
        r'{"type":"broker:tasksettings","taskId":"1","taskId":"2","settings":"long \ud83d","settings":0}'
    )
    assert decoded == m.TaskSettings("2", RawJson(b"0"))


def test_escaped_names_are_names() -> None:
    assert BROKER_TO_RUNNER.decode(r'{"\u0074ype":"broker:dr\u0061in"}') == m.Drain()
    assert BROKER_TO_RUNNER.decode(r'{"\u0074ype":"broker:dr\u0061in","x":"\ud83d"}') == m.Drain()


# --- numbers ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("piece", "value"),
    [
        ("5000", 5000),
        ("5000.0", 5000),
        ("5e3", 5000),
        ("-1", -1),
        ("-1.0", -1),
        ("-0.0", 0),
        ("9007199254740991", 2**53 - 1),
        ("-9007199254740991", -(2**53) + 1),
    ],
)
def test_javascript_has_one_kind_of_number(piece: str, value: int) -> None:
    decoded = RUNNER_TO_BROKER.decode(offer(piece))
    assert decoded == m.TaskOffer("o", "p", value)
    assert isinstance(decoded, m.TaskOffer)
    assert type(decoded.valid_for) is int


@pytest.mark.parametrize(
    ("piece", "why"),
    [
        ("5000.5", "below 2**53, not 5000.5"),
        ("1e999", "below 2**53, not inf"),
        ("-1e999", "below 2**53, not -inf"),
        ("1e300", "below 2**53, not 1e+300"),
        ("9007199254740992", "below 2**53, not 9007199254740992"),
        ("9" * 400, "below 2**53, not 9"),
        ("true", "not boolean"),
        ("false", "not boolean"),
        ('"5000"', "not string"),
        ("null", "not null"),
        ("[5000]", "not array"),
        ('{"n":5000}', "not object"),
    ],
)
def test_what_is_no_usable_whole_number_is_refused(piece: str, why: str) -> None:
    text = refusal(RUNNER_TO_BROKER, offer(piece))
    assert text.startswith("runner:taskoffer: field 'validFor' must be a whole number")
    assert why in text


def test_more_digits_than_python_reads_are_refused() -> None:
    assert "'validFor' cannot be read" in refusal(RUNNER_TO_BROKER, offer("9" * 5000))


@pytest.mark.parametrize("piece", ["NaN", "Infinity", "-Infinity", "nan", "0x10", "01", "+1", "1.", ".5"])
def test_what_is_no_json_number_is_no_message(piece: str) -> None:
    assert "message is not a JSON object" in refusal(RUNNER_TO_BROKER, offer(piece))


# --- wrong kinds: no silent coercion ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "kind"),
    [(7, "number"), (1.5, "number"), (True, "boolean"), (None, "null"), (["t"], "array"), ({}, "object")],
)
def test_an_id_must_be_a_string(value: object, kind: str) -> None:
    text = refusal(BROKER_TO_RUNNER, json.dumps({"type": "broker:taskcancel", "taskId": value}))
    assert text == f"broker:taskcancel: field 'taskId' must be a string, not {kind}"


@pytest.mark.parametrize("value", ["python", {"python": 1}, ["python", 7], [["python"]], 7, True, None])
def test_types_must_be_a_list_of_strings(value: object) -> None:
    text = refusal(RUNNER_TO_BROKER, json.dumps({"type": "runner:info", "name": "n", "types": value}))
    assert text == "runner:info: field 'types' must be a list of strings"


@pytest.mark.parametrize("value", ["ok", "", "Success", True, 0, ["success"], {"success": 1}])
def test_a_status_must_be_one_of_two_words(value: object) -> None:
    wire = {"type": "broker:rpcresponse", "callId": "c", "taskId": "t", "status": value}
    text = refusal(BROKER_TO_RUNNER, json.dumps(wire))
    assert text.startswith("broker:rpcresponse: field 'status' must be 'success' or 'error', not")


def test_a_huge_wrong_value_does_not_make_a_huge_error() -> None:
    wire: dict[str, object] = {"type": "broker:rpcresponse", "callId": "c", "taskId": "t"}
    refusal(BROKER_TO_RUNNER, json.dumps({**wire, "status": ["x" * 10_000] * 100}))
    refusal(BROKER_TO_RUNNER, json.dumps({**wire, "status": "x" * 100_000}))


REQUIRED = [
    (type(message), name)
    for message, wire in ON_THE_WIRE
    for name in wire
    if name != "type" and name not in {"reason", "requestParams", "nodeTypes"}
    if not (name == "data" and not isinstance(message, m.TaskDone | m.TaskResult))
] + [(m.TaskRejected, "reason")]


@pytest.mark.parametrize(("message_class", "name"), REQUIRED, ids=lambda part: str(part))
def test_a_missing_field_is_named(message_class: type, name: str) -> None:
    wire = next(dict(wire) for message, wire in ON_THE_WIRE if type(message) is message_class)
    del wire[name]
    assert refusal(CODECS[message_class], json.dumps(wire)) == f"{wire['type']}: field '{name}' is missing"


# --- frames that are no messages --------------------------------------------------------------------


@pytest.mark.parametrize(
    "frame",
    ["", " ", "null", "true", "7", '"text"', "[]", '[{"type":"broker:drain"}]', "{", '{"type"', '{"type":'],
)
def test_what_is_not_a_json_object_is_no_message(frame: str) -> None:
    assert refusal(BROKER_TO_RUNNER, frame).startswith("message is not a JSON object")


@every_message
def test_a_frame_cut_anywhere_is_no_message(message: object, wire: dict[str, Any]) -> None:
    frame = encode(message)
    for length in range(len(frame)):
        assert refusal(CODECS[type(message)], frame[:length]).startswith("message is not a JSON object")


@pytest.mark.parametrize("tail", ["x", "}", "{}", ",", "\0", '{"type":"broker:drain"}', r'"\ud83d"'])
def test_data_after_the_object_is_refused(tail: str) -> None:
    frame = '{"type":"broker:drain"}' + tail
    assert refusal(BROKER_TO_RUNNER, frame).startswith("message is not a JSON object")


def test_space_around_the_object_is_fine() -> None:
    assert BROKER_TO_RUNNER.decode(' \r\n\t{"type":"broker:drain"}\n') == m.Drain()


@pytest.mark.parametrize("piece", ["{'a':1}", '{"a":1,}', "[1,]", "{1:2}", "// x", '"\t"', r'"\x41"', "tru"])
def test_relaxed_json_is_refused(piece: str) -> None:
    for other in ("0", r'"\ud83d"'):
        frame = f'{{"type":"broker:drain","other":{other},"x":{piece}}}'
        assert refusal(BROKER_TO_RUNNER, frame).startswith("message is not a JSON object")


def test_a_byte_order_mark_is_refused() -> None:
    assert "not a JSON object" in refusal(BROKER_TO_RUNNER, b'\xef\xbb\xbf{"type":"broker:drain"}')


def test_a_message_needs_a_type() -> None:
    assert refusal(BROKER_TO_RUNNER, '{"Type":"broker:drain"}') == "message has no field 'type'"


@pytest.mark.parametrize(
    ("piece", "kind"),
    [("7", "number"), ("null", "null"), ("true", "boolean"), ('["broker:drain"]', "array"), ("{}", "object")],
)
def test_the_type_must_be_a_string(piece: str, kind: str) -> None:
    text = refusal(BROKER_TO_RUNNER, f'{{"type":{piece}}}')
    assert text == f"message field 'type': must be a string, not {kind}"


def test_a_type_of_more_digits_than_python_reads_is_refused() -> None:
    assert "'type'" in refusal(BROKER_TO_RUNNER, f'{{"type":{"9" * 5000}}}')


# --- hostile frames ---------------------------------------------------------------------------------


def settings_with(field: str, piece: str) -> str:
    """A task's settings with one field replaced by the given piece of JSON."""
    wire = {"type": '"broker:tasksettings"', "taskId": '"t"', "settings": "0", field: piece}
    return "{" + ",".join(f'"{name}":{value}' for name, value in wire.items()) + "}"


ARRAYS, OBJECTS = ("[", "]"), ('{"a":', "}")


@pytest.mark.parametrize(("opening", "closing"), [ARRAYS, OBJECTS], ids=["arrays", "objects"])
@pytest.mark.parametrize("field", ["type", "taskId", "settings", "other"])
def test_a_nesting_bomb_is_refused_whatever_field_it_is_in(opening: str, closing: str, field: str) -> None:
    for depth in (100_000, 1_000_000):
        bomb = opening * depth + "0" + closing * depth
        assert refusal(BROKER_TO_RUNNER, settings_with(field, bomb)) == "message is nested too deeply"


@pytest.mark.parametrize(("opening", "closing"), [ARRAYS, OBJECTS], ids=["arrays", "objects"])
@pytest.mark.parametrize("field", ["type", "taskId"])
def test_nesting_close_to_the_limit_is_refused_too(opening: str, closing: str, field: str) -> None:
    """Just below the interpreter's limit the splitter lets through what a field's decoder does not."""
    for depth in range(900, 1010):
        bomb = opening * depth + "0" + closing * depth
        refusal(BROKER_TO_RUNNER, settings_with(field, bomb))


def test_a_nesting_bomb_beside_half_an_emoji_is_refused() -> None:
    bomb = "[" * 100_000
    frame = r'{"type":"broker:drain","emoji":"\ud83d","x":' + bomb + "}"
    assert refusal(BROKER_TO_RUNNER, frame) == "message is nested too deeply"


def test_half_an_emoji_in_an_id_becomes_something_that_can_be_sent() -> None:
    decoded = BROKER_TO_RUNNER.decode(r'{"type":"broker:taskcancel","taskId":"t\ud83d","reason":"\ude00"}')
    assert decoded == m.TaskCancel("t\N{REPLACEMENT CHARACTER}", "\N{REPLACEMENT CHARACTER}")
    encode(decoded)


def test_a_whole_emoji_in_two_escapes_is_joined() -> None:
    decoded = BROKER_TO_RUNNER.decode(r'{"type":"broker:taskcancel","taskId":"\ud83d\ude00 \ud83d"}')
    assert decoded == m.TaskCancel("😀 \N{REPLACEMENT CHARACTER}")


def test_half_an_emoji_in_a_list_becomes_something_that_can_be_sent() -> None:
    decoded = RUNNER_TO_BROKER.decode(r'{"type":"runner:info","name":"\ud83d","types":["\ud83d","ok"]}')
    broken = "\N{REPLACEMENT CHARACTER}"
    assert decoded == m.RunnerInfo(broken, (broken, "ok"))


def test_half_an_emoji_in_a_message_of_ours_does_not_break_the_link() -> None:
    assert json.loads(encode(m.TaskRejected("t", "cut \ud83d")))["reason"] == "cut \N{REPLACEMENT CHARACTER}"
    assert json.loads(encode(m.RunnerInfo("n", ("\ud83d",))))["types"] == ["\N{REPLACEMENT CHARACTER}"]
    with_payload = encode(m.RpcRequest("c\ud83d", "t", "n", RawJson(rb'["\ud83d"]')))
    assert rb'["\ud83d"]' in with_payload
    with_payload.decode()


def test_text_that_is_no_unicode_is_no_message() -> None:
    assert "not a JSON object" in refusal(BROKER_TO_RUNNER, '{"type":"broker:drain","x":"\ud83d"}')


@pytest.mark.parametrize(
    "frame", [b'{"type":"\xff"}', b'{"type":"broker:taskcancel","taskId":"\xc3"}', b"\xff"]
)
def test_bytes_that_are_no_utf8_are_refused_where_they_are_read(frame: bytes) -> None:
    refusal(BROKER_TO_RUNNER, frame)
