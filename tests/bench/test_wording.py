"""Numbers and targets in words."""

from __future__ import annotations

import pytest

from bench.figures import Target
from bench.wording import amount, number, target_text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (0.12345, "0.123"),
        (1.5, "1.50"),
        (12.34, "12.3"),
        (123.4, "123"),
        (12345.6, "12 346"),
        (-2, "-2.00"),
    ],
)
def test_number(value: float, text: str) -> None:
    assert number(value) == text


def test_amount_sets_a_unit_apart_and_a_rate_not() -> None:
    assert amount(2, "ms") == "2.00 ms"
    assert amount(200, "/s") == "200/s"
    assert amount(2, "") == "2.00"


def test_target_text() -> None:
    assert target_text(Target.value_at_most(40), "MiB") == "≤ 40.0 MiB"
    assert target_text(Target.ratio_at_least(0.5), "/s") == "≥ 0.500 ×"
    assert target_text(None, "ms") == ""
