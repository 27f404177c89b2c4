"""Reading the items of a task from JSON, JSON Lines or CSV; what is wrong with them is said in one line."""

from __future__ import annotations

import csv
import io
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, NoReturn, cast

from ...errors import ConfigError

__all__ = ["ItemsFormat", "parse_items", "read_items", "read_source", "read_text"]

ItemsFormat = Literal["json", "jsonl", "csv"]

_EXTENSIONS: dict[str, ItemsFormat] = {
    ".json": "json",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".csv": "csv",
    ".tsv": "csv",
}
# What people separate columns with; the one that the header line holds most of is taken.
_DELIMITERS = ",;\t|"
# The library's own limit of 128 KiB is a guard against strangers' files; these are the person's own.
_LONGEST_FIELD = 2**31 - 1
STANDARD_INPUT = "standard input"


def read_items(source: str, items_format: str | None = None) -> list[Any]:
    """Read the items of a file or of standard input.

    Args:
        source: a path, or ``-`` for standard input.
        items_format: ``json``, ``jsonl`` or ``csv``. None: by the file's extension; standard input and
            unknown extensions are read as JSON or JSON Lines, whichever the text is.

    Raises:
        ConfigError: the source cannot be read or is not what it claims to be.
    """
    name = STANDARD_INPUT if source == "-" else source
    chosen = items_format or _EXTENSIONS.get(Path(source).suffix.lower())
    return parse_items(read_source(source), name, cast("ItemsFormat | None", chosen))


def read_source(source: str) -> str:
    """Return the text of a file, or of standard input for ``-``.

    Raises:
        ConfigError: it cannot be read, or is not UTF-8.
    """
    if source == "-":
        if sys.stdin is None:
            raise ConfigError("standard input is closed: there is nothing to read")
        return read_text(sys.stdin.buffer.read(), STANDARD_INPUT)
    try:
        return read_text(Path(source).read_bytes(), source)
    except OSError as exc:
        raise ConfigError(f"{source}: cannot be read: {exc.strerror or exc}") from exc


def read_text(data: bytes, name: str) -> str:
    """Decode UTF-8 with or without a byte-order mark.

    Raises:
        ConfigError: the bytes are something else.
    """
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as exc:
        line = data.count(b"\n", 0, exc.start) + 1
        raise ConfigError(
            f"{name}, line {line}: is not UTF-8 (byte 0x{data[exc.start]:02X}); convert it to UTF-8 first"
        ) from exc


def parse_items(text: str, name: str, items_format: ItemsFormat | None) -> list[Any]:
    """Turn text into items.

    Args:
        text: what was read.
        name: where it came from, for messages.
        items_format: the format, or None for JSON or JSON Lines, whichever it is.

    Raises:
        ConfigError: the text is not of that format; the message names the line.
    """
    if not text.strip():
        raise ConfigError(f"{name}: is empty; an empty list of items is written []")
    if items_format == "csv":
        return _parse_csv(text, name)
    if items_format == "jsonl":
        return list(_parse_json_lines(text, name))
    if items_format == "json":
        return _parse_json(text, name)
    return _parse_some_json(text, name)


# --- JSON -------------------------------------------------------------------------------------------


def _parse_json(text: str, name: str) -> list[Any]:
    try:
        value = _load(text)
    except json.JSONDecodeError as exc:
        hint = "; is it JSON Lines? (--items-format jsonl)" if exc.msg == "Extra data" else ""
        raise ConfigError(
            f"{name}, line {exc.lineno}, column {exc.colno}: is not JSON: {exc.msg}{hint}"
        ) from exc
    except (ValueError, RecursionError) as exc:
        raise ConfigError(f"{name}: is not JSON: {_reason(exc)}") from exc
    if isinstance(value, list):
        return value
    if isinstance(value, dict):
        return [value]
    raise ConfigError(f"{name}: must be a JSON array of items or one object, not {_kind(value)}")


def _parse_json_lines(text: str, name: str) -> Iterator[Any]:
    # Only \n and \r\n end a line of JSON Lines: a JSON string may hold the other characters that
    # splitlines() takes for line ends.
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            yield _load(line)
        except json.JSONDecodeError as exc:
            raise ConfigError(f"{name}, line {number}: is not JSON: {exc.msg} (column {exc.colno})") from exc
        except (ValueError, RecursionError) as exc:
            raise ConfigError(f"{name}, line {number}: is not JSON: {_reason(exc)}") from exc


def _parse_some_json(text: str, name: str) -> list[Any]:
    """Parse JSON, or JSON Lines if there is more after the first document."""
    head = text.lstrip()[:1]
    if head not in "[{":
        raise ConfigError(
            f"{name}: neither a JSON array nor an object; name the format: --items-format json, jsonl or csv"
        )
    try:
        _load(text)
    except json.JSONDecodeError as exc:
        if exc.msg == "Extra data":
            return list(_parse_json_lines(text, name))
    except (ValueError, RecursionError):
        pass  # _parse_json says it in full
    return _parse_json(text, name)


def _load(text: str) -> Any:
    return json.loads(text, parse_constant=_refuse_constant)


def _refuse_constant(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not a JSON number")


def _reason(error: Exception) -> str:
    return "nested too deeply" if isinstance(error, RecursionError) else str(error)


def _kind(value: object) -> str:
    names = {str: "a text", bool: "a truth value", int: "a number", float: "a number", type(None): "null"}
    return names[type(value)]


# --- CSV --------------------------------------------------------------------------------------------


def _parse_csv(text: str, name: str) -> list[Any]:
    """One item per row: the header names the fields, every value is text, a missing one is null."""
    csv.field_size_limit(_LONGEST_FIELD)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=_delimiter(text), strict=True)
    try:
        header = _header(next(row for row in reader if row), name)
        return [_row(header, row, name, reader.line_num) for row in reader if row]
    except csv.Error as exc:
        raise ConfigError(f"{name}, line {reader.line_num}: is not CSV: {exc}") from exc


def _delimiter(text: str) -> str:
    first_line = text.lstrip().split("\n", 1)[0]
    unquoted = re.sub(r'"[^"]*"', "", first_line)
    return max(_DELIMITERS, key=unquoted.count)


def _header(fields: list[str], name: str) -> list[str]:
    header = [field.strip() for field in fields]
    for position, field in enumerate(header, 1):
        if not field:
            raise ConfigError(f"{name}: column {position} has no name in the header line")
        if header.index(field) != position - 1:
            raise ConfigError(f"{name}: the header line has two columns named {field!r}")
    return header


def _row(header: list[str], row: list[str], name: str, line: int) -> dict[str, str | None]:
    if len(row) > len(header):
        raise ConfigError(
            f"{name}, line {line}: {len(row)} values for the {len(header)} columns of the header"
        )
    return dict(zip(header, [*row, *[None] * (len(header) - len(row))], strict=True))
