"""The stream of printed lines: what a line looks like, and the bounds of what waits."""

from __future__ import annotations

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from trio_runner.protocol.raw_json import RawJson
from trio_runner.requester.output import Output, PrintedOutput


@pytest.mark.parametrize(
    ("params", "formatted", "text"),
    [
        (["'rows'", "5", "None", "True"], ["'rows'", "5", "None", "True"], "rows 5 None True"),
        (["'it's'"], ["'it's'"], "it's"),
        (["''"], ["''"], ""),
        (["'"], ["'"], "'"),
        ([], [], ""),
        (['["a", 1]', "[Circular dict]"], ['["a", 1]', "[Circular dict]"], '["a", 1] [Circular dict]'),
        ([{"a": 1}, 2], ['{"a": 1}', "2"], '{"a": 1} 2'),
        ("'alone'", ["'alone'"], "alone"),
        ({"no": "list"}, ['{"no": "list"}'], '{"no": "list"}'),
    ],
)
def test_a_line_as_it_was_sent_and_as_print_shows_it(params: object, formatted: list[str], text: str) -> None:
    assert PrintedOutput.of(RawJson.of(params)) == PrintedOutput(formatted, text)


def test_params_nobody_can_read_are_shown_as_they_are() -> None:
    assert PrintedOutput.of(RawJson(b"[" * 50_000)).text == "[" * 50_000


async def test_lines_waiting_and_lines_to_come() -> None:
    output = Output()
    output.put(RawJson.of(["1"]))
    lines = []
    async with trio.open_nursery() as nursery:

        async def read() -> None:
            lines.extend([line.text async for line in output])

        nursery.start_soon(read)
        await wait_all_tasks_blocked()
        output.put(RawJson.of(["2"]))
        await wait_all_tasks_blocked()
        output.end()
    assert lines == ["1", "2"]


async def test_a_cancelled_reader_loses_no_line() -> None:
    output = Output()
    with trio.CancelScope() as scope:
        scope.cancel()
        await output.__anext__()
    output.put(RawJson.of(["kept"]))
    assert (await output.__anext__()).text == "kept"


async def test_large_lines_are_bounded_by_their_bytes() -> None:
    output = Output()
    megabyte = RawJson.of(["x" * 1024 * 1024])
    for _ in range(6):
        output.put(megabyte)
    output.end()
    assert output.missed == 3
    assert len([line async for line in output]) == 3


async def test_one_line_larger_than_the_bound_is_kept() -> None:
    output = Output()
    output.put(RawJson.of(["x" * 5 * 1024 * 1024]))
    output.put(RawJson.of(["lost"]))
    assert len((await output.__anext__()).text) == 5 * 1024 * 1024
    output.put(RawJson.of(["'next'"]))
    assert await output.__anext__() == PrintedOutput(["'next'"], "next", missed=1)
