"""The zygote as its control socket shows it."""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import sys
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import pytest

from trio_runner.sandbox import control, zygote
from trio_runner.sandbox.config import SandboxConfig
from trio_runner.sandbox.framing import FrameKind
from trio_runner.sandbox.policy import Policy
from trio_runner.sandbox.reaping import Reaped
from trio_runner.sandbox.walls.raising import Walls
from trio_runner.sandbox.zygote import Zygote

from .zygotes import HeldZygote, one_worker

DAEMON = """\
import os, time
reader, writer = os.pipe()
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        os.write(writer, str(os.getpid()).encode())
        while True: time.sleep(1000)
    os._exit(0)
print(os.read(reader, 20).decode())
"""


@pytest.fixture
def scratch(tmp_path: Path) -> Path:
    """A directory for scratch directories."""
    directory = tmp_path / "scratch"
    directory.mkdir()
    return directory


def is_dead(pidfd: int) -> bool:
    """Whether the process behind a pidfd has ended."""
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    return bool(poll.poll(0))


def test_it_says_hello(scratch: Path) -> None:
    with HeldZygote(scratch) as held:
        assert held.hello == control.Hello(held.process.pid, ())


@pytest.mark.skipif(sys.version_info >= (3, 12), reason="there sysconfig loads it, which the walls need")
def test_it_loads_nothing_that_makes_every_fork_dearer(scratch: Path) -> None:
    with one_worker(scratch) as (_, worker):
        worker.send("import sys\nreturn 'threading' in sys.modules")
        (result,) = (payload for kind, payload in worker.frames() if kind is FrameKind.RESULT)
    assert json.loads(result) is False


def test_a_worker_performs_a_task_and_ends(scratch: Path) -> None:
    with one_worker(scratch) as (held, worker):
        worker.send("print('hi')\nreturn 1 + 1")
        frames = list(worker.frames())
        kinds = [FrameKind.STARTED, FrameKind.APPROVED, FrameKind.PRINTED, FrameKind.RESULT]
        assert [kind for kind, _ in frames] == kinds
        assert frames[-1][1] == b"2"
        ended = held.ended()
        assert ended == control.Ended(worker.number, 0)
        assert 1_000_000 < ended.peak < 1_000_000_000  # bytes
        assert is_dead(worker.pidfd)
        assert [list(directory.iterdir()) for directory in scratch.iterdir()] == [[]]


def test_an_idle_worker_is_ended(scratch: Path) -> None:
    with one_worker(scratch) as (held, worker):
        held.send(control.End(worker.number))
        assert held.ended() == control.Ended(worker.number, -signal.SIGKILL)
        assert is_dead(worker.pidfd)


def test_an_idle_worker_ends_when_the_runner_hangs_up_on_it(scratch: Path) -> None:
    with one_worker(scratch) as (held, worker):
        worker.channel.shutdown(socket.SHUT_WR)
        assert held.ended() == control.Ended(worker.number, 0)


def test_ending_what_has_ended_or_never_was_is_nothing(scratch: Path) -> None:
    with one_worker(scratch) as (held, worker):
        held.send(control.End(99))
        held.send(control.End(worker.number))
        held.send(control.End(worker.number))
        assert held.ended().worker == worker.number
        held.send(control.End(worker.number))
        other = held.fork()
        held.send(control.End(other.number))
        assert held.ended().worker == other.number


def test_a_stopped_worker_is_ended(scratch: Path) -> None:
    with one_worker(scratch) as (held, worker):
        os.kill(worker.pid, signal.SIGSTOP)
        held.send(control.End(worker.number))
        assert held.ended() == control.Ended(worker.number, -signal.SIGKILL)


@pytest.mark.parametrize("asked", [True, False])
def test_daemons_are_dead_before_their_worker_counts_as_ended(scratch: Path, asked: bool) -> None:
    go = scratch.parent / "go"
    wait = f"while not os.path.exists({str(go)!r}): time.sleep(0.005)\n"
    with one_worker(scratch) as (held, worker):
        worker.send(DAEMON + wait + "os._exit(4)")
        frames = worker.frames()
        while (frame := next(frames))[0] is not FrameKind.PRINTED:
            pass
        daemon = os.pidfd_open(int("".join(filter(str.isdigit, frame[1].decode().partition("text")[2]))))
        held.send(control.End(worker.number)) if asked else go.touch()
        assert held.ended() == control.Ended(worker.number, -signal.SIGKILL if asked else 4)
        assert is_dead(daemon)
        os.close(daemon)


def test_workers_hold_nothing_of_each_other(scratch: Path) -> None:
    with one_worker(scratch) as (held, first):
        second = held.fork()
        held.send(control.End(second.number))
        held.ended()
        # Nobody else held the second one's end, so its death is the end of the stream.
        assert second.channel.recv(1) == b""
        first.send("return 1")
        assert list(first.frames())[-1] == (FrameKind.RESULT, b"1")


