"""What counts as growth."""

from __future__ import annotations

import pytest

from bench.scenarios.soak import growth


def test_memory_that_grows_shows() -> None:
    assert growth([float(40 + number) for number in range(20)]) > 1.15


def test_memory_that_falls_shows_too() -> None:
    assert growth([50.0] * 8 + [40.0] * 8) == 0.8


def test_one_outlier_is_no_growth() -> None:
    assert growth([40.0] * 12 + [80.0] + [40.0] * 12) == 1


@pytest.mark.parametrize("values", [[0.0, 0.0], [1.0]])
def test_few_or_empty_samples_show_no_growth(values: list[float]) -> None:
    assert growth(values) == 1
