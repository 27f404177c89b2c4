"""Starting the zygote's process, and leaving nothing of it: no process, no file."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import tempfile
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path
from typing import IO

import attrs
import trio

from ..errors import ConfigError
from ..sandbox.scratch import remove_tree
from ..sandbox.walls.groups import kill_groups, remove_groups
from ..sandbox.walls.namespaces import MOVED
from .leftovers import kill_leftovers
from .scratch_root import clear_abandoned, make_scratch_root

__all__ = ["ZygoteProcess", "remove_abandoned", "spawn_zygote"]

# Seconds for the zygote to kill its workers, clear its directories and end; then it is killed.
_EXIT_LIMIT = 5.0
# Seconds to wait for the removal of what a killed zygote left on disk; it goes on in the background.
_REMOVAL_LIMIT = 5.0
# In place of an exit status.
_NOBODY_KNOWS = 255
# Bytes from the end of the zygote's stderr: enough for the last line of a traceback.
_STDERR_READ = 4096

# The directory that holds the package, which need not be one that an isolated interpreter looks in.
_PACKAGE_PARENT = str(Path(__file__).resolve().parents[2])
# Libraries that are loaded before a fork must have no threads.
_ONE_THREAD = dict.fromkeys(
    "OPENBLAS_NUM_THREADS OMP_NUM_THREADS MKL_NUM_THREADS NUMEXPR_NUM_THREADS VECLIB_MAXIMUM_THREADS".split(),
    "1",
)
_BOOTSTRAP = """\
import sys
sys.path.append(sys.argv[1])
from trio_runner.sandbox.zygote import main
sys.path.remove(sys.argv[1])
main(int(sys.argv[3]))
"""


@attrs.define(eq=False)
class ZygoteProcess:
    """The process of a zygote and what it was given.

    Attributes:
        started: the process that was started, leader of a session of its own. It may go on as another one.
        channel: our end of the control socket.
        stderr: file that holds what the zygote says about its own faults.
        scratch: path of the directory for its workers' scratch directories.
        scratch_lock: descriptor that marks the directory as in use.
    """

    started: trio.Process
    channel: socket.socket
    stderr: IO[bytes]
    scratch: str
    scratch_lock: int
    _status_of_other: int | None = attrs.field(default=None, init=False)

    @property
    def returncode(self) -> int | None:
        """The exit status of the zygote, or minus the signal that ended it; None: nobody has seen its end."""
        status = self.started.returncode
        return self._status_of_other if status == MOVED else status

    async def settle(self, pid: int) -> None:
        """See to it that the process that was started is gone, if the zygote is another one by now.

        Args:
            pid: process id of the zygote, as it says itself.
        """
        if pid != self.started.pid:
            await self.started.wait()  # it is about to end; without this it would stay as a zombie

    async def wait(self) -> None:
        """Wait for the end of the zygote."""
        await self.started.wait()
        if self.returncode is None:
            # No number is needed to find it: in the group there is no other child of this process.
            wait = partial(os.waitid, os.P_PGID, self.started.pid, os.WEXITED | os.WNOWAIT)
            with suppress(ChildProcessError):  # somebody else of this application waits for all children
                await trio.to_thread.run_sync(wait, abandon_on_cancel=True)
            self._reap_other()

    def kill(self) -> None:
        """Kill the zygote, wherever it is; `wait` returns soon."""
        if self.returncode is None:
            with suppress(ProcessLookupError):
                os.killpg(self.started.pid, signal.SIGKILL)

    def _reap_other(self) -> None:
        if self._status_of_other is None:
            try:
                _, status = os.waitpid(-self.started.pid, os.WNOHANG)
            except ChildProcessError:
                self._status_of_other = _NOBODY_KNOWS
            else:
                self._status_of_other = os.waitstatus_to_exitcode(status)

    def last_line(self) -> str:
        """Return the last line that the zygote wrote to its stderr: of a traceback, the error."""
        size = os.fstat(self.stderr.fileno()).st_size
        self.stderr.seek(max(0, size - _STDERR_READ))
        return (self.stderr.read().decode("utf-8", "replace").strip().splitlines() or [""])[-1]

    def cause_of_death(self) -> str:
        """Return what the exit code of the process tells, after it has ended."""
        code = self.returncode
        if code is not None and code < 0:
            return f"it was ended by {signal.Signals(-code).name}"
        return f"it ended with exit status {code}"

    async def end(self) -> bool:
        """Hang up, which makes the zygote kill its workers and end; kill it if it does not.

        Returns:
            Whether it ended in good order, which it does last of all its processes.
        """
        self.channel.close()
        with trio.move_on_after(_EXIT_LIMIT):
            await self.wait()
        if self.returncode is None:
            self.kill()
            await self.wait()
        return self.returncode == 0

    async def kill_leftovers(self) -> None:
        """Find what a killed zygote's tasks left running, and kill it."""
        await trio.to_thread.run_sync(kill_groups, self.scratch)
        await trio.to_thread.run_sync(kill_leftovers, self.scratch)

    def close(self) -> None:
        """Close what is left open once the process has ended."""
        self.stderr.close()
        os.close(self.scratch_lock)

    async def remove_scratch(self) -> None:
        """Remove the scratch directories if the zygote did not, and the control groups if it made some."""
        with trio.move_on_after(_REMOVAL_LIMIT):
            await trio.to_thread.run_sync(remove_groups, self.scratch, abandon_on_cancel=True)
        if await trio.Path(self.scratch).exists():
            with trio.move_on_after(_REMOVAL_LIMIT):
                await trio.to_thread.run_sync(remove_tree, self.scratch, abandon_on_cancel=True)


async def spawn_zygote(python: str) -> ZygoteProcess:
    """Start the process of a zygote.

    It is given an empty environment but for the place of its temporary files and the number of threads that
    libraries may start when they are loaded ahead of the tasks, the null device, one end of the
    control socket, and nothing else of this process.

    Args:
        python: path of the interpreter.

    Raises:
        ConfigError: the interpreter cannot be started, there is no directory for temporary files, or the
            system has no descriptors left.

    Cancellation:
        Nothing is left.
    """
    with ExitStack() as undo:
        scratch, lock = make_scratch_root()
        undo.callback(os.close, lock)
        undo.callback(os.rmdir, scratch)
        try:
            stderr = undo.enter_context(tempfile.TemporaryFile(dir=scratch))
            ours, theirs = socket.socketpair()
            undo.callback(ours.close)
            with theirs:
                process = await _start(python, theirs.fileno(), stderr, scratch)
        except OSError as exc:
            raise ConfigError(f"python: cannot start {python!r}: {exc.strerror or exc}") from exc
        undo.pop_all()
    return ZygoteProcess(process, ours, stderr, scratch, lock)


async def remove_abandoned() -> None:
    """Remove what runners left on disk that were killed together with their zygotes.

    Cancellation:
        At once; the removal goes on in the background.
    """
    await trio.to_thread.run_sync(clear_abandoned, abandon_on_cancel=True)


async def _start(python: str, control: int, stderr: IO[bytes], scratch: str) -> trio.Process:
    # The path of the scratch directory is the mark that `leftovers` looks for, too.
    return await trio.lowlevel.open_process(
        [python, "-I", "-B", "-X", "utf8", "-c", _BOOTSTRAP, _PACKAGE_PARENT, scratch, str(control)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=stderr,
        env={"TMPDIR": scratch, **_ONE_THREAD},
        cwd="/",
        start_new_session=True,
        pass_fds=(control,),
    )
