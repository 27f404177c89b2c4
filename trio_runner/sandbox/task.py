"""One task, from the bytes of its settings to its last frame. This is all that a worker process does.

`enter` and `perform` change the process for good (environment, ``__main__``, signal mask); a worker inherits
what the first did to its parent. `run_task` is the same without those changes. `rehearse` runs a task of our
own beforehand, so that the one that counts finds everything it needs at hand.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]  # `signal` makes enums of numbers: 60 for each mask, half a millisecond
import contextlib
import linecache
import marshal
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from functools import partial
from types import CodeType, MappingProxyType, ModuleType, TracebackType
from typing import Self, cast

from .analysis import Finding, analyse, digest
from .console import Console
from .framing import PROGRAM_LIMIT, FrameKind
from .policy import Policy, remedies
from .program import compile_program, parse_code, remember_source
from .report import CODE_NAME, Failure, TaskFailed, failure_of
from .results import encode_result
from .run_code import Run
from .task_settings import read_object, read_settings, started_payload
from .text import type_name
from .visible_builtins import keep_builtins, visible_builtins

__all__ = ["enter", "perform", "refill_reserve", "rehearse", "reseed", "run_task"]

Send = Callable[[FrameKind, bytes], None]
Settle = Callable[[], None]

_NONE: Mapping[str, bytes] = MappingProxyType({})

# Set free when the code has failed, so that a task out of memory can still say so. Made before any fork, and
# never touched: it takes address space but no memory.
_RESERVE = 256 * 1024
_reserve = [bytes(_RESERVE)]
# Findings of the analysis that are listed.
_FINDINGS = 100

# What a crash of native code raises: blocking these would lose the line that `faulthandler` tells.
_CRASHES = {signal.SIGSEGV, signal.SIGBUS, signal.SIGFPE, signal.SIGILL, signal.SIGABRT}
_INTERRUPTIONS = tuple(int(number) for number in signal.valid_signals() - _CRASHES)

_block_signals = partial(_signal.pthread_sigmask, _signal.SIG_BLOCK, _INTERRUPTIONS)

_RECURSION_LIMIT = sys.getrecursionlimit()

# Takes the way of a usual task, its prints apart, and needs nothing that a policy could deny.
_REHEARSAL = b"""{"code": "return [{'json': {'item': item['json']}} for item in _items]",
"items": [{"json": {}}], "nodeMode": "runOnceForAllItems", "continueOnFail": false, "workflowId": ""}"""


def enter(policy: Policy) -> None:
    """Leave nothing of what this process is for the code to see, here or in a fork of it.

    Args:
        policy: whose environment the code is to see.
    """
    os.environ.clear()
    with contextlib.suppress(KeyError, AttributeError):
        sys.modules["posix"].environ.clear()  # the copy made when the first process started
    os.environ.update(policy.environment)
    time.tzset()
    sys.modules["__main__"] = ModuleType("__main__")
    sys.argv = [""]


def reseed() -> None:
    """Have this process draw random numbers of its own; `random` sees to itself."""
    if (numpy_random := sys.modules.get("numpy.random")) is not None:
        numpy_random.seed()


def refill_reserve() -> None:
    """Have memory set aside again for the report of a failure, if one has taken it."""
    if not _reserve:
        _reserve.append(bytes(_RESERVE))


def rehearse(policy: Policy) -> None:
    """Run a task of our own, and leave nothing of it but warm caches.

    A forked process pays for every page of memory it touches first; after a rehearsal it has paid.

    Args:
        policy: what the rehearsed code may do.
    """
    mask = _signal.pthread_sigmask(_signal.SIG_BLOCK, ())
    process = os.getpid()
    run = _run([_REHEARSAL], policy, _whole(lambda kind, payload: None), _NONE, lambda: _settle(process))
    _signal.pthread_sigmask(_signal.SIG_SETMASK, mask)
    linecache.cache.pop(CODE_NAME, None)
    if run is not None:
        keep_builtins(policy, run.builtins)


def perform(settings: bytes, policy: Policy, send: Send, *, approved: Mapping[str, bytes] = _NONE) -> None:
    """Run one task in this process, which has been entered, to its end, and send its frames.

    Args:
        settings: the task's settings, JSON exactly as the broker sent them.
        policy: what the code may do.
        send: writes one frame; called from one thread at a time, with signals blocked.
        approved: programs known to be fit to run, by the digests of their code; empty: too large to be kept.

    Raises:
        OSError: `send` failed. Nothing is raised for what the task does, be it `SystemExit`.
    """
    process, held = os.getpid(), [settings]
    del settings
    _run(held, policy, _whole(send), approved, lambda: _settle(process), _block_signals)


def run_task(
    settings: bytes,
    policy: Policy,
    send: Send,
    *,
    approved: Mapping[str, bytes] = _NONE,
    settle: Settle = lambda: None,
) -> None:
    """Run one task without changing the process beyond what the code itself does.

    Args:
        settings: see `perform`.
        policy: see `perform`.
        send: see `perform`.
        approved: see `perform`.
        settle: called when the person's code has returned or raised, before anything is made of it.
    """
    held = [settings]
    del settings
    _run(held, policy, send, approved, settle)


def _run(
    settings: list[bytes],
    policy: Policy,
    send: Send,
    approved: Mapping[str, bytes],
    settle: Settle,
    calm: Callable[[], object] = tuple,
) -> Run | None:
    """Take the settings out of their list, so that nothing keeps their bytes while the code runs.

    `calm` is called first of all when the code has ended. It must not be a Python function: a signal handler
    of the code's own could raise at its very beginning. The default does nothing.
    """
    console, run = Console(send), None
    with console.installed():
        try:
            run = _prepare(settings, policy, send, console, approved)
            kind, payload = FrameKind.RESULT, _result(run, policy, console, settle, calm)
        except TaskFailed as failed:
            kind, payload = FrameKind.FAILED, failed.failure.to_json()
        except BaseException as error:  # by a handler of the code's own, for a signal that was pending still
            if run is None:
                raise
            settle()
            kind, payload = FrameKind.FAILED, _failure(error, run, policy, console).to_json()
        console.close()
    send(kind, payload)
    return run


def _prepare(
    data: list[bytes], policy: Policy, send: Send, console: Console, approved: Mapping[str, bytes]
) -> Run:
    """Do everything that comes before the person's code runs."""
    fields = read_object(data.pop())
    send(FrameKind.STARTED, started_payload(fields))
    settings = read_settings(fields)
    program = _program(settings.code, policy, send, approved)
    return Run(settings, program, visible_builtins(policy, console.print))


