"""How the pool copes when workers or zygotes cannot be had, in virtual time, with a zygote that is played."""

from __future__ import annotations

import errno
import math
import os
import socket
from collections.abc import Callable
from contextlib import suppress
from itertools import pairwise

import attrs
import pytest
import trio
import trio.testing

from trio_runner.errors import ConfigError
from trio_runner.executor.config import ProcessExecutorConfig
from trio_runner.executor.contract import ZygoteStatistics
from trio_runner.executor.pool import open_process_executor
from trio_runner.executor.reply import Approved
from trio_runner.executor.worker import Worker
from trio_runner.protocol.raw_json import RawJson
from trio_runner.sandbox.framing import FrameKind, pack_header
from trio_runner.sandbox.policy import Policy
from trio_runner.scheduling.observer import Event, ExecutorTrouble
from trio_runner.scheduling.outcome import Completed, WorkerDied

from .tasks import Events, job

STARTED = pack_header(FrameKind.STARTED, 2) + b"{}"
RESULT = pack_header(FrameKind.RESULT, 4) + b"true"


@attrs.define
class Play:
    """What the zygotes of a test do, one entry per fork; afterwards every worker lives."""

    script: list[str] = attrs.Factory(list)
    zygotes: list[FakeZygote] = attrs.Factory(list)
    configs: list[ProcessExecutorConfig] = attrs.Factory(list)
    failing_starts: int = 0
    slow_starts: list[float] = attrs.Factory(list)
    stuck: bool = False
    clearing_up: float = 0
    troubles: list[tuple[float, str]] = attrs.Factory(list)

    def observe(self, event: Event) -> None:
        """Be the observer."""
        if isinstance(event, ExecutorTrouble):
            self.troubles.append((trio.current_time(), event.why))

    async def start(
        self,
        config: ProcessExecutorConfig,
        on_ended: Callable[[Worker], None],
        *,
        preload: tuple[str, ...] = (),
    ) -> FakeZygote:
        """Stand in for `start_zygote`."""
        await trio.sleep(self.slow_starts.pop(0) if self.slow_starts and self.zygotes else 0)
        self.configs.append(config)
        if self.failing_starts and self.zygotes:
            self.failing_starts -= 1
            raise ConfigError("python: gone")
        self.zygotes.append(FakeZygote(self, on_ended))
        return self.zygotes[-1]


class FakeZygote:
    """Stands in for a `Zygote`; its workers answer every task with true."""

    def __init__(self, play: Play, on_ended: Callable[[Worker], None]) -> None:
        self.alive = True
        self.lost = "it was told to"
        self.approved: list[tuple[str, str | None]] = []
        self.asked_for: list[int] = []
        self.unfit: dict[str, str] = {}
        self.missing: tuple[tuple[str, str], ...] = ()
        self.left = False
        self._play = play
        self._on_ended = on_ended
        self._asked, self._to_fork = trio.open_memory_channel[Worker](math.inf)
        self._far_ends: dict[Worker, socket.socket] = {}
        self._number = 0

    def fork(self, count: int = 1) -> list[Worker]:
        """Do as the script says, soon."""
        self.asked_for.append(count)
        if self._play.script[:1] == ["no descriptors"]:
            self._play.script.pop(0)
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        workers = [Worker(self._number + place, self) for place in range(1, count + 1)]
        self._number += count
        for worker in workers:
            self._asked.send_nowait(worker)
        return workers

    def approve(self, digest: str, _program: bytes, forget: str | None) -> None:
        """Remember it."""
        self.approved.append((digest, forget))

    def statistics(self) -> ZygoteStatistics:
        """Tell as little as one can."""
        return ZygoteStatistics(pid=1, age=0.0, workers=len(self._far_ends), walls=())

    def retire(self, worker: Worker) -> None:
        """End a worker that has done its task."""
        self.end(worker)

    def leave(self) -> None:
        """Fork no more."""
        self.alive = False
        self.left = True
        if not self._far_ends:
            self._asked.close()

    def end(self, worker: Worker) -> None:
        """End a worker on request."""
        self._bury(worker, -9, "2 of its processes cannot be killed." if self._play.stuck else "")

    async def serve(self, on_lost: Callable[[], None]) -> None:
        """Fork what was asked for, until lost; then take the time of the script to clear up."""
        try:
            async for worker in self._to_fork:
                channel, stderr = worker.hand_over()
                os.close(stderr)
                self._far_ends[worker] = socket.socket(fileno=channel)
                self._live(worker, self._play.script.pop(0) if self._play.script else "live")
                if not self.alive:
                    return
        finally:
            self.alive = False
            on_lost()
            with trio.CancelScope(shield=True):
                await trio.sleep(self._play.clearing_up)
            for worker in list(self._far_ends):
                self._bury(worker, None, "The zygote was lost.")
            with suppress(trio.WouldBlock, trio.EndOfChannel):
                while True:
                    self._abandon(self._to_fork.receive_nowait())

    def _live(self, worker: Worker, what: str) -> None:
        match what:
            case "fork fails":
                self._bury(worker, None, "The system could not start a process: no room.")
            case "dies at once":
                worker.be_born(1, None)
                self._bury(worker, 1)
            case "zygote is lost":
                self.alive = False
            case _:
                worker.be_born(1, None)
                self._far_ends[worker].sendall(STARTED + RESULT)

    def _abandon(self, unborn: Worker) -> None:
        for descriptor in unborn.hand_over():
            os.close(descriptor)
        unborn.end(None)

    def _bury(self, worker: Worker, exit_code: int | None, epitaph: str = "") -> None:
        self._far_ends.pop(worker).close()
        worker.end(exit_code, epitaph=epitaph)
        self._on_ended(worker)


