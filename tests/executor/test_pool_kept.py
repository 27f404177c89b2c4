"""Workers that run several tasks, in virtual time, with a zygote and workers that are played."""

from __future__ import annotations

import math
import os
import socket
from collections import defaultdict
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import attrs
import pytest
import trio
import trio.testing

from trio_runner.executor.config import ProcessExecutorConfig
from trio_runner.executor.contract import Executor, ZygoteStatistics
from trio_runner.executor.pool import open_process_executor
from trio_runner.executor.worker import Worker
from trio_runner.protocol.raw_json import RawJson
from trio_runner.sandbox.config import Limits, SandboxConfig
from trio_runner.sandbox.framing import HEADER, FrameKind, pack_header, unpack_header
from trio_runner.scheduling.observer import Event, ExecutorTrouble
from trio_runner.scheduling.outcome import Completed, Failed, WorkerDied

from .tasks import Events, job

REUSE = ProcessExecutorConfig(warm=0, workers=3, reuse=10)
TRUE = Completed(RawJson(b"true"))


def frame(kind: FrameKind, payload: bytes = b"") -> bytes:
    """Return a whole frame."""
    return pack_header(kind, len(payload)) + payload


STARTED = frame(FrameKind.STARTED, b'{"workflowId": "w"}')
RESULT = frame(FrameKind.RESULT, b"true")
FORGED = frame(FrameKind.STARTED, b"{}") + frame(FrameKind.RESULT, b'"forged"')


@attrs.define
class Play:
    """What workers do, by their number, one word per task; afterwards all is well. And what became of it."""

    script: dict[int, list[str]] = attrs.Factory(lambda: defaultdict(list))
    zygotes: list[PlayedZygote] = attrs.Factory(list)
    by: list[int] = attrs.Factory(list)
    told_to_stay: list[bool] = attrs.Factory(list)
    approved: list[str] = attrs.Factory(list)
    troubles: list[str] = attrs.Factory(list)
    ended: dict[int, float] = attrs.Factory(dict)
    numbers: int = 0

    def observe(self, event: Event) -> None:
        """Be the observer."""
        if isinstance(event, ExecutorTrouble):
            self.troubles.append(event.why)

    async def start(
        self,
        config: ProcessExecutorConfig,
        on_ended: Callable[[Worker], None],
        *,
        preload: tuple[str, ...] = (),
    ) -> PlayedZygote:
        """Stand in for `start_zygote`."""
        await trio.lowlevel.checkpoint()
        self.zygotes.append(PlayedZygote(self, on_ended))
        return self.zygotes[-1]


