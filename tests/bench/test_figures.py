"""Figures: ratios and verdicts."""

from __future__ import annotations

import math

import pytest

from bench.figures import Ceiling, Figure, Target


def figure(value: float, target: Target | None, ceiling: float | None = None) -> Figure:
    return Figure("any", value, "ms", None if ceiling is None else Ceiling("bare", ceiling), target)


@pytest.mark.parametrize(
    ("value", "ceiling", "target", "verdict"),
    [
        (4.0, None, Target.value_at_most(4), "met"),
        (4.01, None, Target.value_at_most(4), "missed"),
        (16.0, 10.0, Target.ratio_at_most(1.6), "met"),
        (17.0, 10.0, Target.ratio_at_most(1.6), "missed"),
        (500.0, 1000.0, Target.ratio_at_least(0.5), "met"),
        (499.0, 1000.0, Target.ratio_at_least(0.5), "missed"),
        (1.0, None, None, "no target"),
        (0.0, None, Target.value_at_most(0), "met"),
        (1.0, None, Target.value_at_most(0), "missed"),
        (0.0, 1000.0, Target.ratio_at_least(0.5), "missed"),
        (1.0, None, Target.ratio_at_most(2), "no target"),
        (1.0, 0.0, Target.ratio_at_most(2), "no target"),
    ],
)
def test_verdict(value: float, ceiling: float | None, target: Target | None, verdict: str) -> None:
    assert figure(value, target, ceiling).verdict == verdict


def test_share_of_limit_is_above_one_where_the_target_is_missed() -> None:
    assert figure(6.0, Target.value_at_most(4)).share_of_limit == 1.5
    assert figure(100.0, Target.ratio_at_least(0.5), 1000.0).share_of_limit == 5
    assert figure(0.0, Target.ratio_at_least(0.5), 1000.0).share_of_limit == math.inf


def test_ratio_is_the_value_in_ceilings() -> None:
    assert figure(3.0, None, 2.0).ratio == 1.5
    assert figure(3.0, None).ratio is None
