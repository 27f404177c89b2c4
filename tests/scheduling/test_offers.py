"""How long offers live, how the jitter is spread, and the book of the open ones."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import count, pairwise
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trio_runner.errors import ConfigError
from trio_runner.scheduling.offers import Offer, OfferBook, OfferPolicy, draw_offer

DRAWS = 20_000


def draws(random: Random, policy: OfferPolicy | None = None, now: float = 1000.0) -> list[Offer]:
    """Draw many offers at one instant."""
    ids = count()
    return [draw_offer(policy or OfferPolicy(), "python", now, str(next(ids)), random) for _ in range(DRAWS)]


def distance_from_uniform(values: Sequence[int], lowest: int, highest: int) -> float:
    """Return the Kolmogorov-Smirnov distance of whole numbers from the uniform distribution over a range."""
    kinds = highest - lowest + 1
    below = 0
    furthest = 0.0
    ordered = sorted(values)
    for number in range(lowest, highest + 1):
        while below < len(ordered) and ordered[below] <= number:
            below += 1
        furthest = max(furthest, abs(below / len(ordered) - (number - lowest + 1) / kinds))
    return furthest


# --- the draw ---------------------------------------------------------------------------------------


def test_wire_validity_is_whole_milliseconds_between_base_and_base_plus_jitter() -> None:
    lives = [offer.valid_for_ms for offer in draws(Random(7))]
    assert all(type(life) is int for life in lives)
    assert (min(lives), max(lives)) == (5000, 5500)


def test_own_deadline_is_between_4_9_and_5_4_seconds_away() -> None:
    lives = [offer.deadline - 1000.0 for offer in draws(Random(7))]
    assert min(lives) == pytest.approx(4.9)
    assert max(lives) == pytest.approx(5.4)


def test_own_deadline_comes_from_the_same_draw_as_the_wire_value() -> None:
    for offer in draws(Random(7)):
        assert offer.deadline == 1000.0 + offer.valid_for_ms / 1000 - 0.1


# 1.95 / sqrt(n) is the Kolmogorov-Smirnov bound at a significance of 0.1 %.
UNIFORM_BOUND = 1.95 / math.sqrt(DRAWS)


@pytest.mark.parametrize("seed", range(3))
def test_jitter_is_uniform(seed: int) -> None:
    lives = [offer.valid_for_ms for offer in draws(Random(seed))]
    assert distance_from_uniform(lives, 5000, 5500) < UNIFORM_BOUND


def test_the_measure_of_uniformity_notices_a_skew() -> None:
    random = Random(7)
    mild = [5000 + min(500, int(500 * random.random() ** 1.1)) for _ in range(DRAWS)]
    assert distance_from_uniform(mild, 5000, 5500) > UNIFORM_BOUND
    clipped = [random.randint(5000, 5480) for _ in range(DRAWS)]
    assert distance_from_uniform(clipped, 5000, 5500) > UNIFORM_BOUND


def test_neighbouring_draws_are_independent() -> None:
    """A jitter drawn once per batch would keep a fleet in step: neighbours must differ and not correlate."""
    lives = [offer.valid_for_ms - 5250 for offer in draws(Random(7))]
    pairs = list(pairwise(lives))
    correlation = sum(one * other for one, other in pairs) / sum(life * life for life in lives)
    assert abs(correlation) < 3 / math.sqrt(DRAWS)


def test_without_jitter_every_offer_lives_equally_long() -> None:
    policy = OfferPolicy(validity=2, jitter=0, latency_buffer=0.5)
    assert {(o.valid_for_ms, o.deadline) for o in draws(Random(7), policy)} == {(2000, 1001.5)}


@given(st.floats(0.2, 3600), st.floats(0, 60), st.floats(0, 0.1), st.floats(0, 1e6), st.integers(0, 2**32))
def test_any_policy_expires_here_before_it_expires_at_the_broker(
    validity: float, jitter: float, buffer: float, now: float, seed: int
) -> None:
    policy = OfferPolicy(validity=validity, jitter=jitter, latency_buffer=buffer)
    offer = draw_offer(policy, "python", now, "o", Random(seed))
    assert now < offer.deadline <= now + offer.valid_for_ms / 1000
    assert offer.valid_for_ms / 1000 <= policy.longest_life + 0.001


def test_an_offer_is_expired_from_its_very_deadline_on() -> None:
    offer = Offer("o", "python", 5000, 104.9)
    assert not offer.expired(math.nextafter(104.9, 0))
    assert offer.expired(104.9)


# --- the policy -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["validity", "jitter", "latency_buffer"])
@pytest.mark.parametrize("value", [-0.001, math.nan, math.inf])
def test_a_time_that_makes_no_sense_is_named(name: str, value: float) -> None:
    with pytest.raises(ConfigError, match=f"offers: {name} must be a number of seconds ≥ 0"):
        OfferPolicy(**{name: value})


@pytest.mark.parametrize(("validity", "buffer"), [(0.1, 0.1), (0.05, 0.1), (0.0, 0.0), (0.0001, 0.0)])
def test_a_validity_that_leaves_no_life_is_refused(validity: float, buffer: float) -> None:
    with pytest.raises(ConfigError, match="dead on arrival"):
        OfferPolicy(validity=validity, latency_buffer=buffer)


def test_defaults_are_those_of_the_protocol() -> None:
    assert OfferPolicy() == OfferPolicy(validity=5.0, jitter=0.5, latency_buffer=0.1)
    assert OfferPolicy().longest_life == 5.5


# --- the book ---------------------------------------------------------------------------------------


def test_the_book_counts_by_task_type() -> None:
    book = OfferBook(["python", "javascript", "python"])
    assert book.task_types == ("python", "javascript")
    book.add(Offer("1", "python", 5000, 5.0))
    book.add(Offer("2", "javascript", 5000, 4.0))
    book.add(Offer("3", "python", 5000, 6.0))
    assert (len(book), book.count("python"), book.count("javascript")) == (3, 2, 1)


def test_an_offer_can_be_taken_once() -> None:
    book = OfferBook(["python"])
    offer = Offer("1", "python", 5000, 5.0)
    book.add(offer)
    assert book.take("1") is offer
    assert book.take("1") is None
    assert book.take("never made") is None
    assert (len(book), book.count("python")) == (0, 0)


def test_only_expired_offers_are_dropped_whatever_their_order() -> None:
    book = OfferBook(["python"])
    for name, deadline in (("1", 5.0), ("2", 4.0), ("3", 6.0)):
        book.add(Offer(name, "python", 5000, deadline))
    assert book.drop_expired(3.9) == 0
    assert book.drop_expired(5.0) == 2
    assert book.take("1") is None
    assert book.take("3") is not None


def test_the_next_deadline_skips_offers_that_are_gone() -> None:
    book = OfferBook(["python"])
    assert book.next_deadline() == math.inf
    book.add(Offer("1", "python", 5000, 5.0))
    book.add(Offer("2", "python", 5000, 4.0))
    assert book.next_deadline() == 4.0
    book.take("2")
    assert book.next_deadline() == 5.0
    book.take("1")
    assert book.next_deadline() == math.inf


def test_clearing_voids_everything() -> None:
    book = OfferBook(["python", "javascript"])
    book.add(Offer("1", "python", 5000, 5.0))
    book.add(Offer("2", "javascript", 5000, 4.0))
    assert book.clear() == 2
    assert (len(book), book.count("python"), book.count("javascript")) == (0, 0, 0)
    assert book.next_deadline() == math.inf
    assert book.drop_expired(1e9) == 0


@given(st.lists(st.tuples(st.sampled_from(["add", "take", "drop"]), st.integers(0, 20))))
def test_the_book_agrees_with_a_plain_list(steps: list[tuple[str, int]]) -> None:
    book, plain, ids = OfferBook(["python"]), dict[str, float](), count()
    for step, number in steps:
        if step == "add":
            name = str(next(ids))
            book.add(Offer(name, "python", 5000, float(number)))
            plain[name] = float(number)
        elif step == "take":
            taken = book.take(str(number))
            assert (None if taken is None else taken.deadline) == plain.pop(str(number), None)
        else:
            expired = [name for name, deadline in plain.items() if deadline <= number]
            assert book.drop_expired(float(number)) == len(expired)
            for name in expired:
                del plain[name]
        assert len(book) == book.count("python") == len(plain)
        assert book.next_deadline() == min(plain.values(), default=math.inf)
