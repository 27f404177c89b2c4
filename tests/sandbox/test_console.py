"""What the person's code prints, as frames."""

from __future__ import annotations

import contextlib
import io
import json
import sys
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import trio_runner.sandbox.console as console_module
from trio_runner.sandbox.console import CALL_LIMIT, STDERR_LIMIT, Console, format_argument
from trio_runner.sandbox.framing import FrameKind

from .running import FREE, run


class Hostile:
    """Its str() raises."""

    def __str__(self) -> str:
        raise ValueError("mute")


class Text(str):
    """Text of a type of its own."""

    __slots__ = ()


def circle() -> list[Any]:
    loop: list[Any] = []
    loop.append(loop)
    return loop


def deep() -> list[Any]:
    value: list[Any] = []
    for _ in range(100_000):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("text", "'text'"),
        ('it\'s\n"é"', "'it's\n\"é\"'"),
        (Text("sub"), "'sub'"),
        ("\ud83d", "'\ud83d'"),
        (None, "None"),
        (True, "True"),
        (7, "7"),
        (-1.5, "-1.5"),
        (float("nan"), "nan"),
        ([1, "é", None, True], '[1, "é", null, true]'),
        ({"k": (1, {2})}, '{"k": [1, "{2}"]}'),
        ({1}, '"{1}"'),
        (b"raw", "\"b'raw'\""),
        (circle(), "[Circular list]"),
        ({"a": circle()}, "[Circular dict]"),
        ({(1, 2): 3}, "{(1, 2): 3}"),
        (deep(), "[list nested too deeply]"),
        ([Hostile()], '["[Hostile whose str() raised ValueError]"]'),
        ([10**5000], "[list whose str() raised ValueError]"),
    ],
)
def test_how_an_argument_is_shown(value: object, text: str) -> None:
    assert format_argument(value) == text


@settings(deadline=None)
@given(
    st.recursive(
        st.none() | st.integers() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        max_leaves=6,
    )
)
def test_structures_are_shown_as_json(value: object) -> None:
    shown = format_argument(value)
    if isinstance(value, str):
        assert shown == f"'{value}'"
    elif isinstance(value, list | dict):
        assert json.loads(shown) == value
    else:
        assert shown == str(value)


@settings(deadline=None)
@given(
    st.lists(st.integers() | st.text("ab") | st.none()),
    st.text("-,\n"),
    st.sampled_from(["", "!", "\n", "x\n"]),
)
def test_the_text_is_what_the_real_print_gives(values: list[object], sep: str, end: str) -> None:
    frames: list[dict[str, Any]] = []
    console = Console(lambda _kind, payload: frames.append(json.loads(payload)))
    with console.installed():
        console.print(*values, sep=sep, end=end)
    real = io.StringIO()
    print(*values, sep=sep, end=end, file=real)
    assert frames == [
        {"params": [format_argument(value) for value in values], "text": real.getvalue().removesuffix("\n")}
        if end.endswith("\n")
        else {"params": [format_argument(value) for value in values], "text": real.getvalue()}
    ]


def test_every_call_is_a_frame_before_the_result() -> None:
    frames = run("for n in range(3):\n    print('line', n)\nprint()\nreturn 'end'")
    assert frames.prints == [["'line'", "0"], ["'line'", "1"], ["'line'", "2"], []]
    assert frames.texts == ["line 0", "line 1", "line 2", ""]
    assert frames.result == "end"


def test_frames_are_sent_at_once() -> None:
    seen: list[FrameKind] = []
    console = Console(lambda kind, _payload: seen.append(kind))
    with console.installed():
        console.print("a")
        assert seen == [FrameKind.PRINTED]


@pytest.mark.parametrize("calls", [100, 101, 250])
@pytest.mark.parametrize("end", ["return 1", "raise ValueError('x')"])
def test_a_hundred_calls_are_sent_and_the_rest_counted(calls: int, end: str) -> None:
    frames = run(f"for n in range({calls}):\n    print(n)\n{end}")
    assert frames.prints[:100] == [[str(n)] for n in range(100)]
    note = [f"[Output cut: {calls - 100} more print calls are not shown]"] if calls > 100 else []
    assert [text for (text,) in frames.prints[100:]] == note
    assert frames.texts[100:] == note


def test_the_limit_is_one_for_all_items() -> None:
    frames = run("print(_item)", list(range(120)), mode="runOnceForEachItem")
    assert len(frames.prints) == 101


@pytest.mark.parametrize("call", ["print('x' * 5_000_000)", "print(['x' * 5_000_000])"])
def test_a_huge_call_is_cut_with_a_mark(call: str) -> None:
    frames = run(call)
    ((shown,),) = frames.prints
    assert shown.endswith(" more characters")
    assert frames.texts[0].endswith(" more characters")
    assert "x" * 50_000 in shown
    assert len(shown) < CALL_LIMIT + 100


