"""What a worker sends back, taken apart and judged as it arrives. Sans-IO.

Theory of operation. Until it has said `STARTED` and `APPROVED`, a worker is ours;
from then on it runs the person's code, which holds the socket too and may write anything to it. So a reply
is a small state machine: each phase takes some kinds of frame, each kind has a largest size, and there is a
largest number of prints. Whatever else arrives ends the task with one outcome; nothing that a worker sends
raises, or takes more memory than the largest frame that is allowed.

`APPROVED` is taken only straight after `STARTED`, and no code runs without one having been sent by the worker
itself. So code cannot vouch for other code.

A worker that may have run a task before is another matter: it must first answer with a nonce that it cannot
have seen before, so that nothing of the earlier task passes for a frame of this one. What it says then is as
good as the code it ran; who uses its replies must not take its word for other code.
"""

from __future__ import annotations

import enum
import io
import json
import re

import attrs

from ..protocol.raw_json import RawJson
from ..sandbox.framing import DIGEST_SIZE, HEADER, NONCE_SIZE, PROGRAM_LIMIT, FrameKind, unpack_header
from ..scheduling.outcome import Completed, Failed, FailureKind
from .contract import ExecutorEvent, Printed, Started

__all__ = ["Approved", "Reply"]


@attrs.frozen
class Approved:
    """The code is fit to run.

    Attributes:
        digest: stands for the code.
        program: the code as the worker compiled it, for other workers; empty: it was known, or is too large.
    """

    digest: str
    program: bytes = b""


class _Phase(enum.Enum):
    """What the worker is doing, as far as its frames tell."""

    ANSWERING = "taking the task"
    READING = "reading the settings"
    ANALYSING = "analysing the code"
    RUNNING = "running the code"
    OVER = "over"


_TAKEN: dict[_Phase, frozenset[FrameKind]] = {
    _Phase.ANSWERING: frozenset({FrameKind.READY}),
    _Phase.READING: frozenset({FrameKind.STARTED, FrameKind.FAILED}),
    _Phase.ANALYSING: frozenset({FrameKind.APPROVED, FrameKind.PRINTED, FrameKind.RESULT, FrameKind.FAILED}),
    _Phase.RUNNING: frozenset({FrameKind.PRINTED, FrameKind.RESULT, FrameKind.FAILED}),
    _Phase.OVER: frozenset(),
}

# Bytes. Names of workflows and nodes; one print; a failure with captured stderr and a stack.
_LARGEST = {
    FrameKind.STARTED: 1024**2,
    FrameKind.READY: NONCE_SIZE,
    FrameKind.APPROVED: DIGEST_SIZE + PROGRAM_LIMIT,
    FrameKind.PRINTED: 8 * 1024**2,
    FrameKind.FAILED: 4 * 1024**2,
}
# The console sends a hundred prints and one line about the rest; none after its sixteenth megabyte, though
# the one that crosses that line may be as large as a frame can be.
_MOST_PRINTS = 101
_MOST_PRINTED = 25 * 1024**2
# Whose fault a task may say it was.
_KINDS: dict[str, FailureKind] = {
    "user-code": "user-code",
    "policy": "policy",
    "settings": "settings",
    "result": "result",
}
_DIGEST = re.compile("[0-9a-f]{64}")


