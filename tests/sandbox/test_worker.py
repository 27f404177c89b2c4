"""What a worker is before its task, and how it takes and answers it."""

from __future__ import annotations

import json
import select
import signal
import socket
import threading
from binascii import b2a_base64
from collections.abc import Iterator
from pathlib import Path

import pytest

from trio_runner.sandbox import control
from trio_runner.sandbox.config import SandboxConfig
from trio_runner.sandbox.framing import HEADER, FrameKind, pack_header, unpack_header
from trio_runner.sandbox.policy import Policy
from trio_runner.sandbox.worker import _receive_task

from .zygotes import HeldZygote, one_worker

# The code reads what is not a task's to read.
NOT_HERE = frozenset({"mount-namespace", "pid-namespace", "user", "landlock", "private-memory"})


def refuse(_nonce: bytes) -> None:
    """Be told to stay, though nobody asked for that."""
    raise AssertionError("told to stay")


def test_a_task_in_pieces() -> None:
    near, far = socket.socketpair()
    settings = bytes(range(256)) * 10_000
    frame = pack_header(FrameKind.TASK, len(settings)) + settings

    def send() -> None:
        for position in [*range(9), *range(9, len(frame), 100_000)]:
            end = position + 1 if position < 9 else position + 100_000
            near.sendall(frame[position:end])

    sender = threading.Thread(target=send)
    with near, far:
        sender.start()
        assert _receive_task(far, lambda: None, refuse) == settings
        sender.join()


@pytest.mark.parametrize(
    "sent", [b"", b"\x01", pack_header(FrameKind.TASK, 10), pack_header(FrameKind.TASK, 10) + b"{"]
)
def test_a_runner_that_hangs_up_before_the_task_is_whole(sent: bytes) -> None:
    near, far = socket.socketpair()
    with far:
        near.sendall(sent)
        near.close()
        with pytest.raises(EOFError):
            _receive_task(far, lambda: None, refuse)


@pytest.mark.parametrize(("waiting", "rehearsals"), [(False, 1), (True, 0)])
def test_a_rehearsal_never_holds_up_a_task(waiting: bool, rehearsals: int) -> None:
    near, far = socket.socketpair()
    task = pack_header(FrameKind.TASK, 2) + b"{}"
    held: list[int] = []

    def rehearse() -> None:
        held.append(1)
        near.sendall(task)

    with near, far:
        near.sendall(pack_header(FrameKind.REHEARSE, 0) + (task if waiting else b""))
        assert _receive_task(far, rehearse, refuse) == b"{}"
    assert len(held) == rehearsals


def test_analysed_code_always_runs_behind_an_approval(tmp_path: Path) -> None:
    kinds = [FrameKind.STARTED, FrameKind.APPROVED, FrameKind.PRINTED, FrameKind.RESULT]
    with one_worker(tmp_path, Policy()) as (zygote, worker):
        worker.send("print('running')")
        first = list(worker.frames())
        assert [kind for kind, _ in first] == kinds
        zygote.ended()
        name, program = first[1][1][:64], first[1][1][64:]
        assert program
        zygote.send(control.Approve(name.decode(), b2a_base64(program, newline=False).decode()))
        again = zygote.fork()
        again.send("print('running')")
        assert list(again.frames()) == [first[0], (FrameKind.APPROVED, name), *first[2:]]


def test_a_forgotten_analysis_is_done_again(tmp_path: Path) -> None:
    with HeldZygote(tmp_path, Policy()) as zygote:
        zygote.send(control.Approve("a" * 64))
        zygote.send(control.Approve("b" * 64, forget="a" * 64))
        worker = zygote.fork()
        worker.send("import os")
        assert [kind for kind, _ in worker.frames()] == [FrameKind.STARTED, FrameKind.FAILED]


def test_small_and_large_frames_arrive_whole(tmp_path: Path) -> None:
    with one_worker(tmp_path) as (_, worker):
        worker.send("return 'x' * 3_000_000")
        assert list(worker.frames())[-1] == (FrameKind.RESULT, b'"' + b"x" * 3_000_000 + b'"')


def test_it_ends_only_when_it_is_hung_up_on(tmp_path: Path) -> None:
    with one_worker(tmp_path) as (_, worker):
        worker.send("return 1", hang_up=False)
        with worker.channel.makefile("rb") as stream:
            kinds = []
            while FrameKind.RESULT not in kinds:
                kind, length = unpack_header(stream.read(HEADER.size))
                kinds.append(kind)
                stream.read(length)
        assert not select.select([worker.pidfd], [], [], 0.1)[0]
        worker.channel.shutdown(socket.SHUT_WR)
        assert select.select([worker.pidfd], [], [], 30)[0]


def test_it_stands_alone(tmp_path: Path) -> None:
    code = """\
import faulthandler, gc, os, signal
status = dict(line.split(':', 1) for line in open('/proc/self/status'))
old = os.umask(0)
return {
    'leader': os.getpid() == os.getpgid(0) == os.getsid(0),
    'umask': old, 'here': os.getcwd(),
    'crash reports': faulthandler.is_enabled(), 'collector': gc.isenabled(),
    'no new privileges': status['NoNewPrivs'].strip(), 'ignored': status['SigIgn'].strip()[-8:],
    'blocked': int(status['SigBlk'], 16), 'oom': open('/proc/self/oom_score_adj').read().strip(),
}
"""
    with one_worker(tmp_path, sandbox=SandboxConfig(disabled=NOT_HERE)) as (_, worker):
        worker.send(code)
        seen = json.loads(list(worker.frames())[-1][1])
    # Of the bits, those above 31 are the C library's own signals, ignored or not as it likes.
    seen["ignored"] = f"{int(seen['ignored'], 16) & 0x7FFFFFFF:08x}"
    assert seen == {
        "leader": True,
        "umask": 0o077,
        "here": str(tmp_path / "2"),  # the first was for the trial of the walls
        "crash reports": True,
        "collector": True,
        "no new privileges": "1",
        "ignored": "01001000",  # SIGPIPE and SIGXFSZ, as in every Python
        "blocked": 0,
        "oom": "1000",
    }


@pytest.fixture
def started_by_nohup() -> Iterator[None]:
    """Start processes that ignore what a terminal sends, as those in the background of a script do."""
    numbers = (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT)
    before = {number: signal.signal(number, signal.SIG_IGN) for number in numbers}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.usefixtures("started_by_nohup")
def test_a_task_ignores_no_signal_because_the_runner_was_started_so(tmp_path: Path) -> None:
    with one_worker(tmp_path) as (_, worker):
        worker.send("import signal\nreturn [str(signal.getsignal(number)) for number in (1, 2, 3)]")
        hangup, interrupt, quit_ = json.loads(list(worker.frames())[-1][1])
    assert (hangup, quit_) == (str(signal.SIG_DFL), str(signal.SIG_DFL))
    assert "default_int_handler" in interrupt


def test_it_dies_with_the_zygote(tmp_path: Path) -> None:
    zygote = HeldZygote(tmp_path)
    worker = zygote.fork()
    zygote.process.kill()
    zygote.process.wait()
    assert worker.channel.recv(1) == b""
    zygote.channel.close()
    worker.close()
