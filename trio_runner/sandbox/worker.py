"""One worker: a forked copy of the zygote that runs one task and ends, or several tasks if told to stay.

It is forked ahead of need. Before it reads its task it has cut every tie to the zygote, to the other workers
and to the runner but one: the socket on which the task arrives and its frames leave. What takes time is done
while it waits: it has become what the task will see, and has rehearsed if the runner thought that worth it.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]  # `signal` itself, without turning numbers into enums
import contextlib
import dataclasses
import faulthandler
import gc
import os
import select
import signal
import socket
import tempfile
import traceback
from collections.abc import Callable, Mapping
from contextvars import Context
from typing import TYPE_CHECKING

from . import linux
from .framing import DIGEST_SIZE, HEADER, FrameKind, pack_header, unpack_header
from .policy import Policy
from .reaping import end_children
from .renewal import Renewal
from .task import Send, perform, rehearse, reseed
from .walls.raising import Walls

if TYPE_CHECKING:
    from typing import NoReturn

__all__ = ["WorkerPlan", "run_worker", "set_up_signals"]

_SOCKET = 3  # the one descriptor beside the standard three
_STDERR = 2
_IGNORED_BY_PYTHON = {signal.SIGPIPE, signal.SIGXFSZ}
_JOIN_LIMIT = 65536  # bytes: up to here, copying a payload behind its header costs less than a second write


@dataclasses.dataclass(frozen=True, slots=True)
class WorkerPlan:
    """What the zygote knows of a worker it is about to fork.

    Attributes:
        number: its number.
        channel: descriptor of the worker's end of the socket pair.
        stderr: descriptor of the write end of the pipe that keeps what native code writes to descriptor 2.
        scratch: path of the empty directory for the task: its working directory, and its place for temporary
            files.
        policy: what the code may do.
        approved: programs known to be fit to run, by the digests of their code.
        walls: those that it is to raise.
        zygote: process id of the zygote as the worker sees it.
    """

    number: int
    channel: int
    stderr: int
    scratch: str
    policy: Policy
    approved: Mapping[str, bytes]
    walls: Walls
    zygote: int


def run_worker(plan: WorkerPlan) -> NoReturn:
    """Be the worker, from the fork to the end of the process. Never returns."""
    code = 1
    try:
        _settle(plan)
        _serve(plan)
        code = 0
    except EOFError:
        code = 0  # nobody needs this worker any more
    except Exception:
        os.write(_STDERR, traceback.format_exc().encode("utf-8", "replace"))
    finally:
        os._exit(code)  # whatever happened, nothing returns into the zygote's loop


def set_up_signals() -> None:
    """Have the zygote deaf to what would end it, and its workers not ignore what whoever started it ignores.

    A service manager may signal the whole group at shutdown: the end of the control socket decides.
    ``nohup``, and a shell that starts something in the background, have it ignore signals.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGTERM, signal.SIGINT, signal.SIGHUP))
    for number in signal.valid_signals() - _IGNORED_BY_PYTHON:
        if signal.getsignal(number) is signal.SIG_IGN:
            is_interrupt = number == signal.SIGINT
            signal.signal(number, signal.default_int_handler if is_interrupt else signal.SIG_DFL)


# --- becoming a process of its own ------------------------------------------------------------------


def _settle(plan: WorkerPlan) -> None:
    """Cut the ties, take the scratch directory, raise the walls."""
    os.dup2(plan.stderr, _STDERR)
    os.setsid()
    _reset_signals()
    linux.become_subreaper()  # daemons that the code makes stay below the worker while it lives
    plan.walls.raise_own(plan.number, plan.scratch)
    linux.die_with_parent(plan.zygote)  # only now: becoming another user undoes it
    _keep_descriptors(plan.channel)
    faulthandler.enable(_STDERR)  # a crash of native code names the line
    os.umask(0o077)
    _direct_files(plan.scratch)
    gc.enable()
    reseed()


def _reset_signals() -> None:
    """Undo what the zygote did: it has one handler, and blocks what it does not want to see."""
    _signal.set_wakeup_fd(-1)
    _signal.signal(_signal.SIGCHLD, _signal.SIG_DFL)
    _signal.pthread_sigmask(_signal.SIG_SETMASK, ())


