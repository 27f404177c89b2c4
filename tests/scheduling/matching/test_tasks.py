"""The life of a task at the broker, step by step, and everything that may come in between."""

from __future__ import annotations

import json

import pytest

from trio_runner.protocol import messages as m
from trio_runner.protocol.raw_json import RawJson
from trio_runner.scheduling.observer import BrokerTaskEnded

from .matchmaking import DATA, PYTHON, Desk

ERROR = RawJson(b'{"message":"m","description":""}')


def outcomes(desk: Desk) -> list[str]:
    return [event.outcome for event in desk.events(BrokerTaskEnded)]


def failure(desk: Desk, requester: int) -> dict[str, object]:
    """Return the error of the only failure that a requester was told."""
    [message] = desk.sent(requester, m.TaskFailure)
    return dict(message.error.decode())


# --- all goes well ----------------------------------------------------------------------------------


def test_a_task_from_request_to_result() -> None:
    desk = Desk()
    runner, requester = desk.runner(), desk.requester()
    desk.news.clear()
    offer_id, request_id = desk.offer(runner), desk.request(requester)
    assert desk.sends() == [(runner, m.TaskOfferAccept("task1", offer_id))]
    desk.from_runner(runner, m.TaskAccepted("task1"))
    assert desk.sends() == [(requester, m.TaskReady(request_id, "task1"))]
    desk.from_requester(requester, m.RequesterTaskSettings("task1", DATA))
    assert desk.sends() == [(runner, m.TaskSettings("task1", DATA))]
    desk.wait(4)
    desk.from_runner(runner, m.TaskDone("task1", DATA))
    assert desk.events(BrokerTaskEnded) == [BrokerTaskEnded("task1", PYTHON, "done", 4.0)]
    assert desk.sends() == [(requester, m.TaskResult("task1", DATA))]
    assert desk.idle()
    assert desk.matchmaker.statistics().ended == {"done": 1}


def test_a_failure_is_passed_on_as_it_came() -> None:
    desk = Desk()
    runner, requester = desk.runner(), desk.requester()
    task_id = desk.running(runner, requester)
    desk.from_runner(runner, m.TaskErrorReport(task_id, ERROR))
    assert outcomes(desk) == ["error"]
    assert desk.sends() == [(requester, m.TaskFailure(task_id, ERROR))]


def test_a_runner_may_fail_a_task_before_its_settings() -> None:
    desk = Desk()
    runner, requester = desk.runner(), desk.requester()
    task_id = desk.ready(runner, requester)
    desk.news.clear()
    desk.from_runner(runner, m.TaskErrorReport(task_id, ERROR))
    assert desk.sends() == [(requester, m.TaskFailure(task_id, ERROR))]
    desk.from_requester(requester, m.RequesterTaskSettings(task_id, DATA))
    assert desk.ignored() != []


def test_calls_and_answers_are_relayed_while_the_task_runs() -> None:
    desk = Desk()
    runner, requester = desk.runner(), desk.requester()
    task_id = desk.running(runner, requester)
    desk.from_runner(runner, m.RpcRequest("c", task_id, "logNodeOutput", DATA))
    desk.from_requester(requester, m.RequesterRpcResponse(task_id, "c", "success", DATA))
    desk.from_runner(runner, m.TaskDataRequest(task_id, "r", DATA))
    desk.from_requester(requester, m.RequesterTaskDataResponse(task_id, "r", DATA))
    desk.from_runner(runner, m.NodeTypesRequest(task_id, "r", DATA))
    desk.from_requester(requester, m.RequesterNodeTypesResponse(task_id, "r", DATA))
    assert desk.sends() == [
        (requester, m.BrokerRpcRequest("c", task_id, "logNodeOutput", DATA)),
        (runner, m.RpcResponse("c", task_id, "success", DATA)),
        (requester, m.TaskDataQuery(task_id, "r", DATA)),
        (runner, m.TaskDataResponse(task_id, "r", DATA)),
        (requester, m.NodeTypesQuery(task_id, "r", DATA)),
        (runner, m.NodeTypes(task_id, "r", DATA)),
    ]


# --- accept -----------------------------------------------------------------------------------------


def test_an_unanswered_accept_sends_the_request_on_after_two_seconds() -> None:
    desk = Desk()
    silent, requester = desk.runner(), desk.requester()
    desk.pending(silent, requester)
    good = desk.runner()
    desk.wait(1.999)
    desk.offer(good)
    assert desk.sent(good, m.TaskOfferAccept) == []
    desk.wait(0.001)
    assert [accept.task_id for accept in desk.sent(good, m.TaskOfferAccept)] == ["task2"]
    assert desk.matchmaker.statistics().declined == {"missed": 1}


