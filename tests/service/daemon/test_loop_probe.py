"""The lag of the event loop, in virtual time."""

from __future__ import annotations

import trio
from trio.testing import MockClock

from trio_runner.service.daemon.loop_probe import LoopProbe


async def test_a_loop_that_turns_has_no_lag(autojump_clock: MockClock) -> None:
    noted: list[float] = []
    probe = LoopProbe(noted.append)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(probe.run)
        await trio.sleep(10.5)
        found = probe.statistics()
        nursery.cancel_scope.cancel()
    assert (found.lag, found.worst) == (0, 0)
    assert found.checked == 0.5
    assert noted == [0.0] * 10


async def test_a_standstill_shows_at_once_and_for_a_minute(mock_clock: MockClock) -> None:
    probe = LoopProbe()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(probe.run)
        await trio.testing.wait_all_tasks_blocked()
        mock_clock.jump(13)  # nothing ran meanwhile: the timer was due 12 seconds ago
        assert probe.statistics().lag == 12
        await trio.testing.wait_all_tasks_blocked()
        for _ in range(59):
            mock_clock.jump(1)
            await trio.testing.wait_all_tasks_blocked()
        assert (probe.statistics().lag, probe.statistics().worst) == (0, 12)
        mock_clock.jump(1)
        await trio.testing.wait_all_tasks_blocked()
        assert probe.statistics().worst == 0
        nursery.cancel_scope.cancel()