class PlayedZygote:
    """Stands in for a `Zygote`, with workers that are tasks."""

    def __init__(self, play: Play, on_ended: Callable[[Worker], None]) -> None:
        self.alive, self.lost = True, ""
        self.unfit: dict[str, str] = {}
        self.missing: tuple[tuple[str, str], ...] = ()
        self.gone = trio.Event()
        self.channels: dict[Worker, trio.SocketStream] = {}
        self._play, self._on_ended = play, on_ended
        self._asked, self._to_fork = trio.open_memory_channel[Worker](math.inf)

    def fork(self, count: int = 1) -> list[Worker]:
        """Make workers."""
        numbers = range(self._play.numbers + 1, self._play.numbers + 1 + count)
        self._play.numbers += count
        workers = [Worker(number, self) for number in numbers]
        for worker in workers:
            self._asked.send_nowait(worker)
        return workers

    def approve(self, digest: str, _program: bytes, _forget: str | None) -> None:
        """Remember it."""
        self._play.approved.append(digest)

    def statistics(self) -> ZygoteStatistics:
        """Tell as little as one can."""
        return ZygoteStatistics(pid=1, age=0.0, workers=len(self.channels), walls=())

    def leave(self) -> None:
        """Fork no more."""
        self.alive = False
        self._asked.close()

    def retire(self, worker: Worker) -> None:
        """End a worker."""
        self.end(worker)

    def end(self, worker: Worker, exit_code: int = -9) -> None:
        """End a worker."""
        if not worker.ended.is_set():
            self._play.ended[worker.number] = trio.current_time()
            worker.end(exit_code)
            self._on_ended(worker)

    async def serve(self, on_lost: Callable[[], None]) -> None:
        """Have workers work until there is nobody left for whom."""
        try:
            async with trio.open_nursery() as nursery:
                async for worker in self._to_fork:
                    nursery.start_soon(self._live, worker)
        finally:
            self.alive = False
            on_lost()
            for worker in list(self.channels):
                self.end(worker)
            with suppress(trio.WouldBlock, trio.EndOfChannel):
                while True:
                    self._bury_unborn(self._to_fork.receive_nowait())
            self.gone.set()

    def _bury_unborn(self, worker: Worker) -> None:
        for descriptor in worker.hand_over():
            os.close(descriptor)
        worker.end(None)

    async def _live(self, worker: Worker) -> None:
        channel, stderr = worker.hand_over()
        os.close(stderr)
        worker.be_born(1, None)
        async with trio.SocketStream(
            trio.socket.fromfd(channel, socket.AF_UNIX, socket.SOCK_STREAM)
        ) as stream:
            os.close(channel)
            self.channels[worker] = stream
            with suppress(EOFError, trio.BrokenResourceError):
                while await self._serve_one(worker, stream):
                    pass
            del self.channels[worker]
        self.end(worker, 0)

    async def _serve_one(self, worker: Worker, stream: trio.SocketStream) -> bool:
        kind, nonce = await receive(stream)
        stays = kind is FrameKind.KEEP
        if stays:
            await receive(stream)
        script = self._play.script[worker.number]
        deed = script.pop(0) if script else ""
        if deed == "dies of its task":
            return False
        self._play.by.append(worker.number)
        self._play.told_to_stay.append(stays)
        ready = frame(FrameKind.READY, nonce) if stays else b""
        before, middle, after = self._frames(deed, ready)
        if deed == "is gone with its result":
            os.write(stream.socket.fileno(), before + middle)
            self.end(worker, 0)
            return False
        await stream.send_all(before + middle + after)
        if deed == "clears up for long":
            await trio.sleep(10)
        return stays and deed != "ends"

    def _frames(self, deed: str, ready: bytes) -> tuple[bytes, bytes, bytes]:
        """Return what is sent before the result, as the result, and behind it."""
        before, middle, after = ready + STARTED, RESULT, ready
        match deed:
            case "approves":
                before += frame(FrameKind.APPROVED, b"a" * 64 + b"program")
            case "approves of more":
                before += frame(FrameKind.APPROVED, b"b" * 64 + b"forged")
            case "fails":
                middle = frame(FrameKind.FAILED, b'{"kind": "user-code", "message": "no"}')
            case "violates the policy":
                middle = frame(FrameKind.FAILED, b'{"kind": "policy", "message": "no"}')
            case "answers for another task":
                before = frame(FrameKind.READY, bytes(16)) + STARTED
            case "goes on where it was":
                before, middle = b"", FORGED
            case "adds to its result":
                after = FORGED + ready
            case "adds to its readiness":
                after = ready + FORGED
            case "is ready for something else":
                after = frame(FrameKind.READY, bytes(16))
            case "clears up for long" | "ends":
                after = b""
        return before, middle, after


async def receive(stream: trio.SocketStream) -> tuple[FrameKind, bytes]:
    """Receive one frame.

    Raises:
        EOFError: the runner has hung up.
    """
    kind, length = unpack_header(await receive_exactly(stream, HEADER.size))
    return kind, await receive_exactly(stream, length)


async def receive_exactly(stream: trio.SocketStream, size: int) -> bytes:
    """Receive so many bytes."""
    data = b""
    while len(data) < size:
        if not (more := await stream.receive_some(size - len(data))):
            raise EOFError
        data += more
    return data


@pytest.fixture
def play(monkeypatch: pytest.MonkeyPatch) -> Play:
    """The script of the test."""
    playing = Play()
    monkeypatch.setattr("trio_runner.executor.supply.start_zygote", playing.start)
    return playing


async def run(executor: Executor, workflow: object = "w", **settings: Any) -> Completed | Failed | WorkerDied:
    """Run a task, and wait until nothing happens any more."""
    outcome = await executor.run(job("return True", workflowId=workflow, **settings), Events())
    await trio.testing.wait_all_tasks_blocked()
    return outcome


async def test_tasks_of_one_workflow_share_a_worker(
    play: Play, autojump_clock: trio.testing.MockClock
) -> None:
    async with open_process_executor(REUSE, observer=play) as executor:
        for workflow in "vwvvw":
            assert await run(executor, workflow) == TRUE
        assert play.by == [1, 2, 1, 1, 2]
        assert executor.statistics().idle_workers == 2
        assert executor.statistics().started == 5
    assert play.troubles == []


