"""Order statistics."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.percentiles import median, percentile

numbers = st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=200)


def test_of_a_hundred_the_99th_is_the_second_largest() -> None:
    samples = [float(number) for number in range(100, 0, -1)]
    assert percentile(samples, 99) == 99
    assert percentile(samples, 50) == 50
    assert percentile(samples, 100) == 100


def test_the_zeroth_is_the_smallest() -> None:
    assert percentile([3.0, 1.0, 2.0], 0) == 1


def test_of_few_samples_the_99th_is_the_largest() -> None:
    assert percentile([3.0, 1.0, 2.0], 99) == 3


@given(numbers, st.floats(0, 100))
def test_a_percentile_is_a_sample_that_so_many_do_not_exceed(samples: list[float], percent: float) -> None:
    found = percentile(samples, percent)
    assert found in samples
    assert sum(sample <= found for sample in samples) >= len(samples) * percent / 100


def test_median_of_an_even_number_is_the_mean_of_the_middle_two() -> None:
    assert median([4.0, 1.0, 3.0, 2.0]) == 2.5
    assert median([5.0, 1.0, 3.0]) == 3


@pytest.mark.parametrize("percent", [-1, 100.5])
def test_a_percentile_out_of_range_is_refused(percent: float) -> None:
    with pytest.raises(ValueError, match="from 0 to 100"):
        percentile([1.0], percent)


def test_nothing_has_no_percentile() -> None:
    with pytest.raises(ValueError, match="no samples"):
        percentile([], 50)
    with pytest.raises(ValueError, match="no samples"):
        median([])
