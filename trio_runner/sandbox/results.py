"""The result of a task as JSON, or a clear word about what in it is no JSON."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator

from .report import Failure, TaskFailed
from .text import cut, json_writer, type_name

__all__ = ["encode_result"]

# Values looked at when searching for the place of a fault; beyond, the place stays unnamed.
_SEARCH_LIMIT = 1_000_000
_PATH_LIMIT = 300
_NAMES = {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}
_NO_DIGITS = "Python writes no longer ones: return it as text, such as hex(number)."
_NO_NAN = "JSON has no NaN and no Infinity: replace it, for example by None."


class _Unreadable(Exception):
    """``str()`` of a value in the result raised."""


def encode_result(value: object, limit: int) -> bytes:
    """Write a result as JSON; what JSON does not know is written as ``str(value)``.

    Args:
        value: what the code returned.
        limit: the largest number of bytes.

    Raises:
        TaskFailed: it is no JSON even so, or too large; says where and what to do.
    """
    try:
        text = _encode(value)
    except _Unreadable as error:
        raise _refusal(str(error), "Return values that JSON knows, or that str() can write.") from None
    except (ValueError, TypeError, RecursionError) as error:
        raise _explained(value, error) from None
    # Half a surrogate pair has no UTF-8; `backslashreplace` writes it as its JSON escape.
    data = text.encode("utf-8", "backslashreplace")
    if len(data) > limit:
        raise _refusal(
            f"The result is too large: {len(data)} bytes of JSON, and at most {limit} are allowed",
            "Return less, split the items over several tasks, or raise N8N_RUNNERS_MAX_PAYLOAD.",
        )
    return data


def _as_text(value: object) -> str:
    try:
        return str(value)
    except Exception as error:  # `__str__` is the person's own code
        raise _Unreadable(
            f"The result holds a {type_name(value)} that cannot be written:"
            f" its str() raised {type_name(error)}"
        ) from None


_encode = json_writer(_as_text, allow_nan=False, tight=True)


def _explained(value: object, error: Exception) -> TaskFailed:
    if isinstance(error, RecursionError):
        return _refusal(
            "The result is nested too deeply for JSON",
            "Return a flatter structure, a list instead of a chain.",
        )
    unplaced = (str(error), "Return lists, dicts, text, numbers, booleans and None.")
    what, remedy = next(_faults(value), unplaced)
    return _refusal(f"The result is not valid JSON: {what}", remedy)


def _faults(root: object) -> Iterator[tuple[str, str]]:
    """Yield what JSON cannot hold, with its path, in reading order."""
    above: set[int] = set()
    waiting: list[tuple[str, object, bool]] = [("result", root, False)]
    for _count in range(_SEARCH_LIMIT):
        if not waiting:
            return
        path, value, leaving = waiting.pop()
        if leaving:
            above.discard(id(value))
        elif isinstance(value, float) and not math.isfinite(value):
            yield f"{path} is {_NAMES[str(float(value))]}", _NO_NAN
        elif isinstance(value, int) and value.bit_length() > _most_bits():
            yield f"{path} is an integer of more than {sys.get_int_max_str_digits()} digits", _NO_DIGITS
        elif isinstance(value, dict | list | tuple):
            if id(value) in above:
                yield f"{path} is circular, it contains itself", "Return a copy without the reference back."
                return
            above.add(id(value))
            waiting.append((path, value, True))
            yield from _bad_keys(path, value)
            waiting += reversed([(f"{path}{step}", child, False) for step, child in _children(value)])


def _most_bits() -> float:
    """Return how long an integer may be that Python writes in decimal."""
    return (sys.get_int_max_str_digits() or math.inf) * math.log2(10)


def _children(
    value: dict[object, object] | list[object] | tuple[object, ...],
) -> Iterator[tuple[str, object]]:
    if isinstance(value, dict):
        for key, child in value.items():
            plain = isinstance(key, str) and key.isidentifier()
            yield (cut(f".{key}" if plain else f"[{key!r}]", _PATH_LIMIT), child)
    else:
        for index, child in enumerate(value):
            yield f"[{index}]", child


def _bad_keys(path: str, value: object) -> Iterator[tuple[str, str]]:
    for key in value if isinstance(value, dict) else ():
        if isinstance(key, float) and not math.isfinite(key):
            yield f"{path} has the key {_NAMES[str(float(key))]}", _NO_NAN
        elif isinstance(key, int) and key.bit_length() > _most_bits():
            yield (
                f"{path} has an integer of more than {sys.get_int_max_str_digits()} digits as key",
                _NO_DIGITS,
            )
        elif not isinstance(key, str | int | float | None):
            yield (
                f"{path} has a key of type {type_name(key)}",
                "JSON keys are text: use str(key), or return a list of pairs.",
            )


def _refusal(message: str, remedy: str) -> TaskFailed:
    return TaskFailed(Failure(kind="result", message=message, description=remedy))
