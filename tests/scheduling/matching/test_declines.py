"""Matches that came to nothing: told apart, counted in all, by runner and by request."""

from __future__ import annotations

import pytest

from trio_runner.protocol import messages as m
from trio_runner.scheduling.admission import ALREADY_HELD, AT_CAPACITY, OFFER_EXPIRED, SHUTTING_DOWN
from trio_runner.scheduling.matching.declines import how_declined
from trio_runner.scheduling.observer import MatchDeclined, RequestAccepted, RequestEnqueued, RequestGivenUp

from .matchmaking import PYTHON, Desk


@pytest.mark.parametrize(
    ("message", "how"),
    [
        (m.TaskRejected("t", OFFER_EXPIRED), "expired"),
        (m.TaskRejected("t", AT_CAPACITY), "full"),
        (m.TaskRejected("t", SHUTTING_DOWN), "draining"),
        (m.TaskRejected("t", ALREADY_HELD), "rejected"),
        (m.TaskRejected("t", ""), "rejected"),
        (m.TaskDeferred("t"), "deferred"),
    ],
)
def test_the_reasons_of_the_protocol_are_told_apart(
    message: m.TaskRejected | m.TaskDeferred, how: str
) -> None:
    assert how_declined(message) == how


def test_a_rejection_is_told_with_how_long_the_request_has_waited() -> None:
    desk = Desk()
    runner, requester = desk.runner("r"), desk.requester()
    desk.wait(3)
    task_id = desk.pending(runner, requester)
    desk.wait(1)
    desk.from_runner(runner, m.TaskRejected(task_id, OFFER_EXPIRED))
    [declined] = desk.events(MatchDeclined)
    assert declined == MatchDeclined("request2", task_id, PYTHON, "r", "expired", OFFER_EXPIRED, 1)
    [standing] = desk.matchmaker.statistics().fleet
    assert standing.declined == {"expired": 1}


def test_silence_and_loss_are_declines_too() -> None:
    desk = Desk()
    silent, requester = desk.runner("silent"), desk.requester()
    desk.pending(silent, requester)
    desk.wait(2)
    desk.offer(silent)
    desk.runner_leaves(silent)
    assert [declined.how for declined in desk.events(MatchDeclined)] == ["missed", "runner-lost"]
    desk.wait(60)
    [given_up] = desk.events(RequestGivenUp)
    assert (given_up.reason, given_up.declines, given_up.last_decline) == ("no-runner", 2, "runner-lost")


def test_what_a_runner_says_is_cut() -> None:
    desk = Desk()
    runner, requester = desk.runner(), desk.requester()
    desk.from_runner(runner, m.TaskRejected(desk.pending(runner, requester), "x" * 10_000))
    assert len(desk.events(MatchDeclined)[0].reason) == 200


def test_a_request_that_waits_says_who_could_take_it() -> None:
    desk = Desk()
    runner, other, requester = desk.runner(), desk.runner(types=["other"]), desk.requester()
    desk.running(runner, requester)
    desk.request(requester)
    desk.request(requester, "other")
    desk.request(requester, "third")
    told = [(event.task_type, event.runners, event.running) for event in desk.events(RequestEnqueued)]
    assert told == [(PYTHON, 1, 1), ("other", 1, 0), ("third", 0, 0)]
    desk.offer(other, "other")
    assert desk.matchmaker.statistics().running == {PYTHON: 1}


def test_the_wait_until_a_runner_took_it_is_told_once() -> None:
    desk = Desk()
    runner, requester = desk.runner("r"), desk.requester()
    request_id = desk.request(requester)
    desk.wait(4)
    desk.offer(runner)
    task_id = desk.sent(runner, m.TaskOfferAccept)[-1].task_id
    desk.wait(1)
    desk.from_runner(runner, m.TaskAccepted(task_id))
    assert desk.events(RequestAccepted) == [RequestAccepted(request_id, task_id, PYTHON, "r", 5)]


def test_the_snapshot_tells_who_waits_and_who_is_here() -> None:
    desk = Desk()
    runner, requester = desk.runner("r"), desk.requester()
    desk.running(runner, requester)
    desk.ready(runner, requester)
    desk.pending(runner, requester)
    desk.wait(1)
    desk.request(requester)
    desk.request(requester)
    desk.wait(0.5)
    desk.offer(runner, "python")
    snapshot = desk.matchmaker.statistics()
    assert snapshot.queue[PYTHON].waiting == 1
    assert snapshot.queue[PYTHON].oldest == pytest.approx(0.5)
    [standing] = snapshot.fleet
    assert (standing.runner_id, standing.held, standing.pending) == ("r", 2, 2)
    assert standing.age == pytest.approx(1.5)
    assert standing.silent_for == pytest.approx(0)
    assert snapshot.running == {PYTHON: 2}
