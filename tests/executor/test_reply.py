"""The frames of a worker, honest and otherwise, whole and in pieces."""

from __future__ import annotations

import json
import tracemalloc
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trio_runner.executor.contract import ExecutorEvent, Printed, Started
from trio_runner.executor.reply import Approved, Reply
from trio_runner.protocol.raw_json import RawJson
from trio_runner.sandbox.framing import HEADER, PROGRAM_LIMIT, FrameKind, pack_header
from trio_runner.scheduling.outcome import Completed, Failed

DIGEST = "0123456789abcdef" * 4
BROKEN = "Task broke the connection to its runner"


def frame(kind: FrameKind, payload: bytes | dict[str, Any] = b"") -> bytes:
    data = json.dumps(payload).encode() if isinstance(payload, dict) else payload
    return pack_header(kind, len(data)) + data


STARTED = frame(FrameKind.STARTED, {"continueOnFail": True, "workflowId": "w1"})
APPROVED = frame(FrameKind.APPROVED, DIGEST.encode())
PRINTED = frame(FrameKind.PRINTED, {"params": ["'a'", "1"], "text": "a 1"})
RESULT = frame(FrameKind.RESULT, b'{"answer": 42}')
WHOLE = STARTED + APPROVED + PRINTED + RESULT


def reply_to(data: bytes, *, max_result: int = 1000) -> tuple[Reply, list[ExecutorEvent | Approved]]:
    reply = Reply(max_result=max_result)
    return reply, reply.feed(data)


def broken(data: bytes) -> str:
    """Feed what must be refused; return why it was."""
    outcome = reply_to(data)[0].outcome
    assert isinstance(outcome, Failed)
    assert (outcome.message, outcome.kind) == (BROKEN, "result")
    return outcome.description


EVENTS: list[ExecutorEvent | Approved] = [
    Started(continue_on_fail=True, workflow_id="w1"),
    Approved(DIGEST),
    Printed(RawJson(b"""["'a'","1"]"""), "a 1"),
]


def test_a_whole_reply() -> None:
    reply, events = reply_to(WHOLE)
    assert events == EVENTS
    assert reply.outcome == Completed(RawJson(b'{"answer": 42}'))


@pytest.mark.parametrize("good", [True, False])
def test_a_trace_is_taken_only_if_it_is_one(good: bool) -> None:
    trace = f"00-{'a' * 32}-{('b' if good else '0') * 16}-01"
    _, [started] = reply_to(frame(FrameKind.STARTED, {"traceparent": trace}))
    assert started == Started(traceparent=trace if good else "")
    assert isinstance(started, Started)
    assert started.traceparent == (trace if good else "")


@given(st.lists(st.integers(0, len(WHOLE)), max_size=12))
def test_however_it_is_cut(cuts: list[int]) -> None:
    reply, events = Reply(max_result=1000), []
    places = [0, *sorted(cuts), len(WHOLE)]
    for begin, end in pairwise(places):
        events += reply.feed(WHOLE[begin:end])
    assert events == EVENTS
    assert reply.outcome == Completed(RawJson(b'{"answer": 42}'))


def test_byte_by_byte() -> None:
    reply, events = Reply(max_result=1000), []
    for position in range(len(WHOLE)):
        assert reply.outcome is None
        events += reply.feed(WHOLE[position : position + 1])
    assert events == EVENTS
    assert reply.outcome is not None


@given(st.binary(max_size=200))
def test_no_bytes_raise(data: bytes) -> None:
    reply, _ = reply_to(STARTED + data)
    assert reply.outcome is None or isinstance(reply.outcome, Completed | Failed)


@given(st.lists(st.tuples(st.sampled_from(FrameKind), st.binary(max_size=80)), max_size=6))
def test_no_frames_raise(frames: list[tuple[FrameKind, bytes]]) -> None:
    reply, events = reply_to(STARTED + b"".join(frame(kind, payload) for kind, payload in frames))
    assert sum(isinstance(event, Started) for event in events) == 1
    assert reply.outcome is None or isinstance(reply.outcome, Completed | Failed)