@pytest.mark.parametrize(
    "value", ["'\\0' * 200_000", "'👋' * 200_000", "*['é'] * 100_000", "*[''] * 100_000"]
)
def test_no_frame_is_larger_than_the_runner_takes(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    limit = 120 * 1024
    monkeypatch.setattr(console_module, "FRAME_LIMIT", limit)
    sizes: list[int] = []
    console = Console(lambda _kind, payload: sizes.append(len(payload)))
    with console.installed():
        console.print(*eval(f"[{value}]"))
    assert len(sizes) == 1
    assert 1000 < sizes[0] <= limit


def test_a_call_of_some_megabytes_is_sent_whole() -> None:
    ((shown,),) = run("print('x' * 2_000_000)").prints
    assert shown == "'" + "x" * 2_000_000 + "'"


def test_a_task_that_has_printed_megabytes_sends_no_further_calls() -> None:
    frames = run("for _ in range(10): print('x' * 3_000_000)")
    assert 4 <= len(frames.prints) - 1 <= 6
    assert frames.texts[-1] == f"[Output cut: {10 - len(frames.prints) + 1} more print calls are not shown]"


def test_many_arguments_are_cut_with_a_mark() -> None:
    (params,) = run("print(*['x' * 1000] * 5000)").prints
    assert params[-1].endswith(" more arguments")
    assert params[0] == "'" + "x" * 1000 + "'"


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ("print(1, sep=3)", "sep must be None or a string, not int"),
        ("print(1, end=b'')", "end must be None or a string, not bytes"),
        ("print(1, nonsense=1)", "unexpected keyword argument 'nonsense'"),
    ],
)
def test_wrong_calls_fail_like_the_real_print(call: str, message: str) -> None:
    assert message in run(call).failure["message"]


def test_a_value_that_cannot_be_printed_raises_as_usual() -> None:
    code = "class A:\n    def __str__(self): raise ValueError('mute')\nprint(A())"
    assert run(code, policy=FREE).failure["message"] == "mute"


def test_sep_and_end_may_be_none() -> None:
    assert run("print(1, 2, sep=None, end=None, flush=True)").texts == ["1 2"]


def test_other_files_get_the_text() -> None:
    code = """
import io, contextlib, sys
file = io.StringIO()
print('to a file', 1, file=file)
with contextlib.redirect_stdout(file):
    print('redirected')
print('shown', file=sys.stdout)
print('aside', file=sys.stderr)
return file.getvalue()
"""
    frames = run(code, policy=FREE)
    assert frames.result == "to a file 1\nredirected\n"
    assert frames.texts == ["shown"]


def test_lines_written_by_other_means_are_output_too() -> None:
    code = """
import sys
sys.stdout.write('one\\ntw')
sys.stdout.write('o\\nrest')
print('printed')
sys.stdout.buffer.write('bytes é\\n'.encode())
sys.__stdout__.write('end')
"""
    frames = run(code, policy=FREE)
    assert frames.texts == ["one", "two", "rest", "printed", "bytes é", "end"]
    assert frames.prints[0] == ["'one'"]


def test_a_failed_task_shows_its_unfinished_line() -> None:
    assert run("import sys\nsys.stdout.write('almost')\n1 / 0", policy=FREE).texts == ["almost"]


def test_stderr_is_kept_and_bounded() -> None:
    console = Console(lambda _kind, _payload: None)
    with console.installed():
        sys.stderr.write("first")
        for _ in range(1000):
            print("e" * 1000, file=sys.stderr)
        sys.__stderr__.write("last")  # type: ignore[union-attr]
    kept = console.captured_stderr
    assert kept.startswith("first")
    assert kept.endswith("last")
    assert "characters left out" in kept
    assert len(kept) < 2 * STDERR_LIMIT + 100


def test_nothing_is_sent_after_the_end() -> None:
    sent: list[bytes] = []
    console = Console(lambda _kind, payload: sent.append(payload))
    with console.installed():
        console.print("before")
        console.close()
        console.print("after")
        sys.stdout.write("after\n")
        console.close()
    assert len(sent) == 1


def test_the_streams_of_the_process_come_back() -> None:
    before = sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__
    with contextlib.suppress(ValueError), Console(lambda _kind, _payload: None).installed():
        raise ValueError
    assert (sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__) == before


def test_printing_while_a_frame_is_being_sent_does_not_break_into_it() -> None:
    log: list[str] = []

    def send(_kind: FrameKind, payload: bytes) -> None:
        text = json.loads(payload)["text"]
        log.append(f"begin {text}")
        if text == "outer":
            console.print("from a finaliser")
        log.append(f"end {text}")

    console = Console(send)
    with console.installed():
        console.print("outer")
    assert log == ["begin outer", "end outer", "begin from a finaliser", "end from a finaliser"]


def test_a_send_that_fails_does_not_silence_the_next() -> None:
    sent: list[bytes] = []

    def send(_kind: FrameKind, payload: bytes) -> None:
        sent.append(payload)
        if len(sent) == 1:
            raise TimeoutError("interrupted")

    console = Console(send)
    with console.installed():
        with pytest.raises(TimeoutError):
            console.print("one")
        console.print("two")
    assert len(sent) == 2
