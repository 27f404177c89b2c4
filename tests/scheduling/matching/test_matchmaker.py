"""Peers of a matchmaker: joining, being replaced, missing accepts, leaving; draining and the snapshot."""

from __future__ import annotations

import math

import pytest

from trio_runner.protocol import messages as m
from trio_runner.scheduling.matching.decisions import Drop
from trio_runner.scheduling.matching.matchmaker import POLICY_VIOLATION
from trio_runner.scheduling.observer import PeerJoined, PeerLeft

from .matchmaking import DATA, PYTHON, Desk

# --- joining ----------------------------------------------------------------------------------------


def test_a_runner_is_registered() -> None:
    desk = Desk()
    runner = desk.runner("r", ["python", "javascript", "python"])
    assert desk.events(PeerJoined) == [PeerJoined("runner", "r", "Fake", ("python", "javascript"))]
    assert desk.sends() == [(runner, m.RunnerRegistered())]


def test_a_runner_that_joins_a_draining_broker_is_told_so() -> None:
    desk = Desk()
    desk.news += desk.matchmaker.drain(desk.now)
    runner = desk.runner()
    assert [message for _, message in desk.sends()] == [m.RunnerRegistered(), m.Drain()]
    desk.offer(runner)
    assert desk.matchmaker.statistics().draining


def test_registering_twice_on_one_connection_is_ignored() -> None:
    desk = Desk()
    runner = desk.runner()
    desk.news.clear()
    desk.from_runner(runner, m.RunnerInfo("again", ("other",)))
    [(sender, why)] = desk.ignored()
    assert sender == runner and "runner:info" in why


def test_task_types_are_bounded() -> None:
    desk = Desk()
    runner = desk.runner(types=[f"t{number}" for number in range(5000)])
    [event] = desk.events(PeerJoined)
    assert len(event.task_types) == 1000
    desk.news.clear()
    desk.offer(runner, "t1000")
    assert len(desk.ignored()) == 1


def test_a_long_name_is_cut() -> None:
    desk = Desk()
    desk.news += desk.matchmaker.runner_joined(77, "r", "n" * 5000, (), desk.now)
    [event] = desk.events(PeerJoined)
    assert event.name == "n" * 1000


# --- being replaced ---------------------------------------------------------------------------------


def test_a_newer_runner_with_the_same_id_replaces_the_older() -> None:
    desk = Desk()
    older, requester = desk.runner("same"), desk.requester()
    running = desk.running(older, requester)
    desk.pending(older, requester)
    desk.offer(older)
    desk.news.clear()
    newer = desk.runner("same")
    [drop] = [decision for decision in desk.news if isinstance(decision, Drop)]
    assert (drop.connection, drop.code) == (older, POLICY_VIOLATION)
    assert "replaced" in drop.reason and len(drop.reason.encode()) <= 123
    assert [failed.task_id for failed in desk.sent(requester, m.TaskFailure)] == [running]
    assert [(left.peer_id, left.tasks_failed) for left in desk.events(PeerLeft)] == [("same", 1)]
    snapshot = desk.matchmaker.statistics()
    assert (snapshot.runners, snapshot.open_offers, snapshot.waiting) == (1, {}, {PYTHON: 1})
    desk.news.clear()
    desk.from_runner(older, m.TaskDone(running, DATA))
    desk.runner_leaves(older)
    assert desk.news == []
    desk.offer(newer)
    assert len(desk.sent(newer, m.TaskOfferAccept)) == 1


def test_a_newer_requester_with_the_same_id_replaces_the_older() -> None:
    desk = Desk()
    older, runner = desk.requester("same"), desk.runner()
    running = desk.running(runner, older)
    waiting = desk.request(older)
    newer = desk.requester("same")
    assert desk.dropped() == [older]
    assert [cancel.task_id for cancel in desk.sent(runner, m.TaskCancel)] == [running]
    desk.news.clear()
    desk.from_requester(older, m.TaskRequest("late", PYTHON))
    desk.requester_leaves(older)
    assert desk.news == []
    desk.from_requester(newer, m.TaskRequest(waiting, PYTHON))
    assert desk.matchmaker.statistics().waiting == {PYTHON: 1}


# --- missed accepts ---------------------------------------------------------------------------------


def miss(desk: Desk, runner: int, requester: int) -> None:
    """Let a runner leave one accept unanswered; the request behind it is cancelled."""
    desk.offer(runner, valid_for=2500)
    request_id = desk.request(requester)
    desk.wait(2)
    desk.from_requester(requester, m.RequesterTaskCancel(request_id))


def test_three_missed_accepts_in_a_row_end_the_connection() -> None:
    desk = Desk()
    runner, requester = desk.runner("deaf"), desk.requester()
    for _ in range(3):
        desk.offer(runner, valid_for=-1)
    request_id = desk.request(requester)
    desk.wait(4)
    assert desk.dropped() == []
    desk.wait(2)
    assert desk.dropped() == [runner]
    [left] = desk.events(PeerLeft)
    assert left.peer_id == "deaf" and "unresponsive: 3 accepts in a row" in left.why
    assert desk.sent(requester, m.TaskFailure) == []
    good = desk.runner()
    desk.offer(good)
    desk.from_runner(good, m.TaskAccepted("task4"))
    assert desk.sent(requester, m.TaskReady) == [m.TaskReady(request_id, "task4")]