@pytest.mark.parametrize("rest", [RESULT, frame(FrameKind.FAILED, {"message": "no"}), b"\xff" * 50, PRINTED])
def test_what_follows_the_end_is_not_looked_at(rest: bytes) -> None:
    reply, events = reply_to(WHOLE + rest)
    assert reply.feed(rest) == []
    assert events == EVENTS
    assert reply.outcome == Completed(RawJson(b'{"answer": 42}'))


def test_a_failure_with_everything() -> None:
    fields = {
        "kind": "policy",
        "message": "no",
        "description": "Line 1: why",
        "stack": "Traceback",
        "lineNumber": 1,
    }
    reply, _ = reply_to(STARTED + frame(FrameKind.FAILED, fields))
    assert reply.outcome == Failed("no", "Line 1: why", kind="policy", stack="Traceback", line_number=1)


def test_a_failure_before_the_start() -> None:
    reply, _ = reply_to(frame(FrameKind.FAILED, {"kind": "settings", "message": "no"}))
    assert reply.outcome == Failed("no", kind="settings")
    assert not reply.started


def test_a_failure_of_the_codes_own_making_has_no_power() -> None:
    fields = {"kind": ["x"], "message": 7, "description": None, "stack": {}, "lineNumber": True}
    reply, _ = reply_to(STARTED + frame(FrameKind.FAILED, fields))
    assert reply.outcome == Failed("Task failed")


@pytest.mark.parametrize("kind", ["runner", "timeout", "cancelled", ""])
def test_a_task_cannot_blame_the_runner(kind: str) -> None:
    reply, _ = reply_to(STARTED + frame(FrameKind.FAILED, {"kind": kind, "message": "no"}))
    assert reply.outcome == Failed("no", kind="user-code")


def test_fields_of_started_that_are_no_text() -> None:
    _, events = reply_to(frame(FrameKind.STARTED, {"continueOnFail": 1, "workflowId": 7, "nodeName": ""}))
    assert events == [Started()]


def test_text_cut_inside_an_emoji_passes() -> None:
    _, events = reply_to(STARTED + frame(FrameKind.PRINTED, b'{"params": ["\\ud83d"], "text": "\\ud83d"}'))
    assert events[1:] == [Printed(RawJson(b'["\\ud83d"]'), "\ud83d")]


def test_a_result_that_is_no_json() -> None:
    reply, _ = reply_to(STARTED + frame(FrameKind.RESULT, b'{"a": 1} x'))
    assert isinstance(reply.outcome, Failed)
    assert (reply.outcome.message, reply.outcome.kind) == ("Result is not JSON", "result")


def test_a_result_that_is_too_large_is_not_read() -> None:
    reply, _ = reply_to(STARTED + pack_header(FrameKind.RESULT, 1001))
    assert reply.outcome == Failed(
        "Result is too large: 1001 bytes of JSON, the limit is 1000",
        "Return less, or raise N8N_RUNNERS_MAX_PAYLOAD.",
        kind="result",
    )


def test_the_largest_result_passes() -> None:
    reply, _ = reply_to(STARTED + frame(FrameKind.RESULT, b'"' + b"x" * 998 + b'"'))
    assert isinstance(reply.outcome, Completed)


@pytest.mark.parametrize("kind", FrameKind)
def test_an_exbibyte_is_refused_whatever_it_claims_to_be(kind: FrameKind) -> None:
    reply, events = reply_to(STARTED + pack_header(kind, 2**60))
    assert isinstance(reply.outcome, Failed)
    assert events == [EVENTS[0]]


def test_a_print_takes_the_frame_limit_and_no_more() -> None:
    overhead = len(json.dumps({"params": [], "text": ""}))
    fits = frame(FrameKind.PRINTED, {"params": [], "text": "x" * (8 * 1024**2 - overhead)})
    reply, events = reply_to(STARTED + fits)
    assert len(events) == 2
    assert reply.outcome is None
    over = frame(FrameKind.PRINTED, {"params": [], "text": "x" * (8 * 1024**2 - overhead + 1)})
    assert f"PRINTED of {8 * 1024**2 + 1} bytes" in broken(STARTED + over)


