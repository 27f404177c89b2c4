"""The settings of a Python task, built from what a caller has in hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from ..protocol.raw_json import RawJson
from ..protocol.trace_context import valid_traceparent

__all__ = ["Items", "Mode", "as_item", "python_settings", "raw_settings"]

Mode = Literal["all", "each"]
Items = Sequence[object] | RawJson

_NODE_MODES: Mapping[str, str] = {"all": "runOnceForAllItems", "each": "runOnceForEachItem"}


def python_settings(code: str, items: Items, *, mode: Mode, **optional: Any) -> RawJson:
    """Build the settings of a Python task.

    Args:
        code: the body of a function.
        items: a sequence of items or of anything else JSON can hold (see `as_item`), or the JSON of a list
            of items, which is passed on untouched.
        mode: ``all`` or ``each``.
        optional: further settings by their wire names; those that are None are left out.

    Raises:
        TypeError: something is of a type that JSON does not have, or `items` is no sequence of items.
        ValueError: something holds NaN, an infinity or a circular reference, `mode` is neither, or a
            `traceparent` is none.
    """
    if mode not in _NODE_MODES:
        raise ValueError(f"mode must be 'all' or 'each', not {mode!r}")
    trace = optional.get("traceparent")
    if trace is not None and not valid_traceparent(trace):
        raise ValueError(
            f"traceparent must be 00-<trace>-<span>-<flags> in lower-case hex, not {trace!r:.70}"
        )
    rest = {name: value for name, value in optional.items() if value is not None}
    head = RawJson.of({"code": code, "nodeMode": _NODE_MODES[mode], **rest})
    raw_items = items if isinstance(items, RawJson) else _encode_items(items)
    return RawJson(head.data[:-1] + b',"items":' + raw_items.data + b"}")


def raw_settings(settings: object) -> RawJson:
    """Encode the settings of a task of any type; what is JSON already is passed on untouched.

    Raises:
        TypeError: something is of a type that JSON does not have.
        ValueError: something holds NaN, an infinity or a circular reference.
    """
    return settings if isinstance(settings, RawJson) else RawJson.of(settings)


def as_item(value: object) -> object:
    """Return `value` as an item: as it is if it is one (its ``json`` is an object), else wrapped."""
    if isinstance(value, Mapping) and isinstance(value.get("json"), Mapping):
        return value
    return {"json": value}


def _encode_items(items: Sequence[object]) -> RawJson:
    if isinstance(items, str | bytes | Mapping) or not isinstance(items, Sequence):
        raise TypeError(f"items must be a list of items, not {type(items).__name__}")
    wrapped = [as_item(item) for item in items]
    try:
        return RawJson.of(wrapped)
    except (TypeError, ValueError) as exc:
        raise type(exc)(f"{_first_fault(wrapped)}: {exc}") from exc


def _first_fault(items: list[object]) -> str:
    for index, item in enumerate(items):
        try:
            RawJson.of(item)
        except (TypeError, ValueError):
            return f"items[{index}] is not JSON"
    return "items is not JSON"