def test_a_late_acceptance_starts_nothing_and_is_cancelled() -> None:
    desk = Desk()
    slow, requester = desk.runner(), desk.requester()
    task_id = desk.pending(slow, requester)
    desk.wait(2)
    desk.news.clear()
    desk.from_runner(slow, m.TaskAccepted(task_id))
    [cancel] = desk.sent(slow, m.TaskCancel)
    assert cancel.task_id == task_id
    assert [connection for connection, _ in desk.sends()] == [slow]
    assert desk.matchmaker.statistics().waiting == {PYTHON: 1}


def test_accepting_what_is_another_runners_task_is_answered_with_a_cancel() -> None:
    desk = Desk()
    runner, thief, requester = desk.runner(), desk.runner(), desk.requester()
    task_id = desk.pending(runner, requester)
    desk.news.clear()
    desk.from_runner(thief, m.TaskAccepted(task_id))
    assert [(connection, type(message)) for connection, message in desk.sends()] == [(thief, m.TaskCancel)]
    desk.from_runner(runner, m.TaskAccepted(task_id))
    assert [connection for connection, _ in desk.sends()] == [requester]


@pytest.mark.parametrize("phase", ["ready", "running"])
def test_a_second_answer_to_an_accept_is_ignored(phase: str) -> None:
    desk = Desk()
    runner, requester = desk.runner(), desk.requester()
    task_id = desk.ready(runner, requester) if phase == "ready" else desk.running(runner, requester)
    desk.news.clear()
    for message in (m.TaskAccepted(task_id), m.TaskRejected(task_id, "no"), m.TaskDeferred(task_id)):
        desk.from_runner(runner, message)
        assert len(desk.ignored()) == 1
    assert desk.matchmaker.statistics().tasks == {"awaiting-settings" if phase == "ready" else "running": 1}


def test_a_stall_of_the_broker_is_not_held_against_the_runner() -> None:
    """The answer came in time but was not read: the loop stood still."""
    desk = Desk(max_strikes=1)
    runner, requester = desk.runner(), desk.requester()
    task_id = desk.pending(runner, requester)
    desk.sleep(3)
    desk.news += desk.matchmaker.tick(desk.now)
    assert desk.dropped() == []
    desk.from_runner(runner, m.TaskAccepted(task_id))
    assert len(desk.sent(requester, m.TaskReady)) == 1


def test_after_a_stall_there_is_half_a_second_once() -> None:
    desk = Desk()
    runner, requester = desk.runner(), desk.requester()
    desk.pending(runner, requester)
    desk.sleep(3)
    desk.news += desk.matchmaker.tick(desk.now)
    desk.wait(0.499)
    assert desk.matchmaker.statistics().declined == {}
    desk.sleep(5)
    desk.news += desk.matchmaker.tick(desk.now)
    assert desk.matchmaker.statistics().declined == {"missed": 1}


def test_a_runner_whose_large_result_is_arriving_is_not_blamed_for_the_answer_behind_it() -> None:
    desk = Desk(max_strikes=1)
    runner, requester = desk.runner(), desk.requester()
    task_id = desk.pending(runner, requester)
    desk.receiving.add(runner)
    desk.wait(7)
    assert desk.dropped() == []
    desk.from_runner(runner, m.TaskAccepted(task_id))
    assert len(desk.sent(requester, m.TaskReady)) == 1


def test_settings_that_are_on_their_way_are_waited_for_and_no_longer() -> None:
    desk = Desk()
    runner, requester = desk.runner(), desk.requester()
    desk.ready(runner, requester)
    desk.receiving.add(requester)
    desk.wait(30)
    assert outcomes(desk) == []
    desk.receiving.remove(requester)
    desk.wait(1)
    assert outcomes(desk) == ["no-settings"]


# --- settings and execution -------------------------------------------------------------------------


def test_missing_settings_end_the_task_on_both_sides() -> None:
    desk = Desk()
    runner, requester = desk.runner(), desk.requester()
    task_id = desk.ready(runner, requester)
    desk.wait(1.999)
    assert outcomes(desk) == []
    desk.wait(0.001)
    assert outcomes(desk) == ["no-settings"]
    assert [cancel.task_id for cancel in desk.sent(runner, m.TaskCancel)] == [task_id]
    assert failure(desk, requester)["kind"] == "no-settings"
    assert failure(desk, requester)["message"] == "No settings came for the task within 2 seconds"
    desk.news.clear()
    desk.from_requester(requester, m.RequesterTaskSettings(task_id, DATA))
    assert len(desk.ignored()) == 1


def test_settings_are_taken_once_and_from_the_tasks_own_requester() -> None:
    desk = Desk()
    runner, requester, stranger = desk.runner(), desk.requester(), desk.requester()
    task_id = desk.ready(runner, requester)
    desk.news.clear()
    desk.from_requester(stranger, m.RequesterTaskSettings(task_id, DATA))
    assert len(desk.ignored()) == 1
    desk.from_requester(requester, m.RequesterTaskSettings(task_id, DATA))
    desk.news.clear()
    desk.from_requester(requester, m.RequesterTaskSettings(task_id, DATA))
    assert len(desk.ignored()) == 1