def test_prints_together_have_a_limit_too() -> None:
    large = frame(FrameKind.PRINTED, {"params": [], "text": "x" * 7 * 1024**2})
    assert "more than 26214400 bytes of them" in broken(STARTED + large * 4)


def test_a_hundred_and_one_prints_and_no_more() -> None:
    reply, events = reply_to(STARTED + PRINTED * 101)
    assert len(events) == 102
    assert reply.outcome is None
    assert "more than 101" in broken(STARTED + PRINTED * 102)


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (RESULT, "RESULT while reading the settings"),
        (PRINTED, "PRINTED while reading the settings"),
        (APPROVED, "APPROVED while reading the settings"),
        (STARTED + STARTED, "STARTED while analysing the code"),
        (STARTED + PRINTED + STARTED, "STARTED while running the code"),
        (STARTED + frame(FrameKind.TASK), "TASK while analysing the code"),
        (STARTED + HEADER.pack(0, 3) + b"abc", "a frame of unknown kind 0"),
        (STARTED + HEADER.pack(255, 2**60), "a frame of unknown kind 255"),
        (frame(FrameKind.STARTED, b"[]"), "STARTED that makes no sense: not a JSON object"),
        (STARTED + frame(FrameKind.PRINTED, b"{}"), "params must be a list of strings"),
        (STARTED + frame(FrameKind.PRINTED, {"params": [1], "text": ""}), "params must be a list of strings"),
        (STARTED + frame(FrameKind.PRINTED, {"params": []}), "text must be a string"),
        (STARTED + frame(FrameKind.PRINTED, b"\xff\xfe"), "PRINTED that makes no sense"),
        (STARTED + frame(FrameKind.PRINTED, b"[" * 100_000), "PRINTED that makes no sense"),
        (STARTED + frame(FrameKind.FAILED, b"null"), "FAILED that makes no sense: not a JSON object"),
    ],
)
def test_what_is_no_frame_of_ours(data: bytes, why: str) -> None:
    assert why in broken(data)


def test_code_cannot_vouch_for_other_code() -> None:
    forged = frame(FrameKind.APPROVED, b"f" * 64)
    for before in (STARTED + APPROVED, STARTED + PRINTED, STARTED + APPROVED + PRINTED):
        reply, events = reply_to(before + forged)
        assert Approved("f" * 64) not in events
        assert isinstance(reply.outcome, Failed)


def test_an_approval_may_carry_the_program() -> None:
    _, events = reply_to(STARTED + frame(FrameKind.APPROVED, DIGEST.encode() + b"\xe3program"))
    assert events[1:] == [Approved(DIGEST, b"\xe3program")]
    largest = frame(FrameKind.APPROVED, DIGEST.encode() + bytes(PROGRAM_LIMIT))
    assert reply_to(STARTED + largest)[0].outcome is None
    assert "it takes at most" in broken(STARTED + frame(FrameKind.APPROVED, bytes(65 + PROGRAM_LIMIT)))


@pytest.mark.parametrize("digest", [b"", b"f" * 63, b"F" * 64, b"g" * 64, b"\xe9" * 64])
def test_a_digest_is_64_hexadecimal_digits(digest: bytes) -> None:
    assert "APPROVED that makes no sense" in broken(STARTED + frame(FrameKind.APPROVED, digest))


def test_a_large_result_is_held_once() -> None:
    count, chunk = 80, b"x" * 200_000
    size = count * len(chunk) + 2
    reply = Reply(max_result=size)
    reply.feed(STARTED)
    tracemalloc.start()
    try:
        reply.feed(pack_header(FrameKind.RESULT, size) + b'"')
        for _ in range(count):
            reply.feed(chunk)
        reply.feed(b'"')
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert isinstance(reply.outcome, Completed)
    assert len(reply.outcome.result) == size
    assert peak < 1.4 * size
