"""The lag probe, on a loop with a clock of its own."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
import trio
import trio.testing

from bench.probe import LagGauge, LagProbe


class Clock:
    """Stands in for the clock that the probe reads."""

    def __init__(self) -> None:
        self.now = 100.0

    def perf_counter(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    stands_in = Clock()
    monkeypatch.setattr(time, "perf_counter", stands_in.perf_counter)
    return stands_in


def busy(probe: LagProbe, clock: Clock, seconds: float) -> None:
    probe.after_io_wait(0)
    clock.now += seconds
    probe.before_io_wait(0)


def test_the_longest_round_counts_and_waiting_does_not(tmp_path: Path, clock: Clock) -> None:
    gauge = LagGauge(tmp_path / "lag")
    probe = LagProbe(gauge.path)
    gauge.begin()
    for seconds in (0.001, 0.25, 0.01):
        busy(probe, clock, seconds)
        clock.now += 1000
    assert gauge.longest() == pytest.approx(0.25)


def test_a_new_measurement_forgets_the_old_one(tmp_path: Path, clock: Clock) -> None:
    gauge = LagGauge(tmp_path / "lag")
    probe = LagProbe(gauge.path)
    gauge.begin()
    busy(probe, clock, 0.5)
    gauge.begin()
    assert gauge.longest() == 0
    busy(probe, clock, 0.125)
    assert gauge.longest() == pytest.approx(0.125)


async def test_it_measures_the_loop_that_it_is_an_instrument_of(tmp_path: Path, clock: Clock) -> None:
    gauge = LagGauge(tmp_path / "lag")
    probe = LagProbe(gauge.path)
    trio.lowlevel.add_instrument(probe)
    gauge.begin()
    await trio.testing.wait_all_tasks_blocked()
    clock.now += 3
    await trio.testing.wait_all_tasks_blocked()
    trio.lowlevel.remove_instrument(probe)
    assert gauge.longest() == pytest.approx(3)