def _program(code: str, policy: Policy, send: Send, approved: Mapping[str, bytes]) -> CodeType:
    """Return the code as a program that is fit to run, and say so: made here, or by an earlier worker."""
    name = digest(code, policy)
    known = approved.get(name)
    if known:
        remember_source(code)
        send(FrameKind.APPROVED, name.encode("ascii"))
        # A worker made it before it ran any of the person's code, and only the runner has had it since.
        return cast("CodeType", marshal.loads(known))  # noqa: S302
    tree = parse_code(code)
    if policy.checks_code and known is None and (findings := analyse(tree, policy)):
        raise TaskFailed(_refused(findings))
    program = compile_program(tree, code, guarded=policy.checks_code)
    compiled = marshal.dumps(program) if known is None else b""
    send(FrameKind.APPROVED, name.encode("ascii") + (compiled if len(compiled) <= PROGRAM_LIMIT else b""))
    return program


class _Fence:
    """The boundary of a task: whatever leaves the person's code, `SystemExit` too, stops here and is kept."""

    error: BaseException | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        self.error = error
        return True


def _result(run: Run, policy: Policy, console: Console, settle: Settle, calm: Callable[[], object]) -> bytes:
    with _Fence() as fence:
        try:
            value = run.result()
        finally:
            calm()
            settle()
        return encode_result(value, policy.max_result)
    _reserve.clear()
    settle()  # an interruption may have kept it from running
    raise TaskFailed(_failure(fence.error, run, policy, console))


def _failure(error: BaseException | None, run: Run, policy: Policy, console: Console) -> Failure:
    if isinstance(error, TaskFailed):
        return error.failure
    if isinstance(error, MemoryError):
        traceback.clear_frames(error.__traceback__)
    assert error is not None
    with _Fence() as fence:
        stderr = console.captured_stderr
        return failure_of(error, run.settings.code, policy, where=run.where, stderr=stderr)
    # Still no memory, or an exception whose own methods end everything.
    name = type_name(error)
    description = f"{name}, and describing it raised {type_name(fence.error)}."
    return Failure(kind="user-code", message=name, description=description)


def _refused(findings: list[Finding]) -> Failure:
    lines = [f"Line {line}: {why}" for line, why in findings[:_FINDINGS]]
    if len(findings) > _FINDINGS:
        lines.append(f"… and {len(findings) - _FINDINGS} more")
    lines += remedies(why for _line, why in findings)
    return Failure(
        kind="policy",
        message="Security violations detected",
        description="\n".join(lines),
        line_number=findings[0][0],
    )


def _settle(process: int) -> None:
    """Make sure that nothing the code left behind interrupts the report of its end."""
    if os.getpid() != process:
        _end_fork()
    _signal.pthread_sigmask(_signal.SIG_BLOCK, _INTERRUPTIONS)
    sys.settrace(None)
    sys.setprofile(None)
    sys.setrecursionlimit(_RECURSION_LIMIT)


def _end_fork() -> None:
    """End a process that the code forked and let run to its end: the task is not its to report."""
    error = sys.exc_info()[1]
    status = 0 if error is None else 1
    if isinstance(error, SystemExit):
        status = error.code if isinstance(error.code, int) else int(error.code is not None)
    elif error is not None:
        traceback.print_exception(error)
    os._exit(status & 0xFF)


def _whole(send: Send) -> Send:
    """Keep signal handlers, which may raise, from interrupting `send` in the middle of a frame."""

    def send_whole(kind: FrameKind, payload: bytes) -> None:
        before = _signal.pthread_sigmask(_signal.SIG_BLOCK, _INTERRUPTIONS)
        try:
            send(kind, payload)
        finally:
            _signal.pthread_sigmask(_signal.SIG_SETMASK, before)

    return send_whole