class Reply:
    """The frames of one task.

    Args:
        max_result: largest result that is taken, bytes of JSON.
        nonce: what the worker must answer with first; empty: it need not.

    Attributes:
        outcome: how the task ended, once that is known; what arrives afterwards is not looked at.
        rest: what arrived together with the end of the last frame, and is not of this task.
    """

    def __init__(self, *, max_result: int, nonce: bytes = b"") -> None:
        self.outcome: Completed | Failed | None = None
        self.rest = b""
        self._max_result = max_result
        self._nonce = nonce
        self._phase = _Phase.ANSWERING if nonce else _Phase.READING
        self._prints = 0
        self._printed = 0
        self._header = b""
        self._kind: FrameKind | None = None
        self._missing = 0
        self._payload = io.BytesIO()  # grows in place, and gives away what it holds: large results exist once

    @property
    def started(self) -> bool:
        """Whether the worker got as far as reading its settings."""
        return self._phase is not _Phase.READING and self.answered

    @property
    def answered(self) -> bool:
        """Whether the worker has shown that what it sends is about this task; True where it need not."""
        return self._phase is not _Phase.ANSWERING

    def feed(self, data: bytes) -> list[ExecutorEvent | Approved]:
        """Take in what arrived next, and return what it completes.

        Args:
            data: any piece of the stream of frames.
        """
        events: list[ExecutorEvent | Approved] = []
        position = 0
        while self.outcome is None and (position < len(data) or self._is_complete()):
            if self._kind is None:
                position = self._read_header(data, position)
            elif self._missing:
                position = self._read_payload(data, position)
            else:
                events += self._finish_frame()
        if position < len(data):
            self.rest = data[position:]
        return events

    # --- cutting the stream into frames ---

    def _is_complete(self) -> bool:
        return self._kind is not None and self._missing == 0

    def _read_header(self, data: bytes, position: int) -> int:
        end = position + HEADER.size - len(self._header)
        self._header += data[position:end]
        if len(self._header) == HEADER.size:
            try:
                kind, length = unpack_header(self._header)
            except ValueError:
                self._refuse(f"a frame of unknown kind {self._header[0]}")
            else:
                self._begin_frame(kind, length)
            self._header = b""
        return min(end, len(data))

    def _begin_frame(self, kind: FrameKind, length: int) -> None:
        if kind not in _TAKEN[self._phase]:
            self._refuse(f"{kind.name} while {self._phase.value}")
        elif kind is FrameKind.RESULT and length > self._max_result:
            self.outcome = _too_large(length, self._max_result)
        elif length > _LARGEST.get(kind, length):
            self._refuse(f"{kind.name} of {length} bytes; it takes at most {_LARGEST[kind]}")
        else:
            self._kind, self._missing = kind, length

    def _read_payload(self, data: bytes, position: int) -> int:
        taken = self._payload.write(memoryview(data)[position : position + self._missing])
        self._missing -= taken
        return position + taken

    # --- what a frame means ---

    def _finish_frame(self) -> list[ExecutorEvent | Approved]:
        kind, payload = self._kind, self._payload.getvalue()
        self._kind, self._payload = None, io.BytesIO()
        phase = self._phase
        try:
            match kind:
                case FrameKind.READY:
                    self._take_nonce(payload)
                case FrameKind.RESULT:
                    self.outcome = _result(payload)
                case FrameKind.FAILED:
                    self.outcome = _failure(payload)
                case FrameKind.STARTED:
                    self._phase = _Phase.ANALYSING
                    return [_started(payload)]
                case FrameKind.APPROVED:
                    self._phase = _Phase.RUNNING
                    return [_approved(payload)]
                case FrameKind.PRINTED:
                    self._phase = _Phase.RUNNING
                    return [self._print(payload)]
        except (ValueError, RecursionError) as exc:
            self._phase = phase
            self._refuse(f"{kind.name if kind else 'a frame'} that makes no sense: {exc}")
        return []

    def _take_nonce(self, payload: bytes) -> None:
        if payload != self._nonce:
            raise ValueError("it is about another task")
        self._phase = _Phase.READING

    def _print(self, payload: bytes) -> Printed:
        self._prints += 1
        if self._prints > _MOST_PRINTS:
            raise ValueError(f"more than {_MOST_PRINTS} of them")
        self._printed += len(payload)
        if self._printed > _MOST_PRINTED:
            raise ValueError(f"more than {_MOST_PRINTED} bytes of them")
        fields = _object(payload)
        params, text = fields.get("params"), fields.get("text")
        if not isinstance(params, list) or not all(isinstance(param, str) for param in params):
            raise ValueError("params must be a list of strings")
        if not isinstance(text, str):
            raise ValueError("text must be a string")  # noqa: TRY004 - wrong input, not a wrong call
        return Printed(RawJson.of(params), text)

    def _refuse(self, what: str) -> None:
        self.outcome = Failed(
            "Task broke the connection to its runner",
            f"It sent {what}. Code must not write to file descriptors that it did not open.",
            kind="result",
        )


def _object(payload: bytes) -> dict[str, object]:
    fields = json.loads(payload)
    if not isinstance(fields, dict):
        raise ValueError("not a JSON object")  # noqa: TRY004 - wrong input, not a wrong call
    return fields


def _started(payload: bytes) -> Started:
    fields = _object(payload)

    def text(name: str) -> str:
        value = fields.get(name)
        return value if isinstance(value, str) and value else "Unknown"

    return Started(
        continue_on_fail=fields.get("continueOnFail") is True,
        workflow_id=text("workflowId"),
        workflow_name=text("workflowName"),
        node_id=text("nodeId"),
        node_name=text("nodeName"),
        traceparent=fields.get("traceparent"),
    )


def _approved(payload: bytes) -> Approved:
    digest = payload[:DIGEST_SIZE].decode("ascii")
    if not _DIGEST.fullmatch(digest):
        raise ValueError("not a digest of 64 hexadecimal digits")
    return Approved(digest, payload[DIGEST_SIZE:])


def _result(payload: bytes) -> Completed | Failed:
    try:
        return Completed(RawJson.checked(payload))
    except ValueError as exc:
        return Failed(
            "Result is not JSON", f"What the task sent as its result cannot be read: {exc}", kind="result"
        )


def _failure(payload: bytes) -> Failed:
    fields = _object(payload)

    def text(name: str) -> str:
        value = fields.get(name)
        return value if isinstance(value, str) else ""

    kind = fields.get("kind")
    line = fields.get("lineNumber")
    return Failed(
        text("message") or "Task failed",
        text("description"),
        kind=_KINDS.get(kind, "user-code") if isinstance(kind, str) else "user-code",
        stack=text("stack"),
        line_number=line if isinstance(line, int) and not isinstance(line, bool) else None,
    )


def _too_large(length: int, limit: int) -> Failed:
    return Failed(
        f"Result is too large: {length} bytes of JSON, the limit is {limit}",
        "Return less, or raise N8N_RUNNERS_MAX_PAYLOAD.",
        kind="result",
    )
