"""The settings of a task as the broker sent them, read without trust."""

from __future__ import annotations

import dataclasses
import gc
import json

from .report import Failure, TaskFailed
from .text import cut, json_bytes

__all__ = ["TaskSettings", "read_object", "read_settings", "started_payload"]

_MODES = {"runOnceForAllItems": False, "runOnceForEachItem": True}
_SHOWN = 60
# Characters of a ``traceparent`` of W3C Trace Context; the runner looks at it, for it trusts no worker.
_TRACEPARENT = 55


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class TaskSettings:
    """What one task is to do.

    Attributes:
        code: the body of a function.
        each_item: run it once for each item, not once for all.
        items: the input.
        query: tool input, or None.
    """

    code: str
    each_item: bool
    items: list[object]
    query: object


def read_object(data: bytes) -> dict[str, object]:
    """Decode the settings.

    Raises:
        TaskFailed: they are not a JSON object.
    """
    collecting = gc.isenabled()
    gc.disable()  # decoding makes millions of objects and no garbage: half the time would go into looking
    try:
        value = json.loads(data)
    except (ValueError, RecursionError, MemoryError) as error:
        why = {RecursionError: "nested too deeply", MemoryError: "not enough memory for them"}
        raise _refusal(
            f"The task's settings are not readable as JSON: {why.get(type(error), error)}"
        ) from None
    finally:
        if collecting:
            gc.enable()
    if not isinstance(value, dict):
        raise _refusal(f"The task's settings must be a JSON object, not {_shown(value)}")
    return value


def started_payload(settings: dict[str, object]) -> bytes:
    """Return the payload of `FrameKind.STARTED`: what the runner itself wants to know, of any type."""
    payload: dict[str, object] = {"continueOnFail": settings.get("continueOnFail") is True}
    for key in ("workflowId", "workflowName", "nodeId", "nodeName"):
        value = settings.get(key)
        known = isinstance(value, str | int) and not isinstance(value, bool)
        payload[key] = cut(str(value), 1000) if known and value != "" else "Unknown"
    trace = settings.get("traceparent")
    if isinstance(trace, str) and len(trace) == _TRACEPARENT:
        payload["traceparent"] = trace
    return json_bytes(payload)


def read_settings(settings: dict[str, object]) -> TaskSettings:
    """Check the settings.

    Raises:
        TaskFailed: a key is missing or has a wrong value; the message names the key and what is allowed.
    """
    code, mode, items = settings.get("code"), settings.get("nodeMode"), settings.get("items")
    if not isinstance(code, str):
        raise _wrong("code", "text, the body of a Python function", settings)
    if not isinstance(mode, str) or mode not in _MODES:
        raise _wrong("nodeMode", '"runOnceForAllItems" or "runOnceForEachItem"', settings)
    if not isinstance(items, list):
        raise _wrong("items", "a list of items", settings)
    code = code.removeprefix("\ufeff")
    return TaskSettings(code=code, each_item=_MODES[mode], items=items, query=settings.get("query"))


def _wrong(key: str, allowed: str, settings: dict[str, object]) -> TaskFailed:
    found = f"is {_shown(settings[key])}" if key in settings else "is missing"
    return _refusal(f"The task's setting '{key}' {found}; it must be {allowed}")


def _shown(value: object) -> str:
    if isinstance(value, dict | list):
        return "an object" if isinstance(value, dict) else "a list"
    return cut(json.dumps(value), _SHOWN)


def _refusal(message: str) -> TaskFailed:
    return TaskFailed(
        Failure(kind="settings", message=message, description="Whoever submitted the task has to correct it.")
    )