def test_accepts_missed_at_the_same_time_count_each() -> None:
    desk = Desk()
    runner, requester = desk.runner(), desk.requester()
    for _ in range(5):
        desk.pending(runner, requester)
    desk.wait(2)
    assert desk.dropped() == [runner]
    assert desk.matchmaker.statistics().waiting == {PYTHON: 5}
    assert desk.matchmaker.statistics().declined == {"missed": 3, "runner-lost": 2}


@pytest.mark.parametrize("sign_of_life", ["offer", "nonsense"])
def test_any_message_resets_the_count(sign_of_life: str) -> None:
    desk = Desk()
    runner, requester = desk.runner(), desk.requester()
    desk.offer(runner, valid_for=-1)
    desk.offer(runner, valid_for=-1)
    request_id = desk.request(requester)
    desk.wait(4)
    assert desk.matchmaker.statistics().declined == {"missed": 2}
    if sign_of_life == "offer":
        desk.offer(runner, valid_for=-1)
    else:
        desk.matchmaker.heard_from(runner)
        desk.offer(runner, valid_for=-1)
    desk.wait(2)
    assert desk.dropped() == []
    assert desk.matchmaker.statistics().declined == {"missed": 3}
    desk.from_requester(requester, m.RequesterTaskCancel(request_id))
    assert desk.matchmaker.statistics().runners == 1


def test_a_sign_of_life_that_is_no_known_message_counts() -> None:
    desk = Desk(max_strikes=2)
    runner, requester = desk.runner(), desk.requester()
    desk.offer(runner, valid_for=-1)
    desk.offer(runner, valid_for=-1)
    desk.request(requester)
    desk.wait(2)
    desk.matchmaker.heard_from(runner)
    desk.wait(2)
    assert desk.matchmaker.statistics().declined == {"missed": 2}
    assert desk.dropped() == []


# --- leaving ----------------------------------------------------------------------------------------


def test_leaving_is_told_once() -> None:
    desk = Desk()
    runner, requester = desk.runner("r"), desk.requester("q")
    desk.running(runner, requester)
    desk.requester_leaves(requester)
    desk.runner_leaves(runner)
    assert desk.events(PeerLeft) == [
        PeerLeft("requester", "q", "gone", 1),
        PeerLeft("runner", "r", "gone", 0),
    ]
    desk.news.clear()
    desk.requester_leaves(requester)
    desk.runner_leaves(runner)
    desk.from_runner(runner, m.TaskOffer("o", PYTHON, 1))
    desk.from_requester(requester, m.TaskRequest("r", PYTHON))
    desk.matchmaker.heard_from(runner)
    assert desk.news == []


# --- draining ---------------------------------------------------------------------------------------


def test_drained_once_the_last_task_has_ended() -> None:
    desk = Desk()
    runner, requester = desk.runner(), desk.requester()
    task_id = desk.running(runner, requester)
    drained = [desk.matchmaker.drained]
    desk.news += desk.matchmaker.drain(desk.now)
    assert desk.sends() == [(runner, m.Drain())]
    drained.append(desk.matchmaker.drained)
    desk.from_runner(runner, m.TaskDone(task_id, DATA))
    drained.append(desk.matchmaker.drained)
    assert drained == [False, False, True]
    assert desk.sends() == [(requester, m.TaskResult(task_id, DATA))]
    desk.news += desk.matchmaker.drain(desk.now)
    assert desk.sends() == []


# --- the snapshot -----------------------------------------------------------------------------------


def test_the_snapshot() -> None:
    desk = Desk()
    runner, requester = desk.runner(types=[PYTHON, "spare"]), desk.requester()
    desk.running(runner, requester)
    desk.ready(runner, requester)
    desk.pending(runner, requester)
    desk.offer(runner, "spare")
    desk.request(requester, "nobody's")
    snapshot = desk.matchmaker.statistics()
    assert (snapshot.runners, snapshot.requesters, snapshot.draining) == (1, 1, False)
    assert snapshot.waiting == {"nobody's": 1}
    assert snapshot.open_offers == {"spare": 1}
    assert snapshot.tasks == {"running": 1, "awaiting-settings": 1, "accept-pending": 1}
    assert (snapshot.requests, snapshot.matched, snapshot.offers) == (4, 3, 4)
    assert (snapshot.declined, snapshot.ended, snapshot.given_up) == ({}, {}, {})


def test_nothing_to_do_without_peers() -> None:
    desk = Desk()
    assert desk.matchmaker.next_deadline() == math.inf
    assert desk.matchmaker.tick(desk.now) == ()
