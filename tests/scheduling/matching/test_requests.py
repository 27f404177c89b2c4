"""Matching: who gets which offer, in which order, and when a request is given up."""

from __future__ import annotations

import pytest

from trio_runner.protocol import messages as m
from trio_runner.scheduling.observer import RequestEnqueued, RequestGivenUp, RequestMatched

from .matchmaking import PYTHON, Desk


def accepts(desk: Desk, runner: int) -> list[str]:
    """Return the offers that were taken from a runner, in order."""
    return [accept.offer_id for accept in desk.sent(runner, m.TaskOfferAccept)]


def matched(desk: Desk) -> list[str]:
    """Return the requests that were matched, in order."""
    return [event.request_id for event in desk.events(RequestMatched)]


def expiries(desk: Desk, requester: int) -> list[tuple[str, str]]:
    return [(expiry.request_id, expiry.reason) for expiry in desk.sent(requester, m.RequestExpiry)]


# --- first come, first served -----------------------------------------------------------------------


def test_a_request_takes_the_offer_that_came_first() -> None:
    desk = Desk()
    one, other, requester = desk.runner(), desk.runner(), desk.requester()
    first, second, third = desk.offer(one), desk.offer(other), desk.offer(one)
    for _ in range(3):
        desk.request(requester)
    assert accepts(desk, one) == [first, third]
    assert accepts(desk, other) == [second]


def test_an_offer_is_taken_by_the_request_that_came_first() -> None:
    desk = Desk()
    one, other, runner = desk.requester(), desk.requester(), desk.runner()
    wanted = [desk.request(one), desk.request(other), desk.request(one)]
    assert [(e.request_id, e.waiting) for e in desk.events(RequestEnqueued)] == [
        (wanted[0], 1),
        (wanted[1], 2),
        (wanted[2], 3),
    ]
    for _ in wanted:
        desk.offer(runner)
    assert matched(desk) == wanted


def test_the_observer_learns_who_got_what_after_how_long() -> None:
    desk = Desk()
    requester, runner = desk.requester(), desk.runner("the-runner")
    request_id = desk.request(requester)
    desk.wait(1.5)
    desk.offer(runner)
    [event] = desk.events(RequestMatched)
    assert event == RequestMatched(request_id, "task1", PYTHON, "the-runner", 1.5)


def test_task_types_do_not_meet() -> None:
    desk = Desk()
    runner, requester = desk.runner(types=["a", "b"]), desk.requester()
    desk.request(requester, "a")
    desk.offer(runner, "b")
    assert accepts(desk, runner) == []
    offer_id = desk.offer(runner, "a")
    assert accepts(desk, runner) == [offer_id]


def test_the_same_request_id_of_two_requesters_is_two_requests() -> None:
    desk = Desk()
    one, other, runner = desk.requester(), desk.requester(), desk.runner()
    for requester in (one, other):
        desk.from_requester(requester, m.TaskRequest("same", PYTHON))
    for task_id in ("task1", "task2"):
        desk.offer(runner)
        desk.from_runner(runner, m.TaskAccepted(task_id))
    assert desk.sent(one, m.TaskReady) == [m.TaskReady("same", "task1")]
    assert desk.sent(other, m.TaskReady) == [m.TaskReady("same", "task2")]


def test_a_request_id_is_free_again_once_its_request_is_a_task() -> None:
    desk = Desk()
    requester, runner = desk.requester(), desk.runner()
    desk.from_requester(requester, m.TaskRequest("same", PYTHON))
    desk.news.clear()
    desk.from_requester(requester, m.TaskRequest("same", PYTHON))
    [(sender, why)] = desk.ignored()
    assert sender == requester and "id of a waiting request" in why
    desk.offer(runner)
    desk.from_runner(runner, m.TaskAccepted("task1"))
    desk.from_requester(requester, m.TaskRequest("same", PYTHON))
    assert [event.request_id for event in desk.events(RequestEnqueued)] == ["same"]


# --- offers -----------------------------------------------------------------------------------------


def test_an_offer_is_good_until_its_time_and_not_at_it() -> None:
    desk = Desk()
    runner, requester = desk.runner(), desk.requester()
    desk.offer(runner, valid_for=5000)
    desk.sleep(4.999)
    desk.request(requester)
    assert len(accepts(desk, runner)) == 1
    desk.offer(runner, valid_for=5000)
    desk.sleep(5.0)
    desk.request(requester)
    assert len(accepts(desk, runner)) == 1
    assert desk.matchmaker.statistics().offers_expired == 1