@pytest.fixture
def play(monkeypatch: pytest.MonkeyPatch) -> Play:
    """The script of the test."""
    playing = Play()
    monkeypatch.setattr("trio_runner.executor.supply.start_zygote", playing.start)
    return playing


COLD = ProcessExecutorConfig(warm=0)


@pytest.mark.parametrize("fault", ["fork fails", "no descriptors"])
async def test_forks_that_fail_are_tried_again_ever_more_slowly(
    play: Play, fault: str, autojump_clock: trio.testing.MockClock
) -> None:
    play.script = [fault] * 4
    async with open_process_executor(COLD, observer=play) as executor:
        outcome = await executor.run(job("return True"), Events())
    assert outcome == Completed(RawJson(b"true"))
    assert len(play.troubles) == 4
    assert all(
        ("no room" if fault == "fork fails" else "Too many open files") in why for _, why in play.troubles
    )
    times = [time for time, _ in play.troubles] + [trio.current_time()]
    pauses = [later - earlier for earlier, later in pairwise(times)]
    assert min(pauses) >= 0.06
    assert 0.25 < sum(pauses) < 4


async def test_warm_workers_that_keep_dying_do_not_spin(
    play: Play, autojump_clock: trio.testing.MockClock
) -> None:
    play.script = ["dies at once"] * 1000
    async with open_process_executor(ProcessExecutorConfig(warm=3), observer=play):
        await trio.sleep(100)
    assert 20 < len(play.troubles) < 250
    assert all("ended without having had a task: The code ended" in why for _, why in play.troubles)


async def test_a_task_waits_for_the_next_zygote(play: Play, autojump_clock: trio.testing.MockClock) -> None:
    play.script = ["zygote is lost"]
    play.failing_starts = 3
    async with open_process_executor(COLD, observer=play) as executor:
        outcome = await executor.run(job("return True"), Events())
    assert outcome == Completed(RawJson(b"true"))
    assert [why for _, why in play.troubles] == [
        "the process that forks workers was lost (it was told to); a new one is started",
        *["workers cannot be started: python: gone"] * 3,
    ]
    times = [time for time, _ in play.troubles]
    assert all(later - earlier >= 0.06 for earlier, later in pairwise(times))


async def test_a_task_sleeps_while_a_lost_zygote_is_cleared_up(
    play: Play, autojump_clock: trio.testing.MockClock
) -> None:
    play.script = ["zygote is lost"]
    play.clearing_up = 20
    async with open_process_executor(COLD, observer=play) as executor, trio.open_nursery() as nursery:
        nursery.start_soon(executor.run, job("return 1"), Events())
        await trio.testing.wait_all_tasks_blocked()
        # With a task that spins instead of sleeping, virtual time would never get here.
        assert await executor.run(job("return True"), Events()) == Completed(RawJson(b"true"))
        assert trio.current_time() >= 20


async def test_a_worker_that_dies_twice_on_a_task_is_the_tasks_fault(
    play: Play, autojump_clock: trio.testing.MockClock
) -> None:
    play.script = ["dies at once"] * 2
    async with open_process_executor(COLD, observer=play) as executor:
        outcome = await executor.run(job("return True"), Events())
        assert isinstance(outcome, WorkerDied)
        assert outcome.exit_code == 1
        assert executor.statistics().worker_deaths == 1
        assert await executor.run(job("return True"), Events()) == Completed(RawJson(b"true"))