async def test_workers_are_used_once_if_nothing_else_is_said(
    play: Play, autojump_clock: trio.testing.MockClock
) -> None:
    async with open_process_executor(attrs.evolve(REUSE, reuse=0), observer=play) as executor:
        for _ in range(3):
            assert await run(executor) == TRUE
    assert play.by == [1, 2, 3]
    assert play.told_to_stay == [False] * 3


@pytest.mark.parametrize(("reuse", "by"), [(1, [1, 2, 3, 4]), (2, [1, 1, 2, 2]), (3, [1, 1, 1, 2])])
async def test_a_worker_ends_after_so_many_tasks(
    play: Play, autojump_clock: trio.testing.MockClock, reuse: int, by: list[int]
) -> None:
    async with open_process_executor(attrs.evolve(REUSE, reuse=reuse)) as executor:
        for _ in by:
            assert await run(executor) == TRUE
    assert play.by == by


@pytest.mark.parametrize(
    ("workflow", "settings"),
    [
        pytest.param("", {}, id="no id"),
        pytest.param(None, {}, id="null"),
        pytest.param(7, {}, id="a number"),
        pytest.param("w", {"query": "x" * 1024**2}, id="large settings"),
    ],
)
async def test_tasks_that_share_with_nobody(
    play: Play, workflow: object, settings: dict[str, object]
) -> None:
    async with open_process_executor(REUSE) as executor:
        for _ in range(2):
            assert await run(executor, workflow, **settings) == TRUE
    assert play.by == [1, 2]
    assert play.told_to_stay == [False] * 2


async def test_an_error_in_the_code_leaves_the_worker_fit(
    play: Play, autojump_clock: trio.testing.MockClock
) -> None:
    play.script[1] = ["fails"]
    async with open_process_executor(REUSE) as executor:
        assert await run(executor) == Failed("no", "", kind="user-code")
        assert await run(executor) == TRUE
    assert play.by == [1, 1]


@pytest.mark.parametrize(
    "deed",
    [
        "violates the policy",
        "adds to its result",
        "adds to its readiness",
        "is ready for something else",
        "clears up for long",
        "ends",
        "is gone with its result",
    ],
)
async def test_a_worker_that_is_not_fit_ends(
    play: Play, autojump_clock: trio.testing.MockClock, deed: str
) -> None:
    play.script[1] = [deed]
    async with open_process_executor(REUSE, observer=play) as executor:
        outcome = await run(executor)
        assert isinstance(outcome, Failed if deed == "violates the policy" else Completed)
        await trio.sleep(1)
        assert await run(executor) == TRUE
        assert play.by == [1, 2]
        assert play.ended[1] <= 0.25
        await trio.sleep(1)
        assert executor._leaving == set()  # type: ignore[attr-defined]  # else its slot would wait for ever
    assert play.troubles == []


async def test_a_slot_waits_no_longer_for_the_clearing_up_than_for_the_end(
    play: Play, autojump_clock: trio.testing.MockClock
) -> None:
    play.script[1] = ["clears up for long"]
    async with open_process_executor(attrs.evolve(REUSE, workers=1)) as executor:
        for workflow in "vw":
            assert await executor.run(job("return True", workflowId=workflow), Events()) == TRUE
        assert trio.current_time() == pytest.approx(0.25)


@pytest.mark.parametrize(
    "deed", ["dies of its task", "answers for another task", "goes on where it was"], ids=str
)
async def test_a_task_that_an_earlier_one_spoils_is_run_by_a_fresh_worker(
    play: Play, autojump_clock: trio.testing.MockClock, deed: str
) -> None:
    play.script[1] = ["", deed]
    async with open_process_executor(REUSE, observer=play) as executor:
        assert await run(executor) == TRUE
        assert await run(executor) == TRUE, "and not what was forged"
        assert play.by[-1] == 2
        assert play.ended.keys() == {1, 2}, "a task is never tried again by a worker that is kept"
        assert executor.statistics().worker_deaths == 0
    assert play.troubles == []