def test_an_endless_task_is_ended_on_both_sides() -> None:
    desk = Desk()
    runner, requester = desk.runner(), desk.requester()
    task_id = desk.running(runner, requester)
    desk.wait(299.999)
    assert desk.news == []
    desk.wait(0.001)
    assert outcomes(desk) == ["timeout"]
    assert [cancel.task_id for cancel in desk.sent(runner, m.TaskCancel)] == [task_id]
    assert failure(desk, requester)["kind"] == "timeout"
    assert failure(desk, requester)["message"] == "Task execution timed out after 300 seconds"
    desk.news.clear()
    desk.from_runner(runner, m.TaskDone(task_id, DATA))
    assert len(desk.ignored()) == 1


# --- cancelled by the requester, in every phase -----------------------------------------------------


def cancel(desk: Desk, requester: int, name: str) -> None:
    desk.from_requester(requester, m.RequesterTaskCancel(name, "never mind"))


@pytest.mark.parametrize("phase", ["ready", "running"])
def test_a_cancel_of_an_accepted_task_reaches_the_runner(phase: str) -> None:
    desk = Desk()
    runner, requester = desk.runner(), desk.requester()
    task_id = desk.ready(runner, requester) if phase == "ready" else desk.running(runner, requester)
    desk.news.clear()
    cancel(desk, requester, task_id)
    assert outcomes(desk) == ["cancelled"]
    assert desk.sends() == [(runner, m.TaskCancel(task_id, "never mind"))]
    cancel(desk, requester, task_id)
    assert len(desk.ignored()) == 1
    desk.from_runner(runner, m.TaskErrorReport(task_id, ERROR))
    assert len(desk.ignored()) == 1
    assert desk.idle()


@pytest.mark.parametrize("answer", ["accepted", "rejected", "deferred", "nothing"])
def test_a_cancel_while_the_accept_is_pending(answer: str) -> None:
    """Only a runner that accepts is told; a silent one has missed an accept all the same."""
    desk = Desk(max_strikes=1)
    runner, requester = desk.runner(), desk.requester()
    desk.offer(runner)
    request_id = desk.request(requester)
    desk.news.clear()
    cancel(desk, requester, request_id)
    assert desk.sends() == []
    assert desk.matchmaker.statistics().tasks == {"abandoned": 1}
    if answer == "accepted":
        desk.from_runner(runner, m.TaskAccepted("task1"))
        assert [(c, type(message)) for c, message in desk.sends()] == [(runner, m.TaskCancel)]
    elif answer == "nothing":
        desk.wait(2)
        assert desk.dropped() == [runner]
    else:
        message = m.TaskRejected("task1", "no") if answer == "rejected" else m.TaskDeferred("task1")
        desk.from_runner(runner, message)
        assert desk.sends() == []
    assert desk.matchmaker.statistics().tasks == {}
    assert desk.idle()


def test_a_cancel_of_a_task_that_has_ended_is_ignored() -> None:
    desk = Desk()
    runner, requester = desk.runner(), desk.requester()
    task_id = desk.running(runner, requester)
    desk.from_runner(runner, m.TaskDone(task_id, DATA))
    desk.news.clear()
    cancel(desk, requester, task_id)
    assert len(desk.ignored()) == 1


def test_a_stranger_cancels_nothing() -> None:
    desk = Desk()
    runner, requester, stranger = desk.runner(), desk.requester(), desk.requester()
    task_id = desk.running(runner, requester)
    cancel(desk, stranger, task_id)
    assert len(desk.ignored()) == 1
    assert desk.matchmaker.statistics().tasks == {"running": 1}


# --- messages about tasks that are not the sender's -------------------------------------------------


@pytest.mark.parametrize("task", ["unknown", "foreign"])
def test_reports_and_calls_about_what_a_runner_does_not_hold_are_ignored(task: str) -> None:
    desk = Desk()
    runner, stranger, requester = desk.runner(), desk.runner(), desk.requester()
    task_id = desk.running(runner, requester) if task == "foreign" else "made-up"
    desk.news.clear()
    messages: list[m.RunnerToBroker] = [
        m.TaskDone(task_id, DATA),
        m.TaskErrorReport(task_id, ERROR),
        m.TaskRejected(task_id, "no"),
        m.TaskDeferred(task_id),
        m.RpcRequest("c", task_id, "f", DATA),
        m.TaskDataRequest(task_id, "r"),
        m.NodeTypesRequest(task_id, "r"),
    ]
    whys = set()
    for message in messages:
        desk.from_runner(stranger, message)
        [(sender, why)] = desk.ignored()
        assert sender == stranger
        whys.add(why)
    assert len(whys) == len(messages)
    assert desk.matchmaker.statistics().tasks == ({"running": 1} if task == "foreign" else {})


