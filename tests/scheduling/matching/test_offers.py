"""The open offers of a broker."""

from __future__ import annotations

import math

from trio_runner.scheduling.matching.offers import BrokerOffers, OpenOffer


def test_first_come_first_taken_once() -> None:
    offers = BrokerOffers()
    one, two, other = OpenOffer(1, "a", "t"), OpenOffer(2, "a", "t"), OpenOffer(1, "b", "u")
    for offer in (one, two, other):
        offers.open(offer, math.inf)
    assert offers.counts() == {"t": 2, "u": 1}
    assert [offers.take("t"), offers.take("t"), offers.take("t")] == [one, two, None]
    assert (offers.has(1, "a"), offers.has(1, "b"), offers.count(1)) == (False, True, 1)


def test_expiry_counts_and_forgets() -> None:
    offers = BrokerOffers()
    for number in range(4):
        offers.open(OpenOffer(1, str(number), "t"), float(number))
    assert offers.expire(1.0) == 2
    assert offers.expire(1.0) == 0
    assert offers.count(1) == 2


def test_void_takes_one_runners_only() -> None:
    offers = BrokerOffers()
    offers.open(OpenOffer(1, "a", "t"), 1.0)
    kept = OpenOffer(2, "a", "t")
    offers.open(kept, 1.0)
    offers.void(1)
    assert offers.count(1) == 0
    assert offers.take("t") is kept
    assert offers.expire(math.inf) == 0
