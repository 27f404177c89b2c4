"""What runs on this machine, read from /proc: who descends from a process, and who carries a marker."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

import attrs
import trio

# Makes the process that runs it findable from outside, and every child it forks, whatever namespace it is in:
# the marker is the name of a file in its directory that it keeps open.
MARK = "import os\n_marker = os.open({marker!r}, os.O_CREAT | os.O_RDWR)\nos.set_inheritable(_marker, True)\n"
# Comes after MARK: prints 'up', and waits until the test has it go on, so that no time need be guessed.
WAIT = (
    "import signal\nsignal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])\n"
    "print('up')\nsignal.sigwait([signal.SIGUSR1])\n"
)


@attrs.frozen
class ProcessId:
    """A process, told apart from a later one with the same number by its start time."""

    pid: int
    started: str

    def alive(self) -> bool:
        """Whether it still runs; a zombie does not."""
        fields = _stat(self.pid)
        return fields is not None and fields[19] == self.started and fields[0] not in "ZX"

    def kill(self) -> None:
        """Kill it, if it is still there."""
        if self.alive():
            with suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)


def descendants(pid: int) -> list[ProcessId]:
    """Return every living process below `pid`, zombies included."""
    parents = {child: fields for child in _all() if (fields := _stat(child)) is not None}
    found: list[ProcessId] = []
    layer = {pid}
    while layer:
        layer = {child for child, fields in parents.items() if int(fields[1]) in layer}
        found += [ProcessId(child, parents[child][19]) for child in layer]
    return found


def zombies(pid: int) -> list[int]:
    """Return the dead but unreaped processes below `pid`."""
    return [
        child.pid
        for child in descendants(pid)
        if (fields := _stat(child.pid)) is not None and fields[0] == "Z"
    ]


def marked(marker: str) -> list[int]:
    """Return the processes that hold a file with this name open."""
    return [pid for pid in _all() if any(_named(target, marker) for target in _open_files(pid))]


def listening(pid: int) -> list[int]:
    """Return the TCP ports on which a process listens."""
    sockets = {target.removeprefix("socket:[").removesuffix("]") for target in _open_files(pid)}
    rows = [
        row.split()
        for table in ("tcp", "tcp6")
        for row in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]
    ]
    return [int(row[1].rpartition(":")[2], 16) for row in rows if row[3] == "0A" and row[9] in sockets]


def go_on(marker: str) -> None:
    """Have the marked process go on that waits by `WAIT`."""
    (pid,) = marked(marker)
    os.kill(pid, signal.SIGUSR1)


async def wait_gone(pids: Iterable[int], limit: float = 30.0) -> None:
    """Wait until processes have ended that are nobody's children of ours."""
    with trio.fail_after(limit):
        for pid in pids:
            try:
                descriptor = os.pidfd_open(pid)
            except ProcessLookupError:
                continue
            try:
                await trio.lowlevel.wait_readable(descriptor)
            finally:
                os.close(descriptor)


def _all() -> list[int]:
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdecimal()]


def _named(target: str, marker: str) -> bool:
    return target.removesuffix(" (deleted)").rpartition("/")[2] == marker


def _stat(pid: int) -> list[str] | None:
    """Return the fields of /proc/PID/stat after the name: state, parent, …; index 19 is the start time."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return text.rpartition(")")[2].split()


def _open_files(pid: int) -> Iterator[str]:
    with suppress(FileNotFoundError, ProcessLookupError, PermissionError):
        for entry in Path(f"/proc/{pid}/fd").iterdir():
            with suppress(FileNotFoundError, ProcessLookupError):
                yield str(entry.readlink())
