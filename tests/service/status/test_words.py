"""Numbers and names as people read them."""

from __future__ import annotations

import pytest

from trio_runner.service.status.words import counted, name, rate, since


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (None, "–"),
        (0.0, "0.0 ms"),
        (0.0004, "0.4 ms"),
        (0.05, "50 ms"),
        (5.25, "5.2 s"),
        (59.94, "59.9 s"),
        (61, "1m 01s"),
        (3600, "1h 00m"),
        (90000, "1d 01h"),
    ],
)
def test_times(seconds: float | None, shown: str) -> None:
    assert since(seconds) == shown


def test_rates() -> None:
    assert (rate(0), rate(9.96), rate(1234.5)) == ("0.0/s", "10.0/s", "1234/s")


def test_counts_the_largest_first() -> None:
    assert counted({"few": 1, "none": 0, "many": 9}, none="–") == "many 9 · few 1"
    assert counted({"none": 0}, none="nothing") == "nothing"


def test_names_cannot_steer_a_terminal() -> None:
    assert name("a\x1b[31mb\nc") == "a\\x1b[31mb c"
    assert name("x" * 100, 10) == "xxxxxxxxx…"
