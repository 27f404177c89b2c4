"""The result on standard output."""

from __future__ import annotations

import io

import pytest

from trio_runner.protocol.raw_json import RawJson
from trio_runner.service.submit.results import joined, write_result


def written(
    *results: bytes, lines: bool = False, split: bool = False, indent: bool = False, items_each: int = 0
) -> bytes:
    stream = io.BytesIO()
    raw = [RawJson(result) for result in results]
    write_result(stream, raw, lines=lines, split=split, indent=indent, items_each=items_each)
    return stream.getvalue()


def test_one_result_is_written_as_it_came() -> None:
    assert written(b'{"a":  1.50, "b": "\\ud83d"}') == b'{"a":  1.50, "b": "\\ud83d"}\n'


def test_a_person_gets_it_laid_out() -> None:
    assert written('[{"a":"ä"}]'.encode(), indent=True) == '[\n  {\n    "a": "ä"\n  }\n]\n'.encode()
    assert written(b'"\\ud83d"', indent=True) == b'"\\ud83d"\n'


@pytest.mark.parametrize(
    ("result", "lines"),
    [
        (b'[{"a": 1}, 2, null]', b'{"a":1}\n2\nnull\n'),
        (b'{"a": [1, 2]}', b'{"a":[1,2]}\n'),
        (b"[]", b""),
        (b'"text"', b'"text"\n'),
    ],
)
def test_lines_are_the_entries_of_a_list_or_the_one_value(result: bytes, lines: bytes) -> None:
    assert written(result, lines=True) == lines
    assert written(result, lines=True, indent=True) == lines


def test_results_of_a_split_are_joined_in_order() -> None:
    assert written(b"[1,2]", b'"x"', b"[]", b"[[3]]", split=True) == b'[1,2,"x",[3]]\n'
    assert written(b"[1,2]", b"3", split=True, lines=True) == b"1\n2\n3\n"
    assert written(split=True) == b"[]\n"
    assert joined([]) == []


def test_outputs_of_a_split_are_paired_with_items_of_the_whole_input() -> None:
    first = b'[{"json":1,"pairedItem":{"item":0}},{"json":2,"pairedItem":{"item":2}}]'
    second = (
        b'[{"json":3,"pairedItem":{"item":1}},{"json":4},5,{"pairedItem":{"item":true}},{"pairedItem":7}]'
    )
    assert written(first, second, split=True, lines=True, items_each=3).splitlines() == [
        b'{"json":1,"pairedItem":{"item":0}}',
        b'{"json":2,"pairedItem":{"item":2}}',
        b'{"json":3,"pairedItem":{"item":4}}',
        b'{"json":4}',
        b"5",
        b'{"pairedItem":{"item":true}}',
        b'{"pairedItem":7}',
    ]
    assert written(first, first, split=True) == first[:-1] + b"," + first[1:] + b"\n"