async def test_bytes_out_of_turn_end_a_worker_that_waits(
    play: Play, autojump_clock: trio.testing.MockClock
) -> None:
    async with open_process_executor(REUSE, observer=play) as executor:
        assert await run(executor) == TRUE
        (stream,) = play.zygotes[0].channels.values()
        await stream.send_all(FORGED)
        await trio.testing.wait_all_tasks_blocked()
        assert executor.statistics().idle_workers == 0
        assert play.ended.keys() == {1}
    assert play.troubles == []


async def test_bytes_out_of_turn_in_the_last_moment(
    play: Play, autojump_clock: trio.testing.MockClock
) -> None:
    async with open_process_executor(REUSE) as executor:
        assert await run(executor) == TRUE
        (stream,) = play.zygotes[0].channels.values()
        await stream.send_all(FORGED)
        assert await run(executor) == TRUE
    assert play.by == [1, 2]


async def test_a_worker_that_dies_while_it_waits_is_forgotten(
    play: Play, autojump_clock: trio.testing.MockClock
) -> None:
    async with open_process_executor(REUSE, observer=play) as executor:
        assert await run(executor) == TRUE
        play.zygotes[0].end(next(iter(play.zygotes[0].channels)))
        await trio.testing.wait_all_tasks_blocked()
        assert executor.statistics().idle_workers == 0
        assert await run(executor) == TRUE
        assert play.by == [1, 2]
        assert executor.statistics().worker_deaths == 0
    assert play.troubles == []


async def test_only_the_first_task_of_a_worker_vouches_for_code(
    play: Play, autojump_clock: trio.testing.MockClock
) -> None:
    play.script[1] = ["approves", "approves of more"]
    async with open_process_executor(REUSE) as executor:
        for _ in range(2):
            assert await run(executor) == TRUE
    assert play.by == [1, 1]
    assert play.approved == ["a" * 64]


async def test_they_wait_for_half_a_minute(play: Play, autojump_clock: trio.testing.MockClock) -> None:
    async with open_process_executor(REUSE) as executor:
        assert await run(executor) == TRUE
        await trio.sleep(29)
        assert await run(executor) == TRUE
        await trio.sleep(29)
        assert executor.statistics().idle_workers == 1
        await trio.sleep(2)
        assert executor.statistics().idle_workers == 0
        assert play.ended == {1: pytest.approx(59)}
    assert play.by == [1, 1]


async def test_the_one_that_waited_longest_gives_way(
    play: Play, autojump_clock: trio.testing.MockClock
) -> None:
    async with open_process_executor(REUSE) as executor:
        for workflow in "abcd":
            assert await run(executor, workflow) == TRUE
        assert executor.statistics().idle_workers == 3
        assert play.ended.keys() == {1}
        assert await run(executor, "b") == TRUE
        assert await run(executor, "a") == TRUE
    assert play.by == [1, 2, 3, 4, 2, 5]


async def test_a_reload_ends_them(play: Play, autojump_clock: trio.testing.MockClock) -> None:
    async with open_process_executor(REUSE) as executor:
        assert await run(executor) == TRUE
        await executor.reload()
        await play.zygotes[0].gone.wait()
        assert executor.statistics().idle_workers == 0
        assert await run(executor) == TRUE
    assert play.by == [1, 2]


async def test_another_configuration_ends_them_and_counts_for_those_at_work(
    play: Play, autojump_clock: trio.testing.MockClock
) -> None:
    play.script[2] = ["clears up for long"]
    async with open_process_executor(REUSE) as executor:
        assert await run(executor, "v") == TRUE
        async with trio.open_nursery() as nursery:
            nursery.start_soon(run, executor, "w")
            await trio.sleep(0.1)
            await executor.reconfigure(attrs.evolve(REUSE, workers=2, reuse=0))
            await trio.testing.wait_all_tasks_blocked()
            assert play.ended.keys() == {1}
        await trio.sleep(1)
        assert play.ended.keys() == {1, 2}
        assert await run(executor) == TRUE
    assert play.by == [1, 2, 3]
    assert play.told_to_stay == [True, True, False]


async def test_where_processor_time_is_limited_every_task_has_its_own(
    play: Play, autojump_clock: trio.testing.MockClock
) -> None:
    limited = SandboxConfig(limits=Limits(cpu=9))
    async with open_process_executor(attrs.evolve(REUSE, sandbox=limited)) as executor:
        for _ in range(2):
            assert await run(executor) == TRUE
    assert play.told_to_stay == [False] * 2