def test_an_expired_offer_does_not_hide_the_good_one_behind_it() -> None:
    desk = Desk()
    runner, requester = desk.runner(), desk.requester()
    desk.offer(runner, valid_for=100)
    good = desk.offer(runner, valid_for=5000)
    desk.sleep(1)
    desk.request(requester)
    assert accepts(desk, runner) == [good]


def test_minus_one_never_expires() -> None:
    desk = Desk()
    runner, requester = desk.runner(), desk.requester()
    offer_id = desk.offer(runner, valid_for=-1)
    desk.wait(1e9)
    desk.request(requester)
    assert accepts(desk, runner) == [offer_id]


@pytest.mark.parametrize("valid_for", [0, -2, -5000])
def test_a_validity_that_is_none_is_ignored(valid_for: int) -> None:
    desk = Desk()
    runner = desk.runner()
    desk.news.clear()
    desk.offer(runner, valid_for=valid_for)
    [(sender, why)] = desk.ignored()
    assert sender == runner and "runner:taskoffer" in why and "validity" in why


def test_an_absurd_validity_is_long_and_harmless() -> None:
    desk = Desk()
    runner, requester = desk.runner(), desk.requester()
    offer_id = desk.offer(runner, valid_for=10**5000)
    desk.wait(1e6)
    desk.request(requester)
    assert accepts(desk, runner) == [offer_id]


def test_an_offer_of_an_unannounced_type_is_ignored() -> None:
    desk = Desk()
    runner, requester = desk.runner(types=["a"]), desk.requester()
    desk.request(requester, "b")
    desk.news.clear()
    desk.offer(runner, "b")
    [(sender, why)] = desk.ignored()
    assert sender == runner and "not announced" in why


def test_an_open_offer_cannot_be_made_twice() -> None:
    desk = Desk()
    runner, other, requester = desk.runner(), desk.runner(), desk.requester()
    desk.news.clear()
    desk.from_runner(runner, m.TaskOffer("same", PYTHON, 5000))
    desk.from_runner(runner, m.TaskOffer("same", PYTHON, 5000))
    assert "still open" in desk.ignored()[0][1]
    desk.from_runner(other, m.TaskOffer("same", PYTHON, 5000))
    for _ in range(3):
        desk.request(requester)
    assert (accepts(desk, runner), accepts(desk, other)) == (["same"], ["same"])


def test_a_runner_cannot_hoard_offers() -> None:
    desk = Desk(max_open_offers=2)
    runner, requester = desk.runner(), desk.requester()
    first, _ = desk.offer(runner), desk.offer(runner)
    desk.news.clear()
    desk.offer(runner)
    assert "beyond the 2" in desk.ignored()[0][1]
    desk.request(requester)
    desk.offer(runner)
    assert accepts(desk, runner) == [first]
    assert desk.matchmaker.statistics().open_offers == {PYTHON: 2}


def test_the_offers_of_a_runner_that_left_are_void() -> None:
    desk = Desk()
    gone, there, requester = desk.runner(), desk.runner(), desk.requester()
    desk.offer(gone)
    good = desk.offer(there)
    desk.runner_leaves(gone)
    desk.request(requester)
    assert accepts(desk, there) == [good]


@pytest.mark.parametrize("length", [1001, 10**6])
def test_names_without_measure_are_ignored(length: int) -> None:
    desk = Desk()
    runner, requester = desk.runner(types=["t", "t" * length]), desk.requester()
    desk.news.clear()
    desk.from_runner(runner, m.TaskOffer("o" * length, "t", 5000))
    desk.from_runner(runner, m.TaskOffer("o", "t" * length, 5000))
    desk.from_requester(requester, m.TaskRequest("r" * length, "t"))
    desk.from_requester(requester, m.TaskRequest("r", "t" * length))
    assert [sender for sender, _ in desk.ignored()] == [runner, runner, requester, requester]


# --- back to its old place --------------------------------------------------------------------------


def test_a_rejected_request_goes_before_younger_ones() -> None:
    desk = Desk()
    runner, requester = desk.runner(), desk.requester()
    old = desk.request(requester)
    desk.offer(runner)
    young = desk.request(requester)
    desk.from_runner(runner, m.TaskRejected("task1", "no slot"))
    for _ in range(2):
        desk.offer(runner)
    assert matched(desk) == [old, old, young]
    assert desk.matchmaker.statistics().declined == {"rejected": 1}


def test_each_rejection_costs_an_offer() -> None:
    desk = Desk()
    runner, requester = desk.runner(), desk.requester()
    for _ in range(3):
        desk.offer(runner)
    request_id = desk.request(requester)
    for number in (1, 2, 3):
        desk.from_runner(runner, m.TaskRejected(f"task{number}", "no"))
    assert len(accepts(desk, runner)) == 3
    assert desk.matchmaker.statistics().waiting == {PYTHON: 1}
    assert matched(desk) == [request_id] * 3


