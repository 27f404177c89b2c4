"""Delays between attempts: growing, jittered, bounded, never zero."""

from __future__ import annotations

import math
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trio_runner.errors import ConfigError
from trio_runner.scheduling.backoff import Backoff


class Fixed(Random):
    """A source whose every draw is the same share of the range."""

    def __init__(self, share: float) -> None:
        super().__init__(0)
        self.share = share

    def random(self) -> float:
        return self.share


def delays(share: float, attempts: int) -> list[float]:
    backoff = Backoff(first=1, factor=2, ceiling=8, random=Fixed(share))
    return [backoff.next_delay() for _ in range(attempts)]


def test_the_bound_doubles_up_to_the_ceiling() -> None:
    assert delays(1.0, 6) == [1, 2, 4, 8, 8, 8]


def test_the_unluckiest_draw_is_a_quarter_of_the_bound() -> None:
    assert delays(0.0, 6) == [0.25, 0.5, 1, 2, 2, 2]


def test_success_starts_over() -> None:
    backoff = Backoff(first=1, factor=2, ceiling=8, random=Fixed(1.0))
    assert [backoff.next_delay() for _ in range(3)] == [1, 2, 4]
    backoff.reset()
    assert [backoff.next_delay() for _ in range(2)] == [1, 2]


def test_two_runners_that_fail_together_do_not_return_together() -> None:
    first, second = Backoff(random=Random(1)), Backoff(random=Random(2))
    assert all(first.next_delay() != second.next_delay() for _ in range(100))


def test_without_a_source_of_its_own_delays_still_differ() -> None:
    assert len({Backoff().next_delay() for _ in range(50)}) > 1


def test_by_default_a_restarted_broker_has_its_runner_back_within_seconds() -> None:
    backoff = Backoff(random=Fixed(1.0))
    assert [backoff.next_delay() for _ in range(7)] == [0.25, 0.5, 1, 2, 4, 5, 5]


@given(st.floats(1e-3, 10), st.floats(1, 1e9), st.floats(0, 1e6), st.integers(0, 2**32), st.integers(1, 400))
def test_never_zero_and_never_above_the_ceiling(
    first: float, factor: float, extra: float, seed: int, attempts: int
) -> None:
    backoff = Backoff(first=first, factor=factor, ceiling=first + extra, random=Random(seed))
    for _ in range(attempts):
        assert 0 < backoff.next_delay() <= first + extra


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"first": 0.0}, "first"),
        ({"first": -1.0}, "first"),
        ({"first": math.nan}, "first"),
        ({"factor": 0.5}, "factor"),
        ({"factor": math.inf}, "factor"),
        ({"first": 2.0, "ceiling": 1.0}, "ceiling"),
        ({"ceiling": math.inf}, "ceiling"),
        ({"ceiling": math.nan}, "ceiling"),
    ],
)
def test_numbers_out_of_range_are_named(arguments: dict[str, Any], named: str) -> None:
    with pytest.raises(ConfigError, match=f"backoff: {named} must be"):
        Backoff(**arguments)
