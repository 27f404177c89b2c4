"""What must be true of a matchmaker, told by its messages alone: a model that shares no code with it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import count

import attrs

from trio_runner.protocol import messages as m
from trio_runner.scheduling.matching.decisions import Decision, Drop, Ignored, Observe, Send
from trio_runner.scheduling.matching.limits import MatchingLimits
from trio_runner.scheduling.observer import (
    MessageIgnored,
    RequestEnqueued,
    RequestGivenUp,
    RequestMatched,
)

LIMITS = MatchingLimits(max_waiting=6, max_open_offers=6)
STALL = 0.5
# Every end of a request that its requester does not hear of, because it is the requester's own doing.
SILENT = {"cancelled", "requester-left"}


@attrs.define(eq=False)
class Wish:
    """A request in the model. `task` is its live match; a wish without one waits."""

    order: int
    request_id: str
    task_type: str
    requester: int
    deadline: float
    task: Attempt | None = None
    over: str | None = None


@attrs.define(eq=False)
class Attempt:
    """A task in the model: pending, abandoned, ready, running or over."""

    task_id: str
    wish: Wish
    runner: int
    deadline: float
    state: str = "pending"
    postponed: bool = False


@attrs.define(eq=False)
class Slot:
    """An open offer in the model."""

    order: int
    runner: int
    offer_id: str
    task_type: str
    deadline: float


@attrs.define
class Worker:
    runner_id: str
    types: frozenset[str]
    strikes: int = 0


class Model:
    """What must be true, told by the messages alone."""

    def __init__(self) -> None:
        self.now = 0.0
        self.draining = False
        self.orders = count()
        self.workers: dict[int, Worker] = {}
        self.clients: dict[int, str] = {}
        self.wishes: dict[str, Wish] = {}
        self.attempts: dict[str, Attempt] = {}
        self.slots: list[Slot] = []

    # --- views ----------------------------------------------------------------------------------

    def waiting(self) -> list[Wish]:
        return [wish for wish in self.wishes.values() if not wish.over and wish.task is None]

    def live(self) -> Iterator[Attempt]:
        return (attempt for attempt in [*self.attempts.values()] if attempt.state != "over")

    # --- what the events themselves mean --------------------------------------------------------

    def pass_time(self, now: float) -> None:
        """Apply every limit that has passed."""
        self.now = now
        self.slots = [slot for slot in self.slots if slot.deadline > now]
        for attempt in sorted(self.live(), key=lambda attempt: attempt.deadline):
            if attempt.deadline > now or attempt.state in ("running", "over"):
                continue
            if now - attempt.deadline > STALL and not attempt.postponed:
                attempt.postponed, attempt.deadline = True, now + STALL
            elif attempt.state != "ready":
                self.end(attempt)
                worker = self.workers.get(attempt.runner)
                if worker is not None:
                    worker.strikes += 1

    def end(self, attempt: Attempt) -> None:
        attempt.state = "over"
        if attempt.wish.task is attempt:
            attempt.wish.task = None

    def finish(self, wish: Wish, how: str) -> None:
        assert wish.over is None, f"request ended twice: {wish.over}, then {how}"
        wish.over = how

    def runner_gone(self, connection: int) -> None:
        del self.workers[connection]
        self.slots = [slot for slot in self.slots if slot.runner != connection]
        for attempt in self.live():
            if attempt.runner == connection and attempt.state in ("pending", "abandoned"):
                self.end(attempt)

    def requester_gone(self, connection: int) -> None:
        del self.clients[connection]
        for wish in self.wishes.values():
            if wish.requester == connection and not wish.over:
                self.withdraw(wish, "requester-left")

    def withdraw(self, wish: Wish, how: str) -> None:
        attempt = wish.task
        self.finish(wish, how)
        if attempt is not None and attempt.state == "pending":
            attempt.state, wish.task = "abandoned", None
        elif attempt is not None:
            self.end(attempt)

    # --- what the matchmaker decided ------------------------------------------------------------

    def judge(self, decisions: tuple[Decision, ...]) -> None:
        for decision in decisions:
            match decision:
                case Send(connection, message):
                    assert connection in self.workers or connection in self.clients, "sent to the departed"
                    self.judge_message(connection, message)
                case Drop(connection, _, reason):
                    if connection in self.workers:
                        strikes = self.workers[connection].strikes
                        assert strikes >= LIMITS.max_strikes or "replaced" in reason
                        self.runner_gone(connection)
                    else:
                        self.requester_gone(connection)
                case Observe(RequestMatched(request_id, task_id)):
                    self.judge_match(self.wishes[request_id], self.attempts[task_id])
                case Observe(RequestGivenUp(request_id, _, reason)):
                    self.judge_end(self.wishes[request_id], reason)
                case Observe(RequestEnqueued(request_id, task_type, waiting)):
                    assert self.wishes[request_id] in self.waiting()
                    assert waiting <= len([wish for wish in self.waiting() if wish.task_type == task_type])
                case Observe(event):
                    assert not isinstance(event, MessageIgnored)
                case Ignored():
                    pass

    def judge_message(self, connection: int, message: object) -> None:
        match message:
            case m.TaskOfferAccept(task_id, offer_id):
                self.judge_accept(connection, task_id, offer_id)
            case m.TaskReady(request_id, task_id):
                attempt = self.attempts[task_id]
                assert (attempt.wish.request_id, attempt.wish.requester) == (request_id, connection)
                assert attempt.state == "ready" and attempt.wish.over is None
            case m.TaskSettings(task_id):
                assert self.attempts[task_id].runner == connection
                assert self.attempts[task_id].state == "running"
            case m.TaskResult(task_id) | m.TaskFailure(task_id):
                attempt = self.attempts[task_id]
                assert attempt.wish.requester == connection and attempt.state in ("ready", "running")
                self.finish(attempt.wish, "report")
                self.end(attempt)
            case m.RequestExpiry(request_id, reason):
                # The observer was told just before.
                assert self.wishes[request_id].requester == connection
                assert self.wishes[request_id].over == reason
            case m.TaskCancel(task_id):
                attempt_or_none = self.attempts.get(task_id)
                if attempt_or_none is not None and attempt_or_none.runner == connection:
                    assert attempt_or_none.state in ("over", "ready", "running")
            case m.BrokerRpcRequest(_, task_id) | m.TaskDataQuery(task_id) | m.NodeTypesQuery(task_id):
                assert self.attempts[task_id].state == "running"
                assert self.attempts[task_id].wish.requester == connection
            case m.RpcResponse(_, task_id) | m.TaskDataResponse(task_id) | m.NodeTypes(task_id):
                assert self.attempts[task_id].state == "running"
                assert self.attempts[task_id].runner == connection
            case m.Drain():
                assert self.draining
            case m.RunnerRegistered():
                pass
            case _:
                raise AssertionError(f"unexpected {message!r}")

    def judge_accept(self, connection: int, task_id: str, offer_id: str) -> None:
        """The offer must be open, unexpired, and the oldest of its type."""
        [slot] = [slot for slot in self.slots if (slot.runner, slot.offer_id) == (connection, offer_id)]
        assert slot.deadline > self.now
        assert slot.order == min(other.order for other in self.slots if other.task_type == slot.task_type)
        assert slot.task_type in self.workers[connection].types
        self.slots.remove(slot)
        assert task_id not in self.attempts, "task ids are never used twice"
        nobody = Wish(-1, "", slot.task_type, -1, math.inf)
        self.attempts[task_id] = Attempt(task_id, nobody, connection, self.now + LIMITS.accept_timeout)

    def judge_match(self, wish: Wish, attempt: Attempt) -> None:
        """The request must wait, not be overdue, and be the oldest of the offer's type."""
        assert wish in self.waiting(), "matched twice at the same time"
        assert wish.deadline > self.now
        assert wish.task_type == attempt.wish.task_type
        assert wish.order == min(w.order for w in self.waiting() if w.task_type == wish.task_type)
        attempt.wish, wish.task = wish, attempt

    def judge_end(self, wish: Wish, reason: str) -> None:
        if reason in SILENT:
            assert wish.over == reason
            return
        served = any(wish.task_type in worker.types for worker in self.workers.values())
        others = [other for other in self.waiting() if other is not wish]
        allowed = {
            "draining": self.draining,
            "timeout": wish.deadline <= self.now and served,
            "no-runner": wish.deadline <= self.now and not served,
            "queue-full": len(others) >= LIMITS.max_waiting,
        }
        assert wish in self.waiting() and allowed[reason], f"given up for {reason}"
        self.finish(wish, reason)