def test_requests_put_back_in_one_step_keep_their_order() -> None:
    """Two runners are dropped at once; one offer is left, for the oldest of what they held."""
    desk = Desk(max_strikes=1)
    silent, requester, good = desk.runner(), desk.requester(), desk.runner()
    desk.offer(silent)
    desk.offer(silent)
    old = desk.request(requester)
    young = desk.request(requester)
    offer_id = desk.offer(good, valid_for=-1)
    desk.wait(2)
    assert desk.dropped() == [silent]
    assert accepts(desk, good) == [offer_id]
    assert matched(desk) == [old, young, old]
    desk.offer(good)
    assert matched(desk)[-1] == young


def test_what_is_due_happens_before_what_comes() -> None:
    """The accept runs out in the same moment in which a younger request arrives."""
    desk = Desk()
    silent, good, requester = desk.runner(), desk.runner(), desk.requester()
    desk.offer(silent)
    old = desk.request(requester)
    offer_id = desk.offer(good)
    desk.sleep(2)
    young = desk.request(requester)
    assert accepts(desk, good) == [offer_id]
    assert matched(desk) == [old, old]
    desk.offer(good)
    assert matched(desk)[-1] == young


# --- limits of requests -----------------------------------------------------------------------------


@pytest.mark.parametrize(("types", "reason"), [([PYTHON], "timeout"), (["other"], "no-runner")])
def test_a_request_expires_after_its_time(types: list[str], reason: str) -> None:
    desk = Desk()
    desk.runner(types=types)
    requester = desk.requester()
    request_id = desk.request(requester)
    desk.wait(59.999)
    assert expiries(desk, requester) == []
    desk.wait(0.001)
    assert expiries(desk, requester) == [(request_id, reason)]
    serving = int(PYTHON in types)
    assert desk.events(RequestGivenUp) == [RequestGivenUp(request_id, PYTHON, reason, 60, runners=serving)]
    assert desk.idle()


def test_the_last_runner_of_a_type_leaves_before_the_expiry() -> None:
    desk = Desk()
    runners, requester = [desk.runner(), desk.runner()], desk.requester()
    request_id = desk.request(requester)
    desk.runner_leaves(runners[0])
    desk.runner_leaves(runners[1])
    desk.wait(60)
    assert expiries(desk, requester) == [(request_id, "no-runner")]


def test_a_match_in_vain_does_not_renew_the_limit() -> None:
    desk = Desk()
    runner, requester = desk.runner(), desk.requester()
    request_id = desk.request(requester)
    desk.wait(30)
    desk.offer(runner)
    desk.from_runner(runner, m.TaskRejected("task1", "no"))
    desk.wait(30)
    assert expiries(desk, requester) == [(request_id, "timeout")]


def test_a_request_whose_time_ends_while_matched_is_accepted_or_expires() -> None:
    desk = Desk()
    runner, requester = desk.runner(), desk.requester()
    lucky, unlucky = desk.request(requester), desk.request(requester)
    desk.wait(59)
    desk.offer(runner)
    desk.offer(runner)
    desk.wait(1.5)
    assert expiries(desk, requester) == []
    desk.offer(runner)
    desk.from_runner(runner, m.TaskAccepted("task1"))
    desk.from_runner(runner, m.TaskRejected("task2", "no"))
    assert desk.sent(requester, m.TaskReady) == [m.TaskReady(lucky, "task1")]
    assert expiries(desk, requester) == [(unlucky, "timeout")]
    assert len(accepts(desk, runner)) == 2


def test_the_queue_is_bounded() -> None:
    desk = Desk(max_waiting=2)
    requester, runner = desk.requester(), desk.runner()
    desk.request(requester)
    desk.request(requester, "other")
    refused = desk.request(requester)
    assert expiries(desk, requester) == [(refused, "queue-full")]
    desk.offer(runner)
    desk.request(requester)
    assert len(expiries(desk, requester)) == 1
    assert desk.matchmaker.statistics().given_up == {"queue-full": 1}


def test_a_full_queue_refuses_nobody_who_can_be_served() -> None:
    desk = Desk(max_waiting=1)
    requester, runner = desk.requester(), desk.runner()
    desk.request(requester, "other")
    offer_id = desk.offer(runner)
    desk.request(requester)
    assert expiries(desk, requester) == []
    assert accepts(desk, runner) == [offer_id]


