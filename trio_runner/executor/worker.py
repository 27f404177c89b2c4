"""The runner's hold on one worker: its socket, its process, and how it ended."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import sys
from pathlib import Path
from typing import Protocol

import trio

from ..sandbox.framing import FrameKind, pack_header

__all__ = ["Keeper", "Worker"]

# Bytes of what native code wrote to descriptor 2 that a description of a death quotes.
_STDERR_QUOTED = 4096
_PIPE_SIZE = 65536
_PIDFD_SIGNAL_PROCESS_GROUP = 4  # of linux/pidfd.h, from Linux 6.9


class Keeper(Protocol):
    """Who sees to the end of workers: their zygote, as far as they know it."""

    def end(self, worker: Worker) -> None:
        """Have a worker and all it left behind killed."""

    def retire(self, worker: Worker) -> None:
        """Have a worker and all it left behind killed, unless it soon ends by itself."""


class Worker:
    """One worker process, from the request to fork it to its end.

    A task may be sent as soon as the object exists: it waits in the socket until the process does.

    Args:
        number: unique per zygote.
        keeper: sees to the worker's end.

    Attributes:
        number: see Args.
        keeper: see Args.
        channel: the runner's end of the socket pair; non-blocking. At the worker's end, what it sent stays
            readable, followed by the end of the stream.
        prepared: it was told to rehearse.
        served: tasks that it has run to their end and cleared up after.
        ended: set once nothing of the worker is left.
        exit_code: what ``waitpid`` told, once it has ended; None if nobody knows: the fork failed, or the
            zygote was lost.
        epitaph: why it ended, if the runner knows better than the exit code; else empty.
        start_seconds: from the request until it had been forked; None until it has been.
        peak_memory: most memory it had resident, bytes; None until it has ended, or if nobody tells.
        limit: name of the limit of a task that the kernel killed it for, once it has ended; empty: none.
    """

    def __init__(self, number: int, keeper: Keeper) -> None:
        self.number = number
        self.keeper = keeper
        self.channel, self._far_channel = socket.socketpair()
        self.channel.setblocking(False)
        self._stderr, self._far_stderr = _pipe()
        self._pid: int | None = None
        self._pid_is_ours = False
        self._pidfd: int | None = None
        self._released = False
        self._hung_up = False
        self.prepared = False
        self.served = 0
        self.ended = trio.Event()
        self.exit_code: int | None = None
        self.epitaph = ""
        self.start_seconds: float | None = None
        self.peak_memory: int | None = None
        self.limit = ""

    @property
    def pid(self) -> int | None:
        """The process id as this process sees it, None until it is known. To signal it, use `kill`."""
        if self._pid is not None and not self._pid_is_ours:
            self._pid, self._pid_is_ours = _pid_of(self._pidfd) or self._pid, True
        return self._pid

    # --- told by the zygote's client ---

    def hand_over(self) -> list[int]:
        """Return the descriptors that are the worker's. The caller closes them once they are sent."""
        return [self._far_channel.detach(), self._far_stderr]

    def be_born(self, pid: int, pidfd: int | None, start_seconds: float | None = None) -> None:
        """Take note of the process, of the descriptor that stands for it, and of how long that took."""
        self._pid = pid
        self._pidfd = pidfd
        self._pid_is_ours = pidfd is None
        self.start_seconds = start_seconds

    def end(
        self, exit_code: int | None, *, epitaph: str = "", peak_memory: int | None = None, limit: str = ""
    ) -> None:
        """Take note that nothing of the worker is left."""
        self.exit_code = exit_code
        self.epitaph = epitaph
        self.peak_memory = peak_memory
        self.limit = limit
        if sys.platform == "linux":
            # Somebody else may still hold the worker's end; here what has arrived stays readable after this.
            with contextlib.suppress(OSError):
                self.channel.shutdown(socket.SHUT_RDWR)
        if self._pidfd is not None:
            os.close(self._pidfd)
            self._pidfd = None
        self.ended.set()
        if self._released:
            self._close()

    # --- for whoever uses the worker ---

    def prepare(self) -> None:
        """Have the worker rehearse while it waits: its task is likely to be the next. Once is enough."""
        if not self.prepared:
            self.prepared = True
            with contextlib.suppress(OSError):  # it has ended; a fresh socket takes nine bytes
                self.channel.send(pack_header(FrameKind.REHEARSE, 0))

    def kill(self) -> None:
        """End the worker and all it left behind; `ended` tells when that is done.

        The process dies at once, even if the zygote is busy. Safe at any time: a pidfd never means
        another process.
        """
        self.kill_process()
        if not self.ended.is_set():
            self.keeper.end(self)

    def retire(self) -> None:
        """Have the worker end that has done its task: it does so by itself when it is hung up on, soon."""
        if not self.ended.is_set():
            self.keeper.retire(self)

    def hang_up(self) -> None:
        """Tell the worker that nothing more will come: once it has done its task, it ends."""
        if not self._hung_up and not self.ended.is_set():
            self._hung_up = True
            with contextlib.suppress(OSError):  # the other end may be gone
                self.channel.shutdown(socket.SHUT_WR)

    def kill_process(self) -> None:
        """Kill the process, and its group where the kernel can, without the zygote."""
        if self._pidfd is None or sys.platform != "linux":
            return
        for flags in (_PIDFD_SIGNAL_PROCESS_GROUP, 0):
            with contextlib.suppress(OSError):
                signal.pidfd_send_signal(self._pidfd, signal.SIGKILL, None, flags)

    async def wait_dead(self) -> None:
        """Wait until the process itself has ended, without the zygote; at once where that cannot be told."""
        if self._pidfd is None:
            await trio.lowlevel.checkpoint()
        else:
            await trio.lowlevel.wait_readable(self._pidfd)

    def release(self) -> None:
        """Give the worker up: its descriptors are closed now, or when it has ended."""
        self._released = True
        if self.ended.is_set():
            self._close()

    def last_words(self) -> str:
        """Return the end of what native code wrote to descriptor 2, after the worker has ended."""
        try:
            written = os.read(self._stderr, _PIPE_SIZE)
        except OSError:
            return ""
        return written[-_STDERR_QUOTED:].decode("utf-8", "replace").strip()

    def _close(self) -> None:
        if self._stderr >= 0:
            self.channel.close()
            os.close(self._stderr)
            self._stderr = -1


def _pipe() -> tuple[int, int]:
    """Make a pipe that drops what is written when it is full: nobody reads before the writer's end."""
    if hasattr(os, "pipe2"):
        return os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    ends = os.pipe()
    for end in ends:
        os.set_blocking(end, False)
    return ends


def _pid_of(pidfd: int | None) -> int | None:
    """Return the process id behind a pidfd: the zygote may be in a PID namespace where it is another one."""
    try:
        lines = Path(f"/proc/self/fdinfo/{pidfd}").read_text(encoding="ascii").splitlines()
        pid = int(next(line for line in lines if line.startswith("Pid:")).split()[1])
    except (OSError, StopIteration, ValueError):
        return None
    return pid if pid > 0 else None
