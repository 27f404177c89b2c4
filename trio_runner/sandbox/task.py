"""One task, from the bytes of its settings to its last frame. This is all that a worker process does.

`perform` changes the process for good (environment, signal mask, ``__main__``) and is called once in it.
`run_task` is the same without those changes.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from collections.abc import Callable, Container
from types import ModuleType

from .analysis import analyse, digest
from .console import Console
from .framing import FrameKind
from .policy import Policy
from .program import compile_program, parse_code
from .report import Failure, TaskFailed, failure_of
from .results import encode_result
from .run_code import Run
from .task_settings import TaskSettings, read_object, read_settings, started_payload
from .visible_builtins import visible_builtins

__all__ = ["perform", "run_task"]

Send = Callable[[FrameKind, bytes], None]

# Bytes set free when the code has failed, so that a task out of memory can still say so.
_RESERVE = 256 * 1024
_FINDINGS = 100


def perform(
    settings: bytes,
    policy: Policy,
    send: Send,
    *,
    approved: Container[str] = (),
) -> None:
    """Run one task in this process to its end, and send its frames.

    Args:
        settings: the task's settings, JSON exactly as the broker sent them.
        policy: what the code may do.
        send: writes one frame; called from one thread at a time, with signals blocked.
        approved: digests of code whose analysis is known to be clean.

    Raises:
        OSError: `send` failed. Whatever the task does is not raised, `SystemExit` and `KeyboardInterrupt` included.
    """
    _enter(policy)
    process = os.getpid()
    run_task(settings, policy, _whole(send), approved=approved, settle=lambda: _settle(process))


def run_task(
    settings: bytes,
    policy: Policy,
    send: Send,
    *,
    approved: Container[str] = (),
    settle: Callable[[], None] = lambda: None,
) -> None:
    """Run one task without changing the process beyond what the code itself does.

    Args:
        settings, policy, send, approved: see `perform`.
        settle: called when the person's code has returned or raised, before anything is made of it.
    """
    console = Console(send)
    with console.installed():
        try:
            kind, payload = FrameKind.RESULT, _result(settings, policy, send, console, approved, settle)
        except TaskFailed as failed:
            kind, payload = FrameKind.FAILED, failed.failure.to_json()
        console.close()
    send(kind, payload)


def _result(
    data: bytes,
    policy: Policy,
    send: Send,
    console: Console,
    approved: Container[str],
    settle: Callable[[], None],
) -> bytes:
    fields = read_object(data)
    send(FrameKind.STARTED, started_payload(fields))
    settings = read_settings(fields)
    tree = parse_code(settings.code)
    if policy.checks_code and (name := digest(settings.code, policy)) not in approved:
        if findings := analyse(tree, policy):
            raise TaskFailed(_refused(findings))
        send(FrameKind.APPROVED, name.encode("ascii"))
    program = compile_program(tree, settings.code, guarded=policy.checks_code)
    del fields, tree
    run = Run(settings, program, visible_builtins(policy, console.print))
    return _run(run, settings, policy, console, settle)


def _run(
    run: Run, settings: TaskSettings, policy: Policy, console: Console, settle: Callable[[], None]
) -> bytes:
    reserve = bytearray(_RESERVE)
    try:
        try:
            value = run.result()
        finally:
            settle()
        return encode_result(value, policy.max_result)
    except TaskFailed:
        raise
    except BaseException as error:  # noqa: BLE001 whatever the person's code raises is the outcome of the task
        del reserve
        failure = failure_of(error, settings.code, policy, where=run.where, stderr=console.captured_stderr)
        raise TaskFailed(failure) from None


def _refused(findings: list[tuple[int, str]]) -> Failure:
    lines = [f"Line {line}: {why}" for line, why in findings[:_FINDINGS]]
    if len(findings) > _FINDINGS:
        lines.append(f"… and {len(findings) - _FINDINGS} more")
    return Failure(
        kind="policy",
        message="Security violations detected",
        description="\n".join(lines),
        line_number=findings[0][0],
    )


def _enter(policy: Policy) -> None:
    """Leave nothing of the process this one was forked from for the code to see."""
    os.environ.clear()
    with contextlib.suppress(ImportError, AttributeError):
        sys.modules["posix"].environ.clear()  # The copy of the environment from the start of the process.
    os.environ.update(policy.environment)
    time.tzset()
    sys.modules["__main__"] = ModuleType("__main__")
    sys.argv = [""]
    if (numpy_random := sys.modules.get("numpy.random")) is not None:
        numpy_random.seed()  # Else every fork of one parent draws the same numbers; `random` sees to itself.


def _settle(process: int) -> None:
    """Make sure that nothing the code left behind interrupts the report of its end."""
    if os.getpid() != process:
        os._exit(0 if sys.exc_info()[0] is None else 1)  # A fork of the code's own has come back: not ours.
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    sys.settrace(None)
    sys.setprofile(None)


def _whole(send: Send) -> Send:
    """Keep signal handlers, which may raise, from interrupting `send` in the middle of a frame."""

    def send_whole(kind: FrameKind, payload: bytes) -> None:
        before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        try:
            send(kind, payload)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    return send_whole
