"""Writing the result of ``trio-runner submit`` to standard output."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, BinaryIO

from ...protocol.raw_json import RawJson

__all__ = ["joined", "write_result"]


def write_result(
    stream: BinaryIO,
    results: Sequence[RawJson],
    *,
    lines: bool,
    split: bool,
    indent: bool,
    items_each: int = 0,
) -> None:
    """Write the results of all tasks as one.

    Args:
        stream: where to; not flushed.
        results: of each task, in order.
        lines: JSON Lines, one for each entry of a list; else one JSON document.
        split: the work was split: join the results. Else there is exactly one, written as it came.
        indent: lay the document out for a person; not for JSON Lines.
        items_each: as in `joined`.

    Raises:
        BrokenPipeError: nobody reads the stream any more.
    """
    if not (split or lines or indent):
        stream.write(results[0].data + b"\n")
        return
    value = joined(results, items_each=items_each) if split else results[0].decode()
    if not lines:
        stream.write(_document(value, indent=indent) + b"\n")
        return
    for entry in value if isinstance(value, list) else [value]:
        stream.write(RawJson.of(entry).data + b"\n")


def joined(results: Sequence[RawJson], *, items_each: int = 0) -> list[Any]:
    """Return one list: the entries of results that are lists, and the other results themselves, in order.

    Args:
        results: of each task, in order.
        items_each: how many items each task had whose outputs the runner has paired with them: they are
            paired anew, with the items of the whole. 0: leave them as they are.
    """
    entries: list[Any] = []
    for number, result in enumerate(results):
        value = result.decode()
        if isinstance(value, list):
            entries.extend(_paired_anew(entry, number * items_each) for entry in value)
        else:
            entries.append(value)
    return entries


def _paired_anew(entry: Any, first: int) -> Any:
    """Return an output of a task whose first item is number `first` of all, from 0."""
    paired = entry.get("pairedItem") if isinstance(entry, dict) else None
    if not isinstance(paired, dict) or type(paired.get("item")) is not int:  # bool is none
        return entry
    return {**entry, "pairedItem": {**paired, "item": first + paired["item"]}}


def _document(value: Any, *, indent: bool) -> bytes:
    if not indent:
        return RawJson.of(value).data
    try:
        return json.dumps(value, ensure_ascii=False, indent=2).encode()
    except UnicodeEncodeError:
        return json.dumps(value, indent=2).encode()
