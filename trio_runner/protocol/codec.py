"""The one codec between messages and text frames.

Wire names live here and nowhere else. Decoding reads the envelope of a message and leaves every
`RawJson` field as the bytes that arrived; encoding splices such bytes back in. What the peer got wrong
surfaces as `RemoteProtocolError` with the path in wire names; a type nobody knows is a value,
`UnknownMessage`, because the protocol asks for tolerance there.
"""

from __future__ import annotations

import functools
import json
import reprlib
from collections.abc import Mapping
from typing import Any, Generic, TypeVar, cast, get_args

import attrs
import cattrs
import msgspec
from cattrs.gen import make_dict_structure_fn, make_dict_unstructure_fn, override

from ..errors import RemoteProtocolError
from . import messages as m
from .envelope import split_fields
from .raw_json import RawJson
from .surrogates import replace_surrogates

__all__ = [
    "BROKER_TO_REQUESTER",
    "BROKER_TO_RUNNER",
    "REQUESTER_TO_BROKER",
    "RUNNER_TO_BROKER",
    "Codec",
    "UnknownMessage",
    "encode",
    "wire_type",
]

MessageT = TypeVar("MessageT")

_WIRE_TYPES: dict[type, str] = {
    m.InfoRequest: "broker:inforequest",
    m.RunnerRegistered: "broker:runnerregistered",
    m.TaskOfferAccept: "broker:taskofferaccept",
    m.TaskSettings: "broker:tasksettings",
    m.TaskCancel: "broker:taskcancel",
    m.RpcResponse: "broker:rpcresponse",
    m.TaskDataResponse: "broker:taskdataresponse",
    m.NodeTypes: "broker:nodetypes",
    m.Drain: "broker:drain",
    m.RunnerInfo: "runner:info",
    m.TaskOffer: "runner:taskoffer",
    m.TaskAccepted: "runner:taskaccepted",
    m.TaskRejected: "runner:taskrejected",
    m.TaskDeferred: "runner:taskdeferred",
    m.TaskDone: "runner:taskdone",
    m.TaskErrorReport: "runner:taskerror",
    m.RpcRequest: "runner:rpc",
    m.TaskDataRequest: "runner:taskdatarequest",
    m.NodeTypesRequest: "runner:nodetypesrequest",
    m.TaskRequest: "requester:taskrequest",
    m.RequesterTaskSettings: "requester:tasksettings",
    m.RequesterTaskCancel: "requester:taskcancel",
    m.RequesterRpcResponse: "requester:rpcresponse",
    m.RequesterTaskDataResponse: "requester:taskdataresponse",
    m.RequesterNodeTypesResponse: "requester:nodetypesresponse",
    m.TaskReady: "broker:taskready",
    m.TaskResult: "broker:taskdone",
    m.TaskFailure: "broker:taskerror",
    m.BrokerRpcRequest: "broker:rpc",
    m.TaskDataQuery: "broker:taskdatarequest",
    m.NodeTypesQuery: "broker:nodetypesrequest",
    m.RequestExpiry: "broker:requestexpired",
}


@attrs.frozen
class UnknownMessage:
    """A well-formed message of a type this side does not know: to be logged once and ignored."""

    type: str


def wire_type(message_class: type) -> str:
    """Return the ``type`` string of a message class.

    Raises:
        KeyError: the class is no message.
    """
    return _WIRE_TYPES[message_class]


def encode(message: object) -> bytes:
    """Return the UTF-8 bytes of the text frame for a message.

    Args:
        message: an instance of any class in `trio_runner.protocol.messages`. Lone surrogates in its texts
            are replaced: they have no UTF-8.

    Raises:
        KeyError: `message` is of no message class.
    """
    envelope: dict[str, object] = {"type": _WIRE_TYPES[type(message)]}
    envelope.update(_converter.unstructure(message))
    try:
        return msgspec.json.encode(envelope)
    except UnicodeEncodeError:
        return msgspec.json.encode({name: _without_surrogates(value) for name, value in envelope.items()})


class Codec(Generic[MessageT]):
    """Decodes the messages of one direction.

    Args:
        union: the union of message classes that may arrive, such as `messages.BrokerToRunner`.
    """

    def __init__(self, union: object) -> None:
        self._classes: Mapping[str, type] = {_WIRE_TYPES[cls]: cls for cls in get_args(union)}

    def decode(self, frame: bytes | str) -> MessageT | UnknownMessage:
        """Turn one text frame into a message.

        Args:
            frame: the whole text of the frame. Bytes must be UTF-8, as those of a WebSocket's text frame
                are: raw fields are not looked into again.

        Raises:
            RemoteProtocolError: not a JSON object, no ``type``, or a field that is missing or of the wrong
                kind; the error names the wire type and the field.
        """
        fields = split_fields(frame)
        tag = _tag(fields)
        message_class = self._classes.get(tag)
        if message_class is None:
            return UnknownMessage(tag)
        try:
            values = _values(message_class, tag, fields)
            return cast("MessageT", _converter.structure(values, message_class))
        except cattrs.BaseValidationError as exc:
            raise RemoteProtocolError(f"{tag}: {_explain(exc)}") from exc


# --- reading the fields of the envelope -------------------------------------------------------------


