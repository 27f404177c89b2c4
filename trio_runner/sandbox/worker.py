"""One worker: a forked copy of the zygote that runs one task and ends.

It is forked ahead of need. Before it reads its task it has cut every tie to the zygote, to the other workers
and to the runner but one: the socket on which the task arrives and its frames leave.
"""

from __future__ import annotations

import dataclasses
import faulthandler
import gc
import os
import signal
import socket
import tempfile
import traceback
from collections.abc import Callable, Container
from typing import NoReturn

from . import linux
from .framing import HEADER, FrameKind, pack_header, unpack_header
from .policy import Policy
from .task import perform
from .walls import raise_walls

__all__ = ["WorkerPlan", "run_worker"]

_SOCKET = 3  # the one descriptor beside the standard three
_STDERR = 2
_JOIN_LIMIT = 65536  # bytes: up to here, copying a payload behind its header costs less than a second write


@dataclasses.dataclass(frozen=True, slots=True)
class WorkerPlan:
    """What the zygote knows of a worker it is about to fork.

    Attributes:
        channel: descriptor of the worker's end of the socket pair.
        stderr: descriptor of the write end of the pipe that keeps what native code writes to descriptor 2.
        scratch: path of the directory to make for the task: its working directory, and its place for
            temporary files.
        policy: what the code may do.
        approved: digests of code whose analysis is known to be clean.
        zygote: process id of the zygote.
    """

    channel: int
    stderr: int
    scratch: str
    policy: Policy
    approved: Container[str]
    zygote: int


def run_worker(plan: WorkerPlan) -> NoReturn:
    """Be the worker, from the fork to the end of the process. Never returns."""
    code = 1
    try:
        _settle(plan)
        _serve(plan)
        code = 0
    except Exception:
        os.write(_STDERR, traceback.format_exc().encode("utf-8", "replace"))
    finally:
        os._exit(code)  # whatever happened, nothing returns into the zygote's loop


# --- becoming a process of its own ------------------------------------------------------------------


def _settle(plan: WorkerPlan) -> None:
    """Cut the ties, take the scratch directory, raise the walls."""
    os.setsid()
    linux.become_subreaper()  # daemons that the code makes stay below the worker while it lives
    linux.die_with_parent(plan.zygote)
    _reset_signals()
    _keep_descriptors(plan.channel, plan.stderr)
    faulthandler.enable(_STDERR)  # a crash of native code names the line
    os.umask(0o077)
    os.mkdir(plan.scratch, 0o700)
    os.chdir(plan.scratch)
    tempfile.tempdir = plan.scratch
    gc.enable()
    raise_walls()


def _reset_signals() -> None:
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)


def _keep_descriptors(channel: int, stderr: int) -> None:
    """Put the two descriptors in their places and close all others; 0 and 1 are the null device already."""
    stderr = os.dup(stderr) if stderr == _SOCKET else stderr
    os.dup2(channel, _SOCKET, inheritable=False)
    os.dup2(stderr, _STDERR)
    linux.close_descriptors_above(_SOCKET)


def _policy(plan: WorkerPlan) -> Policy:
    """The policy, with an environment, if there is any, that sends files to the scratch directory."""
    if not plan.policy.environment:
        return plan.policy  # the person's code sees no environment at all
    places = (("HOME", plan.scratch), ("TMPDIR", plan.scratch))
    return dataclasses.replace(plan.policy, environment=(*plan.policy.environment, *places))


# --- the task ---------------------------------------------------------------------------------------


def _serve(plan: WorkerPlan) -> None:
    """Wait for the one task, perform it, send its frames. Ends at once if the runner hangs up instead."""
    channel = socket.socket(fileno=_SOCKET)
    settings = _receive_task(channel)
    if settings is None:
        return

    def send(kind: FrameKind, payload: bytes) -> None:
        header = pack_header(kind, len(payload))
        if len(payload) <= _JOIN_LIMIT:
            channel.sendall(header + payload)
        else:
            channel.sendall(header)
            channel.sendall(payload)

    perform(settings, _policy(plan), send, approved=_Approved(plan.approved, send))


def _receive_task(channel: socket.socket) -> bytes | None:
    with channel.makefile("rb") as stream:
        header = stream.read(HEADER.size)
        if len(header) < HEADER.size:
            return None
        _, length = unpack_header(header)
        settings = stream.read(length)  # reads into the one object it returns: no second copy of 500 MB
    return settings if len(settings) == length else None


class _Approved(Container[str]):
    """The known digests; says `APPROVED` for a known one too.

    So code that was analysed always runs behind an `APPROVED` frame of the worker's own, straight after
    `STARTED`. The runner takes that one and no other: code cannot vouch for other code.
    """

    def __init__(self, known: Container[str], send: Callable[[FrameKind, bytes], None]) -> None:
        self._known = known
        self._send = send

    def __contains__(self, digest: object) -> bool:
        if not isinstance(digest, str) or digest not in self._known:
            return False
        self._send(FrameKind.APPROVED, digest.encode())
        return True
