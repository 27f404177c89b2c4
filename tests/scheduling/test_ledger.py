"""Admission, offers and the life of held tasks, case by case."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import count
from random import Random

import pytest

from trio_runner.errors import ConfigError, LocalProtocolError
from trio_runner.scheduling.ledger import (
    ALREADY_HELD,
    AT_CAPACITY,
    OFFER_EXPIRED,
    SHUTTING_DOWN,
    Accepted,
    Ledger,
    Rejected,
    SessionPhase,
)
from trio_runner.scheduling.offers import Offer, OfferPolicy
from trio_runner.scheduling.phases import TaskPhase

NOW = 1000.0


def make_ledger(
    slots: int = 2, sessions: Sequence[str] = ("a",), types: Sequence[str] = ("python",)
) -> Ledger:
    """Make a ledger with registered sessions, offer ids 1, 2, 3, … and no jitter."""
    ids = count(1)
    ledger = Ledger(slots, policy=OfferPolicy(jitter=0), random=Random(0), new_id=lambda: str(next(ids)))
    for session in sessions:
        ledger.open_session(session, types)
        ledger.register(session)
    return ledger


def ids_of(offers: Sequence[Offer]) -> list[str]:
    return [offer.offer_id for offer in offers]


def take(ledger: Ledger, session: str, task_id: str, now: float = NOW) -> Accepted:
    """Offer what is due, accept an offer for the task and check that it was taken."""
    offers = ledger.offers_due(session, now)
    answer = ledger.accept(session, offers[0].offer_id, task_id, now)
    assert isinstance(answer, Accepted)
    return answer


# --- another number of slots ------------------------------------------------------------------------


def test_more_slots_are_offered_at_once() -> None:
    ledger = make_ledger(slots=1, sessions=("a", "b"))
    assert ids_of(ledger.offers_due("a", NOW)) == ["1"]
    take(ledger, "b", "t")
    ledger.resize(3)
    assert ledger.free == 2
    assert len(ledger.offers_due("a", NOW)) == 1, "one of two free slots is on offer already"
    assert len(ledger.offers_due("b", NOW)) == 2


def test_fewer_slots_stop_no_task_and_nothing_is_offered_until_there_is_room() -> None:
    ledger = make_ledger(slots=3)
    for offer, task_id in zip(ids_of(ledger.offers_due("a", NOW)), ("t1", "t2", "t3"), strict=True):
        assert isinstance(ledger.accept("a", offer, task_id, NOW), Accepted)
    ledger.resize(1)
    assert (ledger.held, ledger.free) == (3, 0)
    for task_id in ("t1", "t2"):
        ledger.finish("a", task_id)
        assert ledger.offers_due("a", NOW) == ()
    ledger.finish("a", "t3")
    assert len(ledger.offers_due("a", NOW)) == 1


def test_offers_made_before_there_were_fewer_slots_are_good_for_the_slots_there_are() -> None:
    ledger = make_ledger(slots=3)
    offers = ids_of(ledger.offers_due("a", NOW))
    ledger.resize(1)
    assert isinstance(ledger.accept("a", offers[0], "t1", NOW), Accepted)
    assert ledger.accept("a", offers[1], "t2", NOW) == Rejected("t2", AT_CAPACITY)
    ledger.finish("a", "t1")
    assert ledger.offers_due("a", NOW) == (), "the third is still open"
    assert isinstance(ledger.accept("a", offers[2], "t3", NOW), Accepted)


@pytest.mark.parametrize("slots", [0, -1])
def test_a_runner_cannot_be_left_without_slots(slots: int) -> None:
    ledger = make_ledger(slots=2)
    with pytest.raises(ConfigError, match="at least 1 task slot"):
        ledger.resize(slots)
    assert ledger.free == 2


# --- offering ---------------------------------------------------------------------------------------


def test_every_free_slot_is_offered_once() -> None:
    ledger = make_ledger(slots=3)
    assert ids_of(ledger.offers_due("a", NOW)) == ["1", "2", "3"]
    assert ledger.offers_due("a", NOW) == ()


def test_every_lane_is_offered_every_free_slot() -> None:
    ledger = make_ledger(slots=2, sessions=["a", "b"], types=["python", "javascript"])
    for session in ("a", "b"):
        offers = ledger.offers_due(session, NOW)
        assert [offer.task_type for offer in offers] == ["python", "python", "javascript", "javascript"]


def test_a_task_type_named_twice_is_one_lane() -> None:
    ledger = make_ledger(slots=1, types=["python", "python"])
    assert len(ledger.offers_due("a", NOW)) == 1


def test_nothing_is_offered_before_registration() -> None:
    ledger = make_ledger(sessions=[])
    ledger.open_session("a", ["python"])
    assert ledger.offers_due("a", NOW) == ()
    assert ledger.next_deadline("a") == math.inf
    ledger.register("a")
    assert len(ledger.offers_due("a", NOW)) == 2


def test_a_broker_may_repeat_that_it_registered_the_runner() -> None:
    ledger = make_ledger()
    ledger.offers_due("a", NOW)
    ledger.register("a")
    assert ledger.offers_due("a", NOW) == ()


def test_expired_offers_are_renewed_at_their_very_deadline() -> None:
    ledger = make_ledger(slots=1)
    (offer,) = ledger.offers_due("a", NOW)
    assert ledger.next_deadline("a") == offer.deadline == NOW + 4.9
    assert ledger.offers_due("a", math.nextafter(offer.deadline, 0)) == ()
    (renewed,) = ledger.offers_due("a", offer.deadline)
    assert renewed.offer_id != offer.offer_id
    assert ledger.next_deadline("a") == offer.deadline + 4.9


def test_an_accepted_offer_leaves_nothing_to_offer_in_its_place() -> None:
    ledger = make_ledger(slots=2)
    take(ledger, "a", "t")
    assert ledger.offers_due("a", NOW) == ()


def test_a_freed_slot_is_offered_in_the_same_instant_to_every_lane() -> None:
    ledger = make_ledger(slots=1, sessions=["a", "b"], types=["python", "javascript"])
    take(ledger, "a", "t")
    ledger.offers_due("b", NOW + 10)
    ledger.offers_due("a", NOW + 10)
    ledger.finish("a", "t")
    assert [o.task_type for o in ledger.offers_due("a", NOW + 10)] == ["python", "javascript"]
    assert [o.task_type for o in ledger.offers_due("b", NOW + 10)] == ["python", "javascript"]


def test_while_every_slot_is_held_offers_run_out_and_are_not_renewed() -> None:
    ledger = make_ledger(slots=1, sessions=["a", "b"])
    ledger.offers_due("b", NOW)
    take(ledger, "a", "t")
    assert ledger.next_deadline("b") == NOW + 4.9
    assert ledger.offers_due("b", NOW + 4.9) == ()
    assert ledger.next_deadline("b") == math.inf


# --- accepting --------------------------------------------------------------------------------------


def test_an_accept_within_the_validity_is_granted_with_a_deadline_for_the_settings() -> None:
    ledger = make_ledger(types=["javascript"])
    (offer, _) = ledger.offers_due("a", NOW)
    answer = ledger.accept("a", offer.offer_id, "t", NOW + 1)
    assert answer == Accepted("t", "javascript", NOW + 1 + 5.0)
    assert ledger.phase("a", "t") is TaskPhase.AWAITING_SETTINGS


def test_the_reasons_are_the_exact_words_of_the_protocol() -> None:
    assert OFFER_EXPIRED == "Offer expired - not accepted within validity window"
    assert AT_CAPACITY == "No open task slots - runner already at capacity"
    assert SHUTTING_DOWN == "Runner is shutting down"


def test_an_unknown_offer_is_rejected() -> None:
    ledger = make_ledger()
    ledger.offers_due("a", NOW)
    assert ledger.accept("a", "never made", "t", NOW) == Rejected("t", OFFER_EXPIRED)
    assert ledger.phase("a", "t") is None


def test_an_offer_cannot_be_used_twice() -> None:
    ledger = make_ledger()
    (offer, _) = ledger.offers_due("a", NOW)
    assert isinstance(ledger.accept("a", offer.offer_id, "t", NOW), Accepted)
    assert ledger.accept("a", offer.offer_id, "u", NOW) == Rejected("u", OFFER_EXPIRED)


def test_an_offer_expires_at_its_own_deadline_even_if_nobody_asked_what_is_due() -> None:
    ledger = make_ledger()
    (first, second) = ledger.offers_due("a", NOW)
    assert isinstance(ledger.accept("a", first.offer_id, "t", math.nextafter(first.deadline, 0)), Accepted)
    assert ledger.accept("a", second.offer_id, "u", second.deadline) == Rejected("u", OFFER_EXPIRED)
    assert ledger.statistics().offers_expired == 1


def test_an_offer_made_to_another_broker_is_rejected_and_stays_good_for_that_broker() -> None:
    ledger = make_ledger(sessions=["a", "b"])
    (offer, _) = ledger.offers_due("b", NOW)
    assert ledger.accept("a", offer.offer_id, "t", NOW) == Rejected("t", OFFER_EXPIRED)
    assert isinstance(ledger.accept("b", offer.offer_id, "t", NOW), Accepted)


def test_one_slot_offered_to_two_brokers_goes_to_the_faster() -> None:
    ledger = make_ledger(slots=1, sessions=["a", "b"])
    (to_a,) = ledger.offers_due("a", NOW)
    (to_b,) = ledger.offers_due("b", NOW)
    assert isinstance(ledger.accept("b", to_b.offer_id, "t", NOW), Accepted)
    assert ledger.accept("a", to_a.offer_id, "u", NOW) == Rejected("u", AT_CAPACITY)
    # The rejected offer is spent: it does not come to life when the slot is free again.
    ledger.finish("b", "t")
    assert ledger.accept("a", to_a.offer_id, "u", NOW) == Rejected("u", OFFER_EXPIRED)
    assert len(ledger.offers_due("a", NOW)) == 1


def test_one_slot_offered_for_two_types_goes_to_the_faster() -> None:
    ledger = make_ledger(slots=1, types=["python", "javascript"])
    (python, javascript) = ledger.offers_due("a", NOW)
    assert isinstance(ledger.accept("a", javascript.offer_id, "t", NOW), Accepted)
    assert ledger.accept("a", python.offer_id, "u", NOW) == Rejected("u", AT_CAPACITY)


def test_a_task_that_is_held_is_not_accepted_twice() -> None:
    ledger = make_ledger(slots=3)
    first, second, _ = ledger.offers_due("a", NOW)
    ledger.accept("a", first.offer_id, "t", NOW)
    ledger.start("a", "t")
    assert ledger.accept("a", second.offer_id, "t", NOW) == Rejected("t", ALREADY_HELD)
    assert ledger.phase("a", "t") is TaskPhase.RUNNING
    assert ledger.statistics().held == 1
    # Its offer is spent, and the slot it stood for is offered anew.
    assert ledger.accept("a", second.offer_id, "u", NOW) == Rejected("u", OFFER_EXPIRED)
    assert len(ledger.offers_due("a", NOW)) == 1


def test_a_task_that_is_held_is_named_so_even_when_no_slot_is_free() -> None:
    ledger = make_ledger(slots=2)
    first, second = ledger.offers_due("a", NOW)
    ledger.accept("a", first.offer_id, "t", NOW)
    ledger.open_session("b", ["python"])
    ledger.register("b")
    take(ledger, "b", "u")
    assert ledger.accept("a", second.offer_id, "t", NOW) == Rejected("t", ALREADY_HELD)


def test_a_finished_task_id_may_come_again() -> None:
    ledger = make_ledger(slots=1)
    take(ledger, "a", "t")
    ledger.finish("a", "t")
    take(ledger, "a", "t")


def test_two_brokers_may_use_the_same_task_id() -> None:
    ledger = make_ledger(sessions=["a", "b"])
    take(ledger, "a", "t")
    take(ledger, "b", "t")
    assert ledger.start("a", "t")
    assert ledger.phase("b", "t") is TaskPhase.AWAITING_SETTINGS
    ledger.finish("a", "t")
    assert ledger.phase("b", "t") is TaskPhase.AWAITING_SETTINGS


def test_shutting_down_is_said_before_anything_else_is_checked() -> None:
    ledger = make_ledger(slots=1)
    (offer,) = ledger.offers_due("a", NOW)
    ledger.drain()
    for offer_id, now in ((offer.offer_id, NOW), (offer.offer_id, NOW + 60), ("never made", NOW)):
        assert ledger.accept("a", offer_id, "t", now) == Rejected("t", SHUTTING_DOWN)


def test_expiry_is_said_before_capacity() -> None:
    ledger = make_ledger(slots=1, sessions=["a", "b"])
    (offer,) = ledger.offers_due("b", NOW)
    take(ledger, "a", "t")
    assert ledger.accept("b", offer.offer_id, "u", NOW + 60) == Rejected("u", OFFER_EXPIRED)


# --- draining ---------------------------------------------------------------------------------------


def test_a_draining_runner_offers_nothing_but_finishes_what_it_holds() -> None:
    ledger = make_ledger(slots=2)
    take(ledger, "a", "t")
    ledger.drain()
    assert ledger.offers_due("a", NOW) == ()
    assert ledger.next_deadline("a") == math.inf
    assert ledger.start("a", "t")
    ledger.finish("a", "t")
    assert ledger.offers_due("a", NOW) == ()


def test_a_session_opened_while_the_runner_drains_drains_too() -> None:
    ledger = make_ledger()
    ledger.drain()
    ledger.open_session("b", ["python"])
    ledger.register("b")
    assert ledger.offers_due("b", NOW) == ()
    assert ledger.accept("b", "x", "t", NOW) == Rejected("t", SHUTTING_DOWN)


def test_one_broker_that_drains_leaves_the_others_alone() -> None:
    ledger = make_ledger(slots=1, sessions=["a", "b"])
    (offer,) = ledger.offers_due("a", NOW)
    ledger.drain("a")
    assert ledger.accept("a", offer.offer_id, "t", NOW) == Rejected("t", SHUTTING_DOWN)
    assert len(ledger.offers_due("b", NOW)) == 1
    assert not ledger.statistics().draining


def test_draining_before_registration_is_not_undone_by_it() -> None:
    ledger = make_ledger(sessions=[])
    ledger.open_session("a", ["python"])
    ledger.drain("a")
    ledger.register("a")
    assert ledger.offers_due("a", NOW) == ()


def test_a_new_connection_to_a_broker_that_drained_offers_again() -> None:
    ledger = make_ledger()
    ledger.drain("a")
    ledger.close_session("a")
    ledger.open_session("a", ["python"])
    ledger.register("a")
    assert len(ledger.offers_due("a", NOW)) == 2


# --- the end of a session ---------------------------------------------------------------------------


def test_the_offers_of_a_lost_connection_are_void() -> None:
    ledger = make_ledger()
    (offer, _) = ledger.offers_due("a", NOW)
    assert ledger.close_session("a") == ()
    assert ledger.accept("a", offer.offer_id, "t", NOW) == Rejected("t", OFFER_EXPIRED)
    ledger.open_session("a", ["python"])
    ledger.register("a")
    assert ledger.accept("a", offer.offer_id, "t", NOW) == Rejected("t", OFFER_EXPIRED)


def test_tasks_of_a_lost_connection_keep_their_slots_until_nothing_is_left_of_them() -> None:
    ledger = make_ledger(slots=2, sessions=["a", "b"])
    take(ledger, "a", "t")
    take(ledger, "b", "u")
    assert ledger.close_session("a") == ("t",)
    assert ledger.phase("a", "t") is TaskPhase.ENDING
    assert ledger.statistics().held == 2
    assert ledger.offers_due("b", NOW + 60) == ()
    ledger.finish("a", "t")
    assert len(ledger.offers_due("b", NOW + 60)) == 1


def test_a_task_of_a_lost_connection_is_ending_whatever_arrives_later() -> None:
    ledger = make_ledger(slots=3)
    task_ids = ("waiting", "running", "cancelled")
    for task_id, offer in zip(task_ids, ledger.offers_due("a", NOW), strict=True):
        assert isinstance(ledger.accept("a", offer.offer_id, task_id, NOW), Accepted)
    ledger.start("a", "running")
    ledger.cancel("a", "cancelled")
    assert set(ledger.close_session("a")) == set(task_ids)
    for task_id in task_ids:
        assert ledger.phase("a", task_id) is TaskPhase.ENDING
        assert not ledger.start("a", task_id)
        assert not ledger.cancel("a", task_id)
        assert not ledger.expire("a", task_id)
        ledger.finish("a", task_id)


def test_a_new_connection_of_the_same_name_does_not_inherit_tasks() -> None:
    ledger = make_ledger(slots=3)
    take(ledger, "a", "old")
    ledger.close_session("a")
    ledger.open_session("a", ["python"])
    ledger.register("a")
    take(ledger, "a", "new")
    assert ledger.statistics().sessions["a"].held == 1
    assert ledger.statistics().held == 2
    assert ledger.close_session("a") == ("new",)
    ledger.finish("a", "old")
    ledger.finish("a", "new")
    assert ledger.statistics().held == 0


def test_a_task_still_dying_is_not_accepted_again_over_a_new_connection() -> None:
    ledger = make_ledger(slots=3)
    take(ledger, "a", "t")
    ledger.close_session("a")
    ledger.open_session("a", ["python"])
    ledger.register("a")
    (offer, *_) = ledger.offers_due("a", NOW)
    assert ledger.accept("a", offer.offer_id, "t", NOW) == Rejected("t", ALREADY_HELD)


# --- the life of a task -----------------------------------------------------------------------------


def test_settings_start_a_task_once() -> None:
    ledger = make_ledger()
    take(ledger, "a", "t")
    assert ledger.start("a", "t")
    assert ledger.phase("a", "t") is TaskPhase.RUNNING
    assert not ledger.start("a", "t")


def test_a_cancel_before_the_settings_wins() -> None:
    ledger = make_ledger()
    take(ledger, "a", "t")
    assert ledger.cancel("a", "t")
    assert not ledger.start("a", "t")
    assert ledger.phase("a", "t") is TaskPhase.ENDING


def test_a_cancel_straight_after_the_settings_is_not_lost() -> None:
    ledger = make_ledger()
    take(ledger, "a", "t")
    assert ledger.start("a", "t")
    assert ledger.cancel("a", "t")
    assert ledger.phase("a", "t") is TaskPhase.ENDING


def test_only_the_first_cancel_counts() -> None:
    ledger = make_ledger()
    take(ledger, "a", "t")
    assert [ledger.cancel("a", "t") for _ in range(3)] == [True, False, False]


def test_whichever_of_cancel_and_deadline_comes_first_decides() -> None:
    ledger = make_ledger()
    take(ledger, "a", "t")
    take(ledger, "a", "u", NOW + 60)
    assert ledger.expire("a", "t")
    assert not ledger.cancel("a", "t")
    assert ledger.cancel("a", "u")
    assert not ledger.expire("a", "u")


def test_settings_that_come_after_their_deadline_are_ignored() -> None:
    ledger = make_ledger()
    take(ledger, "a", "t")
    assert ledger.expire("a", "t")
    assert not ledger.start("a", "t")


def test_what_concerns_an_unknown_or_finished_task_is_ignored() -> None:
    ledger = make_ledger()
    take(ledger, "a", "t")
    ledger.finish("a", "t")
    for session, task_id in (("a", "t"), ("a", "never held"), ("nobody", "t")):
        assert not ledger.start(session, task_id)
        assert not ledger.cancel(session, task_id)
        assert not ledger.expire(session, task_id)
        assert ledger.phase(session, task_id) is None


def test_a_cancelled_task_holds_its_slot_until_it_is_dead() -> None:
    ledger = make_ledger(slots=1)
    take(ledger, "a", "t")
    ledger.cancel("a", "t")
    assert ledger.offers_due("a", NOW + 60) == ()
    ledger.finish("a", "t")
    assert len(ledger.offers_due("a", NOW + 60)) == 1


def test_a_slot_cannot_be_freed_twice() -> None:
    ledger = make_ledger()
    take(ledger, "a", "t")
    ledger.finish("a", "t")
    with pytest.raises(LocalProtocolError, match="'a' holds no task 't'"):
        ledger.finish("a", "t")


# --- misuse and facts -------------------------------------------------------------------------------


def test_a_session_name_is_unique_among_the_open_ones() -> None:
    ledger = make_ledger()
    with pytest.raises(LocalProtocolError, match="'a' is open already"):
        ledger.open_session("a", ["python"])


def test_a_session_without_task_types_is_refused() -> None:
    with pytest.raises(LocalProtocolError, match="'b' has no task types"):
        make_ledger().open_session("b", [])


def test_commands_to_a_session_that_is_not_open_are_refused() -> None:
    ledger = make_ledger()
    for command in (ledger.register, ledger.close_session, ledger.drain):
        with pytest.raises(LocalProtocolError, match="'b' is not open"):
            command("b")


def test_questions_about_a_session_that_is_not_open_have_an_answer() -> None:
    ledger = make_ledger()
    assert ledger.offers_due("b", NOW) == ()
    assert ledger.next_deadline("b") == math.inf
    assert ledger.accept("b", "1", "t", NOW) == Rejected("t", OFFER_EXPIRED)


@pytest.mark.parametrize("slots", [0, -1])
def test_a_runner_without_slots_is_refused(slots: int) -> None:
    with pytest.raises(ConfigError, match="at least 1 task slot"):
        Ledger(slots)


@pytest.mark.parametrize("timeout", [0.0, -1.0, math.nan])
def test_a_settings_timeout_that_makes_no_sense_is_refused(timeout: float) -> None:
    with pytest.raises(ConfigError, match="settings timeout must be seconds > 0"):
        Ledger(1, settings_timeout=timeout)


def test_by_default_offers_differ_between_runners() -> None:
    offers: list[Offer] = []
    for ledger in (Ledger(5), Ledger(5)):
        ledger.open_session("a", ["python"])
        ledger.register("a")
        offers.extend(ledger.offers_due("a", NOW))
    assert len({offer.offer_id for offer in offers}) == 10
    assert len({offer.deadline for offer in offers}) > 1


def test_statistics_account_for_every_offer_and_every_slot() -> None:
    ledger = make_ledger(slots=2, sessions=["a", "b"])
    first, _ = ledger.offers_due("a", NOW)
    to_b, _ = ledger.offers_due("b", NOW)
    ledger.accept("a", first.offer_id, "t", NOW)
    ledger.accept("b", to_b.offer_id, "u", NOW)
    ledger.accept("a", "2", "v", NOW)
    ledger.accept("b", "4", "w", NOW + 60)
    ledger.drain("b")
    ledger.open_session("c", ["python"])
    facts = ledger.statistics()
    assert (facts.slots, facts.held, facts.draining) == (2, 2, False)
    assert (facts.offers_sent, facts.offers_accepted, facts.offers_expired, facts.offers_voided) == (
        4,
        2,
        1,
        0,
    )
    assert facts.rejections == {AT_CAPACITY: 1, OFFER_EXPIRED: 1}
    assert {name: (s.phase, s.held, s.open_offers) for name, s in facts.sessions.items()} == {
        "a": (SessionPhase.REGISTERED, 1, 0),
        "b": (SessionPhase.DRAINING, 1, 0),
        "c": (SessionPhase.CONNECTED, 0, 0),
    }
    assert [(s.registered, s.draining) for s in facts.sessions.values()] == [
        (True, False),
        (False, True),
        (False, False),
    ]


def test_statistics_are_a_snapshot() -> None:
    ledger = make_ledger()
    before = ledger.statistics()
    take(ledger, "a", "t")
    ledger.accept("a", "never made", "u", NOW)
    assert (before.held, before.offers_sent, before.sessions["a"].held, dict(before.rejections)) == (
        0,
        0,
        0,
        {},
    )