def _tag(fields: Mapping[str, memoryview]) -> str:
    if "type" not in fields:
        raise RemoteProtocolError("message has no field 'type'")
    try:
        return _string(_decode_field(fields["type"]), str)
    except (RecursionError, TypeError, ValueError) as exc:
        raise RemoteProtocolError(f"message field 'type': {exc}") from exc


def _decode_field(raw: memoryview) -> object:
    """Decode a small field of the envelope, replacing what could not be encoded again."""
    try:
        return msgspec.json.decode(raw)
    except ValueError:  # perhaps only because of lone surrogates, which it refuses
        return _without_surrogates(json.loads(bytes(raw)))


def _without_surrogates(value: object) -> object:
    """Replace lone surrogates in a text or a list of texts."""
    if isinstance(value, str):
        return replace_surrogates(value)
    if isinstance(value, list | tuple):
        return [replace_surrogates(entry) if isinstance(entry, str) else entry for entry in value]
    return value


def _values(message_class: type, tag: str, fields: Mapping[str, memoryview]) -> dict[str, object]:
    """Decode the fields a message class knows, leaving raw ones raw; null counts as absent where allowed."""
    values: dict[str, object] = {}
    for name, is_raw, is_required in _fields_of(message_class):
        raw = fields.get(name)
        if raw is None:
            continue
        if is_raw:
            values[name] = RawJson(bytes(raw))
            continue
        try:
            value = _decode_field(raw)
        except (RecursionError, ValueError) as exc:
            raise RemoteProtocolError(f"{tag}: field '{name}' cannot be read: {exc}") from exc
        if value is not None or is_required:
            values[name] = value
    return values


@functools.cache
def _fields_of(message_class: type) -> tuple[tuple[str, bool, bool], ...]:
    """Return of each field of a message: its wire name, whether it stays raw, whether it must be there."""
    return tuple(
        (_camel(field.name), field.type in (RawJson, "RawJson"), field.default is attrs.NOTHING)
        for field in attrs.fields(message_class)
    )


def _explain(error: cattrs.BaseValidationError) -> str:
    """Say in wire names what is wrong with a message: the first fault found."""
    if isinstance(error, cattrs.ClassValidationError):
        with_notes, _ = error.group_exceptions()
        for cause, note in with_notes:
            name = _camel(note.name)
            return f"field '{name}' is missing" if isinstance(cause, KeyError) else f"field '{name}' {cause}"
    return str(error)


# --- the converter: strict about primitive types, which cattrs is not by itself ---------------------


def _camel(name: str) -> str:
    head, *rest = name.split("_")
    return head + "".join(part.capitalize() for part in rest)


# Beyond this JavaScript, and every calculation with a float, loses whole numbers.
_LARGEST_INTEGER = 2**53 - 1

_JSON_KINDS = {dict: "object", list: "array", str: "string", bool: "boolean", type(None): "null"}


def _kind(value: object) -> str:
    return _JSON_KINDS.get(type(value), "number")


def _string(value: object, _: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"must be a string, not {_kind(value)}")
    return value


def _integer(value: object, _: object) -> int:
    # JavaScript has one kind of number: 5000.0 is an integer too. bool is none.
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"must be a whole number, not {_kind(value)}")
    if not -_LARGEST_INTEGER <= value <= _LARGEST_INTEGER or value != int(value):
        raise TypeError(f"must be a whole number below 2**53, not {reprlib.repr(value)}")
    return int(value)


def _strings(value: object, _: object) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(entry, str) for entry in value):
        raise TypeError("must be a list of strings")
    return tuple(value)


def _literal(value: object, literal: Any) -> object:
    if value not in get_args(literal):
        choices = " or ".join(repr(choice) for choice in get_args(literal))
        raise ValueError(f"must be {choices}, not {reprlib.repr(value)}")
    return value


def _make_converter() -> cattrs.Converter:
    converter = cattrs.Converter()
    converter.register_structure_hook(str, _string)
    converter.register_structure_hook(int, _integer)
    converter.register_structure_hook_func(lambda kind: kind == tuple[str, ...], _strings)
    converter.register_structure_hook(RawJson, lambda value, _: value)
    converter.register_structure_hook_func(lambda kind: kind == m.RpcStatus, _literal)
    converter.register_unstructure_hook(RawJson, lambda value: msgspec.Raw(value.data))
    for message_class in _WIRE_TYPES:
        attrs.resolve_types(message_class)
        renames = {field.name: override(rename=_camel(field.name)) for field in attrs.fields(message_class)}
        converter.register_structure_hook(
            message_class,
            make_dict_structure_fn(message_class, converter, **renames),  # type: ignore[arg-type]
        )
        converter.register_unstructure_hook(
            message_class,
            make_dict_unstructure_fn(message_class, converter, **renames),  # type: ignore[arg-type]
        )
    return converter


_converter = _make_converter()

BROKER_TO_RUNNER: Codec[m.BrokerToRunner] = Codec(m.BrokerToRunner)
RUNNER_TO_BROKER: Codec[m.RunnerToBroker] = Codec(m.RunnerToBroker)
REQUESTER_TO_BROKER: Codec[m.RequesterToBroker] = Codec(m.RequesterToBroker)
BROKER_TO_REQUESTER: Codec[m.BrokerToRequester] = Codec(m.BrokerToRequester)
