"""Events per second, of whole seconds only."""

from __future__ import annotations

import pytest

from trio_runner.scheduling.rates import RateMeter, Rates


def test_nothing_has_happened_yet() -> None:
    assert RateMeter(5.0).rates(5.0) == Rates(0, 0)


def test_only_whole_seconds_count() -> None:
    meter = RateMeter(100.0)
    for tenth in range(30):
        meter.note(100 + tenth / 10)
    assert meter.rates(102.9) == Rates(10, 10)
    assert meter.rates(103.0) == Rates(10, 10)


def test_the_short_look_forgets_before_the_long_one() -> None:
    meter = RateMeter(0.0)
    for second in range(60):
        meter.note(second)
    assert meter.rates(60.0) == Rates(1, 1)
    assert meter.rates(70.0).ten_seconds == 0
    assert meter.rates(70.0).minute == pytest.approx(50 / 60)
    assert meter.rates(1000.0) == Rates(0, 0)


def test_a_place_is_used_again_for_a_later_second() -> None:
    meter = RateMeter(0.0)
    for _ in range(7):
        meter.note(3.0)
    meter.note(3.0 + 61 * 4)
    assert meter.rates(4.0 + 61 * 4).ten_seconds == 0.1
    assert meter.rates(4.0 + 61 * 4).minute == pytest.approx(1 / 60)
