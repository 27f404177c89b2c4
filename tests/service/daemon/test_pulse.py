"""The pulse: who is told that the daemon lives, and who is not when it does not."""

from __future__ import annotations

import io
import sys
import time
from pathlib import Path

import pytest
import trio
import trio.testing

from trio_runner.service.daemon.pulse import keep_pulse
from trio_runner.service.systemd.notify import Notifier

from ..logs.captured import capture_logs


class Recorder(Notifier):
    """Attributes:
    told: what was told, and when.
    """

    def __init__(self, watchdog: float = 0.0) -> None:
        super().__init__("", watchdog)
        self.told: list[tuple[float, str]] = []

    def _send(self, *lines: str) -> None:
        self.told.append((trio.current_time(), " ".join(lines)))

    def times(self, text: str) -> list[float]:
        return [when for when, line in self.told if line == text]


async def beat(
    notifier: Notifier, seconds: float, *, stalled: list[str | None] | None = None, status: str = "well"
) -> None:
    """Keep the pulse for some seconds; `stalled` gives the answers, the last one for good."""
    answers = stalled or [None]

    def why() -> str | None:
        return answers.pop(0) if len(answers) > 1 else answers[0]

    with trio.move_on_after(seconds):
        await keep_pulse(notifier, stalled=why, status=lambda: status)


async def test_the_watchdog_is_fed_three_times_in_its_time(autojump_clock: object) -> None:
    began, notifier = trio.current_time(), Recorder(watchdog=9.0)
    notifier.ready()
    await beat(notifier, 10.0)
    assert notifier.times("WATCHDOG=1") == [began, began + 3, began + 6, began + 9]
    assert notifier.times("STATUS=well") == [began], "a status that stays the same is said once"


async def test_no_progress_feeds_no_watchdog_and_is_said_once(autojump_clock: object) -> None:
    notifier = Recorder(watchdog=9.0)
    notifier.ready()
    began = trio.current_time()
    with capture_logs() as lines:
        await beat(notifier, 14.0, stalled=[None, "stuck", "stuck", "stuck", None])
    assert notifier.times("WATCHDOG=1") == [began, began + 12]
    assert notifier.times("STATUS=No progress: stuck") == [began + 3]
    assert [(line["event"], line["log_level"]) for line in lines] == [("No progress: stuck", "error")]
    assert "restart" in lines[0]["remedy"]


async def test_one_missed_beat_is_no_news(autojump_clock: object) -> None:
    with capture_logs() as lines:
        await beat(Recorder(), 30.0, stalled=[None, "late", None, "late", None])
    assert not lines


async def test_a_start_is_given_more_time_as_long_as_there_is_progress(autojump_clock: object) -> None:
    notifier = Recorder()
    began = trio.current_time()
    await beat(notifier, 11.0, stalled=[None, None, "stuck"])
    assert notifier.times("EXTEND_TIMEOUT_USEC=60000000") == [began, began + 5]
    notifier.ready()
    notifier.told.clear()
    await beat(notifier, 11.0)
    assert not notifier.times("EXTEND_TIMEOUT_USEC=60000000")


async def test_a_loop_that_stood_still_says_so(mock_clock: trio.testing.MockClock) -> None:
    async with trio.open_nursery() as nursery:
        with capture_logs() as lines:
            nursery.start_soon(beat, Recorder(), 1000.0)
            await trio.testing.wait_all_tasks_blocked()
            mock_clock.jump(5.5)  # a busy machine
            await trio.testing.wait_all_tasks_blocked()
            mock_clock.jump(5 + 12.3)
            await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    assert [line["event"] for line in lines] == ["The event loop stood still for 12.3 seconds"]


async def test_what_blocks_the_loop_is_written_to_standard_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trio_runner.service.daemon.pulse._BLOCKED", 0.01)
    path = tmp_path / "stderr"

    def a_fault_that_blocks() -> str:
        deadline = time.monotonic() + 20
        while "a_fault_that_blocks" not in path.read_text() and time.monotonic() < deadline:
            time.sleep(0.01)
        return "well"

    with path.open("w") as stderr:
        monkeypatch.setattr(sys, "stderr", stderr)
        with trio.move_on_after(0.0):
            await keep_pulse(Recorder(watchdog=0.03), stalled=lambda: None, status=a_fault_that_blocks)
    assert "a_fault_that_blocks" in path.read_text()


async def test_there_need_be_no_standard_error(
    autojump_clock: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    for stream in (None, io.StringIO()):
        monkeypatch.setattr(sys, "stderr", stream)
        await beat(Recorder(), 11.0)
