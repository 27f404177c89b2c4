"""How often a client may ask."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from trio_runner.scheduling.rate_limit import RateLimit


def test_a_seconds_worth_at_once_and_then_one_after_the_other() -> None:
    limit = RateLimit(5)
    assert [limit.ask("a", 100.0).admitted for _ in range(6)] == [True] * 5 + [False]
    assert not limit.ask("a", 100.19).admitted
    assert limit.ask("a", 100.2).admitted
    assert not limit.ask("a", 100.2).admitted


def test_the_refusal_says_when_to_come_again_and_that_is_true() -> None:
    limit = RateLimit(2)
    now = 0.0
    for _ in range(20):
        verdict = limit.ask("a", now)
        if not verdict.admitted:
            assert 0 < verdict.retry_after <= 0.5
            now += verdict.retry_after
            assert limit.ask("a", now).admitted


def test_only_the_first_refusal_in_a_row_is_news() -> None:
    limit = RateLimit(1)
    assert [limit.ask("a", 0.0).news for _ in range(4)] == [False, True, False, False]
    assert limit.ask("a", 1.0).admitted
    assert limit.ask("a", 1.0).news


def test_clients_do_not_hold_each_other_up() -> None:
    limit = RateLimit(1)
    assert limit.ask("a", 0.0).admitted
    assert not limit.ask("a", 0.0).admitted
    assert limit.ask("b", 0.0).admitted


def test_less_than_one_a_second() -> None:
    limit = RateLimit(0.1)
    assert limit.ask("a", 0.0).admitted
    assert limit.ask("a", 9.0).retry_after == 1.0
    assert limit.ask("a", 10.0).admitted


def test_no_limit() -> None:
    limit = RateLimit(math.inf)
    assert all(limit.ask("a", 0.0).admitted for _ in range(1000))
    assert len(limit) == 0


def test_idle_clients_are_forgotten() -> None:
    limit = RateLimit(5)
    for number in range(500):
        limit.ask(str(number), number * 0.01)
    assert len(limit) <= 25
    limit.ask("last", 100.0)
    assert len(limit) == 1


def test_however_many_clients_there_are_memory_is_bounded() -> None:
    limit = RateLimit(1)
    for number in range(12_000):
        limit.ask(str(number), 0.0)
    assert len(limit) <= 10_001


@given(st.lists(st.floats(0, 0.6), max_size=60))
def test_never_more_than_promised(gaps: list[float]) -> None:
    limit, now, admitted = RateLimit(5), 0.0, list[float]()
    for gap in gaps:
        now += gap
        if limit.ask("a", now).admitted:
            admitted.append(now)
    for first, start in enumerate(admitted):
        for last in range(first, len(admitted)):
            assert last - first + 1 <= 5 + 5 * (admitted[last] - start) + 1e-6