def test_a_request_that_comes_back_finds_its_place_in_a_full_queue() -> None:
    desk = Desk(max_waiting=1)
    requester, runner = desk.requester(), desk.runner()
    old = desk.request(requester)
    desk.offer(runner)
    desk.request(requester)
    desk.from_runner(runner, m.TaskRejected("task1", "no"))
    assert expiries(desk, requester) == []
    desk.offer(runner)
    assert matched(desk) == [old, old]


# --- deferral ---------------------------------------------------------------------------------------


def test_a_deferred_request_waits_with_a_fresh_limit_for_the_real_runner() -> None:
    desk = Desk()
    launcher, requester = desk.runner("launcher"), desk.requester()
    request_id = desk.request(requester)
    desk.wait(50)
    desk.offer(launcher, valid_for=-1)
    desk.from_runner(launcher, m.TaskDeferred("task1"))
    desk.runner_leaves(launcher)
    desk.wait(59)
    assert expiries(desk, requester) == []
    runner = desk.runner()
    desk.offer(runner)
    desk.from_runner(runner, m.TaskAccepted("task2"))
    assert desk.sent(requester, m.TaskReady) == [m.TaskReady(request_id, "task2")]
    assert desk.matchmaker.statistics().declined == {"deferred": 1}


def test_a_deferred_request_expires_at_its_fresh_limit() -> None:
    desk = Desk()
    launcher, requester = desk.runner("launcher"), desk.requester()
    desk.offer(launcher, valid_for=-1)
    request_id = desk.request(requester)
    desk.wait(1)
    desk.from_runner(launcher, m.TaskDeferred("task1"))
    desk.wait(59.999)
    assert expiries(desk, requester) == []
    desk.wait(0.001)
    assert expiries(desk, requester) == [(request_id, "timeout")]


def test_a_never_expiring_offer_is_used_up_by_being_taken() -> None:
    desk = Desk()
    launcher, requester = desk.runner("launcher"), desk.requester()
    desk.offer(launcher, valid_for=-1)
    desk.request(requester)
    desk.from_runner(launcher, m.TaskDeferred("task1"))
    desk.request(requester)
    assert len(accepts(desk, launcher)) == 1


# --- withdrawal -------------------------------------------------------------------------------------


def test_a_waiting_request_is_cancelled_by_its_own_id() -> None:
    desk = Desk()
    requester, other, runner = desk.requester(), desk.requester(), desk.runner()
    unwanted, wanted = desk.request(requester), desk.request(requester)
    desk.from_requester(other, m.RequesterTaskCancel(unwanted, "not mine"))
    desk.from_requester(requester, m.RequesterTaskCancel(unwanted, "never mind"))
    desk.offer(runner)
    assert matched(desk) == [wanted]
    assert expiries(desk, requester) == []
    assert RequestGivenUp(unwanted, PYTHON, "cancelled", runners=1) in desk.events(RequestGivenUp)


def test_the_requests_of_a_requester_that_left_are_dropped() -> None:
    desk = Desk()
    gone, there, runner = desk.requester(), desk.requester(), desk.runner()
    desk.request(gone)
    desk.request(gone)
    wanted = desk.request(there)
    desk.requester_leaves(gone)
    desk.offer(runner)
    desk.wait(61)
    assert matched(desk)[0] == wanted
    assert expiries(desk, gone) == []


# --- draining ---------------------------------------------------------------------------------------


def test_draining_expires_what_waits_and_refuses_what_comes() -> None:
    desk = Desk()
    requester, runner = desk.requester(), desk.runner()
    waiting = [desk.request(requester, "a"), desk.request(requester, "b")]
    desk.offer(runner)
    desk.news += desk.matchmaker.drain(desk.now)
    assert expiries(desk, requester) == [(request_id, "draining") for request_id in waiting]
    refused = desk.request(requester)
    assert expiries(desk, requester)[-1] == (refused, "draining")
    assert accepts(desk, runner) == []


def test_draining_gives_a_matched_request_its_chance() -> None:
    desk = Desk()
    requester, runner = desk.requester(), desk.runner()
    accepted, rejected = desk.request(requester), desk.request(requester)
    desk.offer(runner)
    desk.offer(runner)
    desk.news += desk.matchmaker.drain(desk.now)
    desk.from_runner(runner, m.TaskAccepted("task1"))
    desk.from_runner(runner, m.TaskRejected("task2", "Runner is shutting down"))
    assert desk.sent(requester, m.TaskReady) == [m.TaskReady(accepted, "task1")]
    assert expiries(desk, requester) == [(rejected, "draining")]
