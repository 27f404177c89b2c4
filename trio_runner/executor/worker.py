"""The runner's hold on one worker: its socket, its process, and how it ended."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import sys
from collections.abc import Callable

import trio

__all__ = ["Worker"]

# Bytes of what native code wrote to descriptor 2 that a description of a death quotes.
_STDERR_QUOTED = 4096
_PIPE_SIZE = 65536
_PIDFD_SIGNAL_PROCESS_GROUP = 4  # of linux/pidfd.h, from Linux 6.9


class Worker:
    """One worker process, from the request to fork it to its end.

    A task may be sent as soon as the object exists: it waits in the socket until the process does.

    Args:
        number: unique per zygote.
        ask_to_end: has the zygote kill the worker and whatever it left behind.

    Attributes:
        number: see Args.
        channel: the runner's end of the socket pair; non-blocking. At the worker's end, what it sent stays
            readable, followed by the end of the stream.
        pid: the process id, None until it is known. For people and tests: to signal it, use `kill`.
        ended: set once nothing of the worker is left.
        exit_code: what ``waitpid`` told, once it has ended; None if nobody knows: the fork failed, or the
            zygote was lost.
        epitaph: why it ended, if the runner knows better than the exit code; else empty.
    """

    def __init__(self, number: int, ask_to_end: Callable[[Worker], None]) -> None:
        self.number = number
        self._ask_to_end = ask_to_end
        self.channel, self._far_channel = socket.socketpair()
        self.channel.setblocking(False)
        self._stderr, self._far_stderr = os.pipe()
        # A full pipe drops what native code writes: nobody reads before its end, and it must not block.
        os.set_blocking(self._stderr, False)
        os.set_blocking(self._far_stderr, False)
        self.pid: int | None = None
        self._pidfd: int | None = None
        self._released = False
        self.ended = trio.Event()
        self.exit_code: int | None = None
        self.epitaph = ""

    # --- told by the zygote's client ---

    def hand_over(self) -> list[int]:
        """Return the descriptors that are the worker's. The caller closes them once they are sent."""
        return [self._far_channel.detach(), self._far_stderr]

    def be_born(self, pid: int, pidfd: int | None) -> None:
        """Take note of the process, and of the descriptor that stands for it."""
        self.pid = pid
        self._pidfd = pidfd

    def end(self, exit_code: int | None, *, epitaph: str = "") -> None:
        """Take note that nothing of the worker is left."""
        self.exit_code = exit_code
        self.epitaph = epitaph
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

    def kill(self) -> None:
        """End the worker and all it left behind; `ended` tells when that is done.

        The process dies at once, even if the zygote is busy. Safe at any time: a pidfd never means
        another process.
        """
        self.kill_process()
        self.retire()

    def retire(self) -> None:
        """End a worker that has done its task, whenever the zygote comes to it."""
        if not self.ended.is_set():
            self._ask_to_end(self)

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