def test_hanging_up_ends_everything(scratch: Path) -> None:
    held = HeldZygote(scratch)
    workers = [held.fork() for _ in range(3)]
    workers[0].send(DAEMON + "open('left', 'w').close()\nprint('ready')\ntime.sleep(1000)")
    printed = [payload for kind, payload in islice(workers[0].frames(), 4) if kind is FrameKind.PRINTED]
    daemon = os.pidfd_open(int("".join(filter(str.isdigit, printed[0].decode().partition("text")[2]))))
    assert held.hang_up() == 0
    assert all(is_dead(worker.pidfd) for worker in workers)
    assert is_dead(daemon)
    assert not scratch.exists()
    os.close(daemon)
    for worker in workers:
        worker.close()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_signals_to_the_whole_group_do_not_end_it(scratch: Path, number: int) -> None:
    with HeldZygote(scratch) as held:
        held.process.send_signal(number)
        held.fork().send("return 1")
        assert held.ended().status == 0


def test_a_worker_without_a_place_is_not_forked(tmp_path: Path) -> None:
    with HeldZygote(tmp_path / "missing") as held:
        held.ask(1)
        message, _ = held.receive()
        assert isinstance(message, control.ForkFailed)
        assert "No such file or directory" in message.why


def test_several_workers_are_forked_together(scratch: Path) -> None:
    with HeldZygote(scratch) as held:
        workers = held.fork_several(control.BATCH)
        assert len({worker.pid for worker in workers}) == control.BATCH
        for worker in workers:
            worker.send(f"return {worker.number}")
        for worker in workers:
            assert list(worker.frames())[-1] == (FrameKind.RESULT, str(worker.number).encode())


def test_a_directory_goes_to_another_worker_only_untouched(scratch: Path) -> None:
    with HeldZygote(scratch) as held:

        def directory(code: str) -> tuple[str, int]:
            worker = held.fork()
            worker.send(f"import os\n{code}\nreturn [os.getcwd(), os.stat('.').st_ino]")
            path, inode = json.loads(list(worker.frames())[-1][1])
            held.ended()
            return path, inode

        first = directory("")
        assert directory("") == first
        assert directory("open('left', 'w').close()") == first
        second = directory("os.chmod('.', 0o500)")
        assert second[0] != first[0]
        third = directory("open('brief', 'w').close(); os.remove('brief')")
        assert third[0] not in {first[0], second[0]}
        assert directory("")[0] not in {first[0], second[0], third[0]}


# --- what real processes do not do on demand --------------------------------------------------------


class Played:
    """A `Zygote` object in this process, with the runner's end of its socket."""

    def __init__(self, scratch: Path) -> None:
        self.channel, theirs = socket.socketpair()
        self.channel.setblocking(False)
        policy = Policy()
        walls = Walls(SandboxConfig(strictness="off"), policy)
        self.zygote = Zygote(theirs, walls, policy, str(scratch), control.ControlDecoder())
        self._decoder = control.ControlDecoder()

    def said(self) -> list[control.Message]:
        """Return what it has said since the last time."""
        self.zygote._flush()
        try:
            data, descriptors = control.receive(self.channel)
        except BlockingIOError:
            return []
        return [message for message, _ in self._decoder.feed(data, descriptors)]

    def close(self) -> None:
        """Close both ends."""
        self.channel.close()
        self.zygote._channel.close()


@pytest.fixture
def played(scratch: Path) -> Iterator[Played]:
    """A zygote played by the test."""
    playing = Played(scratch)
    yield playing
    playing.close()


def test_a_fork_that_fails_is_reported(played: Played, monkeypatch: pytest.MonkeyPatch) -> None:
    def fork() -> int:
        raise BlockingIOError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(os, "fork", fork)
    descriptors = list(os.pipe())
    played.zygote._handle(control.Fork((1,)), descriptors)
    (message,) = played.said()
    assert message == control.ForkFailed(1, "[Errno 11] Resource temporarily unavailable")
    for descriptor in descriptors:
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(descriptor)


def test_what_outlives_sigkill_is_reported_in_time(played: Played, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = 1000.0
    monkeypatch.setattr(time, "monotonic", lambda: clock)
    monkeypatch.setattr(zygote, "kill_group", lambda worker: None)
    held = played.zygote
    held._workers, held._numbers = {1: 101, 2: 102}, {101: 1, 102: 2}
    held._end(1)
    held._report_ended({555})
    assert played.said() == []
    clock += zygote._STUCK_AFTER
    held._report_ended({555})
    assert played.said() == [control.Ended(1, -signal.SIGKILL, stuck=2)]
    # Nobody waits for them again, and the other worker is none the worse.
    assert held._stuck == {101, 555}
    held._end(2)
    held._dead[2] = Reaped(9, -9, 0)
    held._report_ended({101, 555} - held._stuck)
    assert played.said() == [control.Ended(2, -9)]


def test_a_runner_that_is_gone_ends_it(played: Played) -> None:
    played.channel.close()
    played.zygote._send(control.Ended(1, 0))
    played.zygote._flush()
    assert not played.zygote._open
