"""What a person is told when a task fails."""

from __future__ import annotations

import dataclasses
import os
import re
import traceback
from collections.abc import Iterator
from types import TracebackType
from typing import Literal

from .policy import Policy, SecurityViolation, is_standard_library, remedies
from .text import cut, json_bytes, source_lines, text_of, type_name
from .visible_builtins import denied_builtin_hint
from .walls.limits import describe_limit

__all__ = ["CODE_NAME", "Failure", "FailureKind", "TaskFailed", "failure_of"]

CODE_NAME = "<code>"
"""The file name of the person's code, in tracebacks and in `linecache`."""

FailureKind = Literal["user-code", "policy", "settings", "result"]

# Characters. These texts are for the eye; what is longer has been put there by mistake.
_MESSAGE_LIMIT = 32 * 1024
_DESCRIPTION_LIMIT = 64 * 1024
_LINE_LIMIT = 500
_STACK_LIMIT = 16 * 1024
# Frames: a runaway recursion has a thousand or more, all alike.
_FRAMES = 300

_SANDBOX = os.path.dirname(os.path.abspath(__file__)) + os.sep


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """How a task failed, in the words of the wire (see `FrameKind.FAILED`).

    Attributes:
        kind: whose fault it is.
        message: what a person reads first.
        description: where, why, and the remedy; may be empty.
        stack: traceback of the person's own frames, or empty.
        line_number: 1-based line in the person's own code, if known.
    """

    kind: FailureKind
    message: str
    description: str = ""
    stack: str = ""
    line_number: int | None = None

    def to_json(self) -> bytes:
        """Return the payload of a `FrameKind.FAILED` frame."""
        return json_bytes(
            {
                "kind": self.kind,
                "message": cut(self.message, _MESSAGE_LIMIT),
                "description": cut(self.description, _DESCRIPTION_LIMIT),
                "stack": self.stack,
                "lineNumber": self.line_number,
            }
        )


class TaskFailed(Exception):
    """Ends a task with a failure that is not an exception of the person's own code."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.message)
        self.failure = failure


def failure_of(
    error: BaseException, code: str, policy: Policy, *, where: str = "", stderr: str = ""
) -> Failure:
    """Return the failure for whatever left the person's code.

    Args:
        error: the exception.
        code: the person's code, for the line it happened in.
        policy: for hints at what it denies.
        where: what was being worked on, for the description; may be empty.
        stderr: what the code wrote to stderr.
    """
    line = _line_number(error.__traceback__)
    if isinstance(error, SecurityViolation):
        why = text_of(error)
        return Failure(
            kind="policy",
            message="Security violation detected",
            description="\n".join([why if line is None else f"Line {line}: {why}", *remedies([why])]),
            line_number=line,
        )
    description = [_headline(error, code, line), where, _hint(error, policy), describe_limit(error)]
    if stderr.strip():
        description.append(f"stderr:\n{stderr.rstrip()}")
    return Failure(
        kind="user-code",
        message=_message(error),
        description="\n".join(part for part in description if part),
        stack=_stack(error),
        line_number=line,
    )


def _message(error: BaseException) -> str:
    if isinstance(error, SystemExit):
        code = error.code if error.code is not None else 0
        return f"Process exited with code {text_of(code)}"
    try:
        return str(error) or type_name(error)
    except Exception:  # `__str__` is the person's own code
        return type_name(error)


def _headline(error: BaseException, code: str, line: int | None) -> str:
    if line is None:
        return type_name(error)
    lines = source_lines(code)
    source = lines[line - 1].strip() if line <= len(lines) else ""
    return f"{type_name(error)} in line {line}: {cut(source, _LINE_LIMIT)}"


def _hint(error: BaseException, policy: Policy) -> str:
    if hint := denied_builtin_hint(error, policy):
        return hint
    match error:
        case NameError(name="_items" | "_query" as name):
            return f"'{name}' exists in the mode runOnceForAllItems; in this mode the item is '_item'."
        case NameError(name="_item"):
            return "'_item' exists in the mode runOnceForEachItem; in this mode the items are '_items'."
        case ModuleNotFoundError(name=str(name)) if _is_missing_package(name, policy):
            return f"'{name}' may be imported, but is not installed where the runner's tasks run."
        case MemoryError():
            return "The task needs more memory than it may use: work on fewer items at a time."
        case RecursionError():
            return "A function calls itself, directly or through others, without an end."
        case AssertionError() if not error.args:
            return "An assertion does not hold."
    return ""


def _is_missing_package(name: str, policy: Policy) -> bool:
    return "." not in name and not is_standard_library(name) and policy.import_fault(name) is None


def _line_number(trace: TracebackType | None) -> int | None:
    """Return the line of the innermost frame of the person's own."""
    line = None
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == CODE_NAME:
            line = trace.tb_lineno
        trace = trace.tb_next
    return line


def _stack(error: BaseException) -> str:
    """Return the traceback as Python writes it, chained and grouped exceptions too, without our frames."""
    try:
        report = traceback.TracebackException(
            type(error), error, error.__traceback__, limit=-_FRAMES, compact=True
        )
        for part in _parts(report):
            part.stack = traceback.StackSummary.from_list(list(_own_frames(part.stack)))
        return _middle_cut("".join(report.format()).rstrip(), _STACK_LIMIT)
    except Exception:  # a traceback runs the person's own __str__, __dir__ and the like
        return ""


def _parts(report: traceback.TracebackException) -> Iterator[traceback.TracebackException]:
    seen: set[int] = set()
    waiting: list[traceback.TracebackException | None] = [report]
    while waiting:
        part = waiting.pop()
        if part is not None and id(part) not in seen:
            seen.add(id(part))
            waiting += [part.__cause__, part.__context__, *(part.exceptions or ())]
            yield part


def _own_frames(frames: list[traceback.FrameSummary]) -> Iterator[traceback.FrameSummary]:
    """Yield the person's own frames, and one in place of each run of frames inside libraries."""
    library: list[traceback.FrameSummary] = []
    for frame in frames:
        if frame.filename == CODE_NAME:
            yield from _noted(library)
            library = []
            yield frame
        elif not frame.filename.startswith((_SANDBOX, "<frozen ")):
            library.append(frame)
    yield from _noted(library)


def _noted(library: list[traceback.FrameSummary]) -> Iterator[traceback.FrameSummary]:
    if library:
        last = library[-1]
        name = last.name if len(library) == 1 else f"{last.name} (last of {len(library)} library frames)"
        yield traceback.FrameSummary(
            f"<{_module_name(last.filename)}>", last.lineno, name, lookup_line=False, line=""
        )


def _module_name(path: str) -> str:
    """Return the module of a source file, without the places of this machine."""
    inner = re.split(r"(?:site|dist)-packages[/\\]|python\d[\d.]*[/\\]", path)[-1]
    return re.sub(r"(/__init__)?\.py\Z", "", inner).lstrip("/").replace("/", ".").strip("<>")


def _middle_cut(text: str, limit: int) -> str:
    if len(text) <= limit:
        return text
    half = limit // 2
    return f"{text[:half]}\n… {len(text) - 2 * half} characters left out …\n{text[-half:]}"
