"""The watchdog: what counts as progress, and from which instant on a session counts as stalled."""

from __future__ import annotations

import math

import pytest

from trio_runner.errors import ConfigError
from trio_runner.scheduling.offers import OfferPolicy
from trio_runner.scheduling.progress import ProgressWatch

# 5 s validity + 0.5 s jitter + 2 s margin
INTERVAL = 7.5


def watch(now: float = 100.0) -> ProgressWatch:
    return ProgressWatch(now, policy=OfferPolicy(), registration_timeout=10.0, offer_margin=2.0)


def assert_stalls_at(subject: ProgressWatch, instant: float, why: str) -> None:
    """The deadline is announced, nothing is wrong just before it, and at it the reason is given."""
    assert subject.next_deadline() == instant
    assert subject.stalled(math.nextafter(instant, 0)) is None
    reason = subject.stalled(instant)
    assert reason is not None
    assert why in reason
    assert subject.stalled(instant + 1000) == reason


def assert_cannot_stall(subject: ProgressWatch) -> None:
    assert subject.next_deadline() == math.inf
    assert subject.stalled(1e12) is None


def test_a_connection_that_is_never_registered_stalls() -> None:
    assert_stalls_at(watch(100.0), 110.0, "not registered the runner within 10 s")


def test_a_fresh_link_restarts_the_time_for_registration() -> None:
    subject = watch(100.0)
    subject.link_up(150.0)
    assert_stalls_at(subject, 160.0, "not registered")


def test_offers_before_registration_are_no_progress() -> None:
    subject = watch(100.0)
    subject.offered(109.0)
    subject.capacity(False, 109.0)
    subject.capacity(True, 109.5)
    assert_stalls_at(subject, 110.0, "not registered")


def test_registered_and_free_but_no_offer_ever_stalls() -> None:
    subject = watch()
    subject.registered(103.0)
    assert_stalls_at(subject, 103.0 + INTERVAL, "no offer went out for 7.5 s")


def test_each_offer_moves_the_deadline() -> None:
    subject = watch()
    subject.registered(100.0)
    for now in (100.0, 105.4, 110.8, 116.2):
        assert subject.stalled(now) is None
        subject.offered(now)
    assert_stalls_at(subject, 116.2 + INTERVAL, "no offer")


def test_a_repeated_registration_is_no_progress() -> None:
    subject = watch()
    subject.registered(100.0)
    subject.registered(105.0)
    assert_stalls_at(subject, 100.0 + INTERVAL, "no offer")


def test_a_full_runner_need_not_offer() -> None:
    subject = watch()
    subject.registered(100.0)
    subject.capacity(False, 101.0)
    assert_cannot_stall(subject)


def test_time_counts_from_the_moment_a_slot_becomes_free() -> None:
    subject = watch()
    subject.registered(100.0)
    subject.capacity(False, 101.0)
    subject.capacity(True, 500.0)
    assert_stalls_at(subject, 500.0 + INTERVAL, "no offer")


def test_hearing_again_that_a_slot_is_free_is_no_progress() -> None:
    subject = watch()
    subject.registered(100.0)
    for now in (101.0, 103.0, 107.0):
        subject.capacity(True, now)
    assert_stalls_at(subject, 100.0 + INTERVAL, "no offer")


def test_slots_that_were_full_before_registration_stay_known() -> None:
    subject = watch()
    subject.capacity(False, 100.5)
    subject.registered(101.0)
    assert_cannot_stall(subject)
    subject.capacity(True, 200.0)
    assert_stalls_at(subject, 200.0 + INTERVAL, "no offer")


@pytest.mark.parametrize("registered", [False, True])
def test_a_draining_session_never_stalls(registered: bool) -> None:
    subject = watch()
    if registered:
        subject.registered(101.0)
    subject.draining()
    assert_cannot_stall(subject)
    subject.offered(102.0)
    subject.capacity(False, 103.0)
    subject.capacity(True, 104.0)
    subject.registered(105.0)
    assert_cannot_stall(subject)


def test_a_fresh_link_ends_draining_and_must_be_registered() -> None:
    subject = watch()
    subject.registered(101.0)
    subject.draining()
    subject.link_up(200.0)
    assert_stalls_at(subject, 210.0, "not registered")


def test_progress_after_a_stall_clears_it() -> None:
    subject = watch()
    subject.registered(100.0)
    assert subject.stalled(200.0) is not None
    subject.offered(200.0)
    assert subject.stalled(200.0) is None


def test_by_default_a_healthy_session_has_seconds_to_spare() -> None:
    subject = ProgressWatch(0.0)
    assert subject.next_deadline() == 10.0
    subject.registered(1.0)
    assert subject.next_deadline() == 1.0 + 5.5 + 5.0


@pytest.mark.parametrize("value", [0.0, -1.0, math.nan])
def test_times_that_make_no_sense_are_named(value: float) -> None:
    with pytest.raises(ConfigError, match="registration timeout must be seconds > 0"):
        ProgressWatch(0.0, registration_timeout=value)
    with pytest.raises(ConfigError, match="offer margin must be seconds > 0"):
        ProgressWatch(0.0, offer_margin=value)
