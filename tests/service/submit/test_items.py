"""Items from JSON, JSON Lines and CSV, and what is said about files that are none."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest

from trio_runner.errors import ConfigError
from trio_runner.service.submit.items import ItemsFormat, parse_items, read_items


def written(folder: Path, name: str, content: str | bytes) -> str:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return str(path)


@pytest.mark.parametrize(
    ("name", "content", "items"),
    [
        ("a.json", '[{"a": 1}, 2, "three"]', [{"a": 1}, 2, "three"]),
        ("a.json", '{"a": 1}', [{"a": 1}]),
        ("a.json", "[]", []),
        ("a.json", b'\xef\xbb\xbf["bom"]', ["bom"]),
        ("A.JSON", '["upper case"]', ["upper case"]),
        ("a.jsonl", '{"a": 1}\n\n  \n[2]\r\n3', [{"a": 1}, [2], 3]),
        ("a.ndjson", '"\u2028 is no line end"\n', ["\u2028 is no line end"]),
        ("a.json", '["\\ud83d"]', ["\ud83d"]),
        ("a.csv", "name,n\nbolt,1\nnut,\n", [{"name": "bolt", "n": "1"}, {"name": "nut", "n": ""}]),
        (
            "a.csv",
            "name , n\r\nbolt,1\r\n\r\nnut\r\n",
            [{"name": "bolt", "n": "1"}, {"name": "nut", "n": None}],
        ),
        ("a.csv", 'a,b\n"1,5","two\nlines"\n', [{"a": "1,5", "b": "two\nlines"}]),
        ("a.csv", "a;b\n1,5;2\n", [{"a": "1,5", "b": "2"}]),
        ("a.csv", '\n\n"x;y;z",b\n1,2\n', [{"x;y;z": "1", "b": "2"}]),
        ("a.tsv", "a\tb\n1,5\t2\n", [{"a": "1,5", "b": "2"}]),
        ("a.csv", "only\n1\n2\n", [{"only": "1"}, {"only": "2"}]),
        ("a.csv", "a,b\n", []),
        ("a.csv", b"\xef\xbb\xbfa,b\n1,2\n", [{"a": "1", "b": "2"}]),
        ("a.csv", "a,b\n" + "x" * 200_000 + ",2\n", [{"a": "x" * 200_000, "b": "2"}]),
        ("a.txt", '{"a": 1}', [{"a": 1}]),
        ("a.txt", ' \n[{"a": 1},\n {"a": 2}]', [{"a": 1}, {"a": 2}]),
        ("a.txt", '{"a": 1}\n{"a": 2}\n', [{"a": 1}, {"a": 2}]),
        ("a.txt", "[1]\n[2]\n", [[1], [2]]),
    ],
)
def test_files_are_read_by_their_extension(
    tmp_path: Path, name: str, content: str | bytes, items: list[object]
) -> None:
    assert read_items(written(tmp_path, name, content)) == items


@pytest.mark.parametrize(
    ("items_format", "content", "items"),
    [("csv", "a,b\n1,2\n", [{"a": "1", "b": "2"}]), ("jsonl", "1\n2\n", [1, 2]), ("json", "[1]", [1])],
)
def test_the_format_can_be_forced(
    tmp_path: Path, items_format: str, content: str, items: list[object]
) -> None:
    assert read_items(written(tmp_path, "misnamed.json", content), items_format) == items


def test_standard_input_is_json_or_json_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    for text, items in (('{"a": 1}\n{"a": 2}', [{"a": 1}, {"a": 2}]), ("[1, 2]", [1, 2])):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
        assert read_items("-") == items


@pytest.mark.parametrize(
    ("name", "content", "complaint"),
    [
        ("a.json", "[1,\n 2,,]", "a.json, line 2, column 4: is not JSON: Expecting value"),
        (
            "a.json",
            "{}\n{}",
            "line 2, column 1: is not JSON: Extra data; is it JSON Lines? (--items-format jsonl)",
        ),
        ("a.json", "5", "must be a JSON array of items or one object, not a number"),
        ("a.json", "null", "must be a JSON array of items or one object, not null"),
        ("a.json", '"x"', "must be a JSON array of items or one object, not a text"),
        ("a.json", "[NaN]", "a.json: is not JSON: NaN is not a JSON number"),
        ("a.json", "[" * 100_000, "a.json: is not JSON: nested too deeply"),
        ("a.json", " \n", "a.json: is empty; an empty list of items is written []"),
        ("a.csv", "", "a.csv: is empty"),
        ("a.jsonl", '{"a": 1}\n{"a": }\n', "a.jsonl, line 2: is not JSON: Expecting value (column 7)"),
        ("a.jsonl", "1\n-Infinity\n", "a.jsonl, line 2: is not JSON: -Infinity is not a JSON number"),
        ("a.csv", "a,b\n1,2\n1,2,3\n", "a.csv, line 3: 3 values for the 2 columns of the header"),
        ("a.csv", "a,,c\n", "a.csv: column 2 has no name in the header line"),
        ("a.csv", "a,b,a\n", "a.csv: the header line has two columns named 'a'"),
        ("a.csv", 'a,b\n"1,2\n', "a.csv, line 2: is not CSV: unexpected end of data"),
        (
            "a.csv",
            b"a,b\n1,2\ncaf\xe9,2\n",
            "a.csv, line 3: is not UTF-8 (byte 0xE9); convert it to UTF-8 first",
        ),
        (
            "a.txt",
            "a,b\n1,2\n",
            "neither a JSON array nor an object; name the format: --items-format json, jsonl or csv",
        ),
        ("a.txt", "{oops", "line 1, column 2: is not JSON"),
        ("a.txt", '{"a": 1}\n{oops', "line 2: is not JSON"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(
    tmp_path: Path, name: str, content: str | bytes, complaint: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        read_items(written(tmp_path, name, content))
    assert complaint in str(caught.value)
    assert "\n" not in str(caught.value)


def test_files_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    missing = str(tmp_path / "missing.json")
    with pytest.raises(ConfigError, match="cannot be read: No such file or directory") as caught:
        read_items(missing)
    assert missing in str(caught.value)
    with pytest.raises(ConfigError, match="cannot be read: Is a directory"):
        read_items(str(tmp_path))


@pytest.mark.parametrize("items_format", ["json", "jsonl", "csv", None])
def test_an_empty_text_is_no_list(items_format: ItemsFormat | None) -> None:
    with pytest.raises(ConfigError, match="standard input: is empty"):
        parse_items("\n", "standard input", items_format)
