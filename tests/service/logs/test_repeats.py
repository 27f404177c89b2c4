"""Holding back lines that say the same."""

from __future__ import annotations

from trio_runner.service.logs.repeats import Repeats


def test_the_first_is_said_and_the_next_when_the_interval_is_over() -> None:
    repeats = Repeats(60)
    assert [repeats.say("a", now) for now in (0, 1, 59.9, 60, 61, 200)] == [0, None, None, 2, None, 1]


def test_a_burst() -> None:
    repeats = Repeats(60)
    assert [repeats.say("a", now, burst=3) for now in (0, 1, 2, 3, 4, 61)] == [0, 0, 0, None, None, 2]


def test_keys_are_apart() -> None:
    repeats = Repeats(60)
    assert [repeats.say(key, 0) for key in ("a", "b", "a")] == [0, 0, None]


def test_the_memory_is_bounded() -> None:
    repeats = Repeats(60)
    for number in range(10_000):
        assert repeats.say(number, now=number / 1000) == 0
    assert len(repeats._said) <= 1000
    for number in range(2_000):
        repeats.say(("late", number), now=1000 + number)
    assert len(repeats._said) <= 1000
