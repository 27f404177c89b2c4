"""What the passing of seconds does to offers and to tasks without settings: section 3 of the document."""

from __future__ import annotations

import pytest

from .ahead import SCENARIO_LIMIT, Ahead
from .scenario_ages import SLOTS, Ages
from .test_runner_offers import EXPIRED

pytestmark = pytest.mark.timeout(2 * SCENARIO_LIMIT + 30)


@pytest.fixture
def ages(ahead: Ahead) -> Ages:
    """Return what was seen."""
    seen: Ages = ahead.result("ages")
    return seen


@pytest.mark.row("3", "an offer is honoured 0.1 s less than validFor: a later accept rejected, exact reason")
def test_an_offer_in_its_latency_buffer_is_rejected(ages: Ages) -> None:
    assert (ages.stale["type"], ages.stale["reason"]) == ("runner:taskrejected", EXPIRED)


@pytest.mark.row("3", "expired offers are renewed: one for each, with a new id, and accepted")
def test_expired_offers_are_renewed(ages: Ages) -> None:
    assert len(ages.offers) == 2 * SLOTS
    assert len({entry.message["offerId"] for entry in ages.offers}) == 2 * SLOTS
    assert ages.fresh["type"] == "runner:taskaccepted"


@pytest.mark.row("3", "own deadline = validFor − 0.1 s: renewal comes then, not before, not a tick later")
def test_each_renewal_comes_at_the_runners_own_deadline(ages: Ages) -> None:
    first, second = ages.offers[:SLOTS], ages.offers[SLOTS:]
    lives = [entry.message["validFor"] / 1000 - 0.1 for entry in first]
    # The runner offers between being told that it is registered and the time at which the offer comes in.
    earliest = sorted(ages.registered_at + life for life in lives)
    latest = sorted(entry.at + life for entry, life in zip(first, lives, strict=True))
    assert all(renewal.at >= deadline for deadline, renewal in zip(earliest, second, strict=True))
    # Other work of the machine may hold some of them up.
    assert min(renewal.at - deadline for deadline, renewal in zip(latest, second, strict=True)) < 0.25


@pytest.mark.row("3", "an accepted task whose settings never come does not hold its slot for ever")
def test_a_slot_without_settings_is_freed(ages: Ages) -> None:
    assert ages.waited > 1.9  # the broker itself allows 2 s for the settings


@pytest.mark.row("3", "settings that come after the slot was freed start nothing")
def test_settings_that_come_too_late_start_nothing(ages: Ages) -> None:
    assert not [message for message in ages.late if message["type"] == "runner:taskdone"]