@pytest.mark.parametrize("task", ["unknown", "foreign", "not running yet"])
def test_answers_about_what_a_requester_does_not_hold_are_ignored(task: str) -> None:
    desk = Desk()
    runner, requester, stranger = desk.runner(), desk.requester(), desk.requester()
    task_id, sender = "made-up", stranger
    if task == "foreign":
        task_id = desk.running(runner, requester)
    elif task == "not running yet":
        task_id, sender = desk.ready(runner, requester), requester
    desk.news.clear()
    answers: list[m.RequesterToBroker] = [
        m.RequesterRpcResponse(task_id, "c", "success"),
        m.RequesterTaskDataResponse(task_id, "r"),
        m.RequesterNodeTypesResponse(task_id, "r"),
    ]
    for answer in answers:
        desk.from_requester(sender, answer)
        assert len(desk.ignored()) == 1


def test_a_runner_cannot_report_what_it_has_not_accepted() -> None:
    desk = Desk()
    runner, requester = desk.runner(), desk.requester()
    task_id = desk.pending(runner, requester)
    desk.news.clear()
    desk.from_runner(runner, m.TaskDone(task_id, DATA))
    desk.from_runner(runner, m.RpcRequest("c", task_id, "f", DATA))
    assert len(desk.ignored()) == 2
    desk.from_runner(runner, m.TaskAccepted(task_id))
    assert len(desk.sent(requester, m.TaskReady)) == 1


# --- lost peers -------------------------------------------------------------------------------------


@pytest.mark.parametrize("phase", ["ready", "running"])
def test_the_tasks_of_a_lost_runner_fail_at_once(phase: str) -> None:
    desk = Desk()
    runner, requester = desk.runner("the-runner"), desk.requester()
    desk.ready(runner, requester) if phase == "ready" else desk.running(runner, requester)
    desk.news.clear()
    desk.runner_leaves(runner)
    assert outcomes(desk) == ["runner-lost"]
    error = failure(desk, requester)
    assert error["kind"] == "runner-lost"
    assert "runner was lost" in str(error["message"])
    assert "the-runner" in str(error["description"]) and "gone" in str(error["description"])
    assert [connection for connection, _ in desk.sends()] == [requester]
    assert desk.idle()


def test_a_pending_accept_of_a_lost_runner_only_sends_the_request_back() -> None:
    desk = Desk()
    runner, requester = desk.runner(), desk.requester()
    desk.pending(runner, requester)
    desk.news.clear()
    desk.runner_leaves(runner)
    assert desk.sent(requester, m.TaskFailure) == []
    assert desk.matchmaker.statistics().waiting == {PYTHON: 1}
    assert desk.matchmaker.statistics().declined == {"runner-lost": 1}


def test_the_tasks_of_a_lost_requester_are_cancelled_at_their_runners() -> None:
    desk = Desk()
    runner, requester = desk.runner(), desk.requester()
    running = desk.running(runner, requester)
    ready = desk.ready(runner, requester)
    pending = desk.pending(runner, requester)
    desk.news.clear()
    desk.requester_leaves(requester)
    assert [cancel.task_id for cancel in desk.sent(runner, m.TaskCancel)] == [running, ready]
    desk.from_runner(runner, m.TaskAccepted(pending))
    assert [cancel.task_id for cancel in desk.sent(runner, m.TaskCancel)] == [running, ready, pending]
    assert {connection for connection, _ in desk.sends()} == {runner}
    assert desk.matchmaker.statistics().tasks == {}


# --- the end of the broker --------------------------------------------------------------------------


def test_stopping_ends_everything_with_a_word_to_both_sides() -> None:
    desk = Desk()
    runner, requester = desk.runner(), desk.requester()
    running = desk.running(runner, requester)
    ready = desk.ready(runner, requester)
    desk.pending(runner, requester)
    waiting = desk.request(requester)
    desk.news.clear()
    desk.news += desk.matchmaker.stop(desk.now)
    failures = desk.sent(requester, m.TaskFailure)
    assert [failed.task_id for failed in failures] == [running, ready]
    assert {json.loads(failed.error.data)["kind"] for failed in failures} == {"cancelled"}
    assert [cancel.task_id for cancel in desk.sent(runner, m.TaskCancel)] == [running, ready]
    expired = desk.sent(requester, m.RequestExpiry)
    assert len(expired) == 2 and waiting in [expiry.request_id for expiry in expired]
    assert {expiry.reason for expiry in expired} == {"draining"}
    assert len(desk.sent(runner, m.Drain)) == 1