def _keep_descriptors(channel: int) -> None:
    """Put the socket in its place and close all others; 0 and 1 are the null device already."""
    os.dup2(channel, _SOCKET, inheritable=False)
    linux.close_descriptors_above(_SOCKET)


def _direct_files(scratch: str) -> None:
    """Send files to the scratch directory. An environment that is empty stays so: the code is to see none."""
    os.chdir(scratch)
    tempfile.tempdir = scratch
    if os.environ:
        os.environ |= {"HOME": scratch, "TMPDIR": scratch}


# --- the task ---------------------------------------------------------------------------------------


def _serve(plan: WorkerPlan) -> None:
    """Wait for a task, perform it, send its frames; go on with others if the runner asks for that.

    Raises:
        EOFError: the runner has hung up instead.
    """
    channel = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM, 0, _SOCKET)

    def send(kind: FrameKind, payload: bytes) -> None:
        if kind in (FrameKind.RESULT, FrameKind.FAILED):
            # The runner frees the slot when it has this frame: the next task must not see our children.
            with contextlib.suppress(Exception):  # the code may have broken what this needs; see the zygote
                end_children()
        header = pack_header(kind, len(payload))
        if len(payload) <= _JOIN_LIMIT:
            channel.sendall(header + payload)
        else:
            channel.sendall(header)
            channel.sendall(payload)

    nonces: list[bytes] = []
    held = [_receive_task(channel, lambda: rehearse(plan.policy), nonces.append)]
    if nonces:
        _serve_several(plan, channel, send, held, nonces)
    else:
        perform(held.pop(), plan.policy, send, approved=plan.approved)
        _wait_for_hang_up(channel)


def _wait_for_hang_up(channel: socket.socket) -> None:
    """Let the runner go first, which has just got the result: the end of a process takes a processor."""
    with contextlib.suppress(OSError):  # the code may have broken the socket
        channel.recv(1)


def _serve_several(
    plan: WorkerPlan, channel: socket.socket, send: Send, held: list[bytes], nonces: list[bytes]
) -> None:
    """Perform tasks until one leaves something that cannot be undone, or the runner hangs up.

    Raises:
        EOFError: the runner has hung up.
    """
    renewal = Renewal(plan.scratch)
    approved = dict(plan.approved)

    def send_noting(kind: FrameKind, payload: bytes) -> None:
        if kind is FrameKind.APPROVED:  # the next task most likely has the same code
            approved.setdefault(payload[:DIGEST_SIZE].decode("ascii"), payload[DIGEST_SIZE:])
        send(kind, payload)

    while nonces:
        nonce = nonces.pop()
        send(FrameKind.READY, nonce)
        Context().run(perform, held.pop(), plan.policy, send_noting, approved=approved)
        if not renewal.renew():
            return
        send(FrameKind.READY, nonce)
        held.append(_receive_task(channel, lambda: None, nonces.append))


def _receive_task(
    channel: socket.socket, get_ready: Callable[[], None], keep: Callable[[bytes], None]
) -> bytes:
    """Receive the settings of the task.

    Args:
        channel: the socket to the runner.
        get_ready: called if the runner asks for it and the task is not there already.
        keep: called with the nonce if the runner wants to give this worker another task after this one.

    Raises:
        EOFError: the runner has hung up.
    """
    while True:
        kind, length = unpack_header(_receive(channel, HEADER.size))
        if kind is FrameKind.KEEP:
            keep(_receive(channel, length))
        elif kind is not FrameKind.REHEARSE:
            return _receive(channel, length)
        elif not select.select([channel], [], [], 0)[0]:
            get_ready()


def _receive(channel: socket.socket, size: int) -> bytes:
    """Receive so many bytes, into one object: there is no second copy of 500 MB."""
    data = channel.recv(size, socket.MSG_WAITALL)
    while len(data) < size:  # it was stopped and continued meanwhile, or hung up on
        more = channel.recv(size - len(data), socket.MSG_WAITALL)
        if not more:
            raise EOFError
        data += more
    return data