async def test_processes_that_cannot_be_killed_are_told_of(play: Play) -> None:
    play.stuck = True
    async with open_process_executor(COLD, observer=play) as executor:
        assert await executor.run(job("return True"), Events()) == Completed(RawJson(b"true"))
        assert [why for _, why in play.troubles] == [
            "a worker did not end as it should: 2 of its processes cannot be killed."
        ]


async def test_closing_wakes_whoever_waits_for_a_worker(
    play: Play, autojump_clock: trio.testing.MockClock
) -> None:
    play.script = ["fork fails"] * 1000
    ended = trio.Event()
    async with trio.open_nursery() as nursery:

        async def run() -> None:
            with trio.CancelScope(shield=True), pytest.raises(trio.ClosedResourceError):
                await executor.run(job("return True"), Events())
            ended.set()

        async with open_process_executor(COLD, observer=play) as executor:
            nursery.start_soon(run)
            await trio.sleep(10)
        await ended.wait()


async def test_programs_are_kept_up_to_a_limit_and_made_anew_by_the_next_zygote(
    play: Play, autojump_clock: trio.testing.MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trio_runner.executor.approvals._KEPT", 3)
    async with open_process_executor(COLD, observer=play) as executor:
        await trio.testing.wait_all_tasks_blocked()
        first = play.zygotes[0]
        worker = Worker(99, first)
        for digest in "abcadea":
            executor._approvals.note(Approved(digest, b"program"), worker, first)  # type: ignore[attr-defined]
        assert first.approved == [("a", None), ("b", None), ("c", None), ("d", "b"), ("e", "c")]
        play.script = ["zygote is lost"]
        await executor.run(job("return True"), Events())
        second, late = play.zygotes[1], Approved("f", b"of another Python")
        executor._approvals.note(late, worker, second)  # type: ignore[attr-defined]
        assert second.approved == []
        for descriptor in worker.hand_over():
            os.close(descriptor)
        worker.end(0)
        worker.release()


STRICT = Policy(stdlib_allow=frozenset({"json"}))


async def test_another_policy_is_that_of_the_next_zygote(
    play: Play, autojump_clock: trio.testing.MockClock
) -> None:
    async with open_process_executor(COLD, observer=play) as executor:
        await executor.reconfigure(attrs.evolve(COLD, policy=STRICT))
        assert play.configs == [COLD, attrs.evolve(COLD, policy=STRICT)]
        assert play.zygotes[0].left
        await executor.run(job("return True"), Events())
        assert (play.zygotes[0].asked_for, play.zygotes[1].asked_for) == ([], [1])
        await executor.reload()
        assert play.configs[-1].policy == STRICT, "and of all that follow"


async def test_another_number_of_workers_needs_no_other_zygote(
    play: Play, autojump_clock: trio.testing.MockClock
) -> None:
    async with open_process_executor(attrs.evolve(COLD, workers=1, warm=None), observer=play) as executor:
        await executor.reconfigure(attrs.evolve(COLD, workers=4, warm=None))
        await trio.sleep(1)
        assert executor.statistics().idle_workers == 4
        await executor.reconfigure(attrs.evolve(COLD, workers=2, warm=None))
        assert executor.statistics().idle_workers == 2
        assert len(play.zygotes) == 1


async def test_a_configuration_that_cannot_be_used_changes_nothing(
    play: Play, autojump_clock: trio.testing.MockClock
) -> None:
    async with open_process_executor(COLD, observer=play) as executor:
        play.failing_starts = 1
        with pytest.raises(ConfigError, match="gone"):
            await executor.reconfigure(attrs.evolve(COLD, policy=STRICT, workers=9, warm=9))
        await trio.sleep(1)
        assert executor.statistics().idle_workers == 0
        await executor.reload()
        assert play.configs[-1] == COLD


async def test_a_replacement_that_was_begun_before_does_not_bring_the_old_policy_back(
    play: Play, autojump_clock: trio.testing.MockClock
) -> None:
    """The zygote is lost; while the next is being started by the old rules, new rules arrive and overtake."""
    async with open_process_executor(COLD, observer=play) as executor:
        play.script = ["zygote is lost"]
        play.slow_starts = [50.0, 1.0]
        async with trio.open_nursery() as nursery:
            nursery.start_soon(executor.run, job("return True"), Events())
            await trio.sleep(10)
            await executor.reconfigure(attrs.evolve(COLD, policy=STRICT))
        await trio.sleep(100)
        await executor.run(job("return True"), Events())
        assert [config.policy == STRICT for config in play.configs] == [False, True, False]
        assert (play.zygotes[1].left, play.zygotes[2].left) == (False, True)
        assert len(play.zygotes[1].asked_for) == 2
