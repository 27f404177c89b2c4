"""The matchmaker under arbitrary events, judged by a model."""

from __future__ import annotations

import math
from collections import Counter
from itertools import count
from typing import Any

import attrs
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from trio_runner.protocol import messages as m
from trio_runner.protocol.raw_json import RawJson
from trio_runner.scheduling.matching.decisions import Decision, Drop, Ignored, Observe, Send
from trio_runner.scheduling.matching.matchmaker import Matchmaker
from trio_runner.scheduling.observer import PeerJoined

from .model import LIMITS, Model, Slot, Wish, Worker

TYPES = ("python", "javascript")
MIX = ("python", "python", "python", "javascript")
NULL = RawJson.NULL


class MatchmakerMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.model = Model()
        ids = count()
        self.matchmaker = Matchmaker(LIMITS, new_id=lambda: f"task{next(ids)}")
        self.connections = count()
        self.names = count()

    def feed(self, decisions: tuple[Decision, ...]) -> None:
        self.model.judge(decisions)

    def pick(self, data: st.DataObject, kind: str, options: list[str]) -> str:
        """Draw a known id, mostly, or one that nobody knows."""
        return data.draw(st.sampled_from([*options, "made-up"]), label=kind)

    # --- peers ----------------------------------------------------------------------------------

    @initialize(drains=st.sampled_from([True, False, False, False]))
    def somebody(self, drains: bool) -> None:
        self.may_drain = drains
        self.join_runner(0, frozenset(TYPES))
        self.join_requester(0)

    @rule(
        what=st.sampled_from(["runner comes"] * 2 + ["runner goes", "requester comes", "requester goes"]),
        number=st.integers(0, 4),
        types=st.sampled_from([*[frozenset(TYPES)] * 3, frozenset({"python"}), frozenset()]),
        data=st.data(),
    )
    def somebody_comes_or_goes(
        self, what: str, number: int, types: frozenset[str], data: st.DataObject
    ) -> None:
        if what == "runner comes":
            self.join_runner(number, types)
        elif what == "requester comes":
            self.join_requester(number)
        elif what == "runner goes" and self.model.workers:
            self.runner_leaves(data.draw(st.sampled_from(sorted(self.model.workers))))
        elif what == "requester goes" and self.model.clients:
            self.requester_leaves(data.draw(st.sampled_from(sorted(self.model.clients))))

    def join_runner(self, number: int, types: frozenset[str]) -> None:
        connection, model = next(self.connections), self.model
        runner_id = f"runner{number}"
        decisions = self.matchmaker.runner_joined(connection, runner_id, "name", types, model.now)
        older = [known for known, worker in model.workers.items() if worker.runner_id == runner_id]
        assert [d.connection for d in decisions if isinstance(d, Drop)] == older
        # The newcomer is here from the decision that registers it on.
        split = decisions.index(Send(connection, m.RunnerRegistered()))
        self.feed(decisions[:split])
        model.workers[connection] = Worker(runner_id, types)
        self.feed(decisions[split:])

    def join_requester(self, number: int) -> None:
        connection, model = next(self.connections), self.model
        decisions = self.matchmaker.requester_joined(connection, f"requester{number}", model.now)
        self.feed(decisions)
        assert isinstance(decisions[-1], Observe) and isinstance(decisions[-1].event, PeerJoined)
        assert f"requester{number}" not in model.clients.values()
        model.clients[connection] = f"requester{number}"

    def runner_leaves(self, connection: int) -> None:
        decisions = self.matchmaker.runner_left(connection, "gone", self.model.now)
        self.model.runner_gone(connection)
        self.feed(decisions)
        assert self.matchmaker.runner_left(connection, "gone", self.model.now) == ()

    def requester_leaves(self, connection: int) -> None:
        decisions = self.matchmaker.requester_left(connection, "gone", self.model.now)
        self.model.requester_gone(connection)
        self.feed(decisions)
        assert self.matchmaker.requester_left(connection, "gone", self.model.now) == ()

    # --- requests and offers --------------------------------------------------------------------

    @precondition(lambda self: self.model.clients)
    @rule(data=st.data(), task_type=st.sampled_from(MIX), many=st.integers(1, 3))
    def requests(self, data: st.DataObject, task_type: str, many: int) -> None:
        for _ in range(many):
            self.request(data.draw(st.sampled_from(sorted(self.model.clients))), task_type)

    def request(self, connection: int, task_type: str) -> None:
        model = self.model
        wish = Wish(
            next(model.orders),
            f"request{next(self.names)}",
            task_type,
            connection,
            model.now + LIMITS.request_timeout,
        )
        model.wishes[wish.request_id] = wish
        message = m.TaskRequest(wish.request_id, task_type)
        self.feed(self.matchmaker.requester_said(connection, message, model.now))
        if wish.over is None and (wish.task is None or wish.task.state == "pending"):
            [again] = self.matchmaker.requester_said(connection, message, model.now)
            assert isinstance(again, Ignored)

    @precondition(lambda self: self.model.workers)
    @rule(
        data=st.data(),
        task_type=st.sampled_from(MIX),
        validity=st.sampled_from([-1, -1, 5500, 5000, 5000, 2500, 2500, 100, 0, -7, 10**400]),
        twice=st.booleans(),
        many=st.integers(1, 3),
    )
    def offers(self, data: st.DataObject, task_type: str, validity: int, twice: bool, many: int) -> None:
        for _ in range(many):
            connection = data.draw(st.sampled_from(sorted(self.model.workers)))
            self.offer(connection, task_type, validity, twice)

    def offer(self, connection: int, task_type: str, valid_for: int, twice: bool) -> None:
        model = self.model
        message = m.TaskOffer(f"offer{next(self.names)}", task_type, valid_for)
        open_before = len([slot for slot in model.slots if slot.runner == connection])
        good = task_type in model.workers[connection].types and (valid_for > 0 or valid_for == -1)
        model.workers[connection].strikes = 0
        if good and open_before < LIMITS.max_open_offers:
            deadline = math.inf if valid_for == -1 else model.now + min(valid_for, 10**15) / 1000
            slot = Slot(next(model.orders), connection, message.offer_id, task_type, deadline)
            model.slots.append(slot)
            self.feed(self.matchmaker.runner_said(connection, message, model.now))
            if twice and slot in model.slots:
                [again] = self.matchmaker.runner_said(connection, message, model.now)
                assert isinstance(again, Ignored)
        else:
            [ignored] = self.matchmaker.runner_said(connection, message, model.now)
            assert isinstance(ignored, Ignored)

    # --- what runners say about tasks -----------------------------------------------------------

    @precondition(lambda self: self.model.workers)
    @rule(
        data=st.data(),
        own=st.sampled_from([True, True, True, False]),
        message_class=st.sampled_from([m.TaskAccepted] * 4 + [m.TaskRejected, m.TaskDeferred]),
    )
    def runner_answers(self, data: st.DataObject, own: bool, message_class: type) -> None:
        """Answer an accept, maybe late, maybe twice, maybe somebody else's."""
        self.answer(*self.runner_and_task(data, own), message_class)

    def answer(self, connection: int, task_id: str, message_class: type) -> None:
        model = self.model
        attempt = model.attempts.get(task_id)
        mine = attempt is not None and attempt.runner == connection
        message = m.TaskRejected(task_id, "no") if message_class is m.TaskRejected else message_class(task_id)
        model.workers[connection].strikes = 0
        open_question = mine and attempt is not None and attempt.state in ("pending", "abandoned")
        cancel_expected = message_class is m.TaskAccepted and (
            not mine or (attempt is not None and attempt.state in ("abandoned", "over"))
        )
        if open_question and attempt is not None:
            if attempt.state == "abandoned" or message_class is not m.TaskAccepted:
                if message_class is m.TaskDeferred:
                    attempt.wish.deadline = model.now + LIMITS.request_timeout
                model.end(attempt)
            else:
                attempt.state, attempt.deadline = "ready", model.now + LIMITS.settings_timeout
                attempt.postponed = False
        decisions = self.matchmaker.runner_said(connection, message, model.now)
        self.feed(decisions)
        cancelled = [d for d in decisions if isinstance(d, Send) and isinstance(d.message, m.TaskCancel)]
        assert [d.connection for d in cancelled] == ([connection] if cancel_expected else [])
        assert any(isinstance(d, Ignored) for d in decisions) == (not open_question)

    @precondition(lambda self: self.model.workers)
    @rule(
        data=st.data(),
        own=st.sampled_from([True, True, True, False]),
        kind=st.sampled_from(["done", "error", "rpc", "data", "nodes"]),
    )
    def runner_reports(self, data: st.DataObject, own: bool, kind: str) -> None:
        """Report or call, whether the task is running, the runner's, or anything."""
        self.report(*self.runner_and_task(data, own), kind)

    def report(self, connection: int, task_id: str, kind: str) -> None:
        model = self.model
        messages: dict[str, m.RunnerToBroker] = {
            "done": m.TaskDone(task_id, NULL),
            "error": m.TaskErrorReport(task_id, NULL),
            "rpc": m.RpcRequest("call", task_id, "f", NULL),
            "data": m.TaskDataRequest(task_id, "r"),
            "nodes": m.NodeTypesRequest(task_id, "r"),
        }
        attempt = model.attempts.get(task_id)
        state = attempt.state if attempt and attempt.runner == connection else "foreign"
        relayed = state in (("ready", "running") if kind in ("done", "error") else ("running",))
        model.workers[connection].strikes = 0
        decisions = self.matchmaker.runner_said(connection, messages[kind], model.now)
        self.feed(decisions)
        assert any(isinstance(d, Ignored) for d in decisions) == (not relayed)
        assert len([d for d in decisions if isinstance(d, Send)]) == relayed

    def runner_and_task(self, data: st.DataObject, own: bool) -> tuple[int, str]:
        connection = data.draw(st.sampled_from(sorted(self.model.workers)))
        fitting = [a.task_id for a in self.model.live() if a.runner == connection]
        task_id = self.pick(data, "task", fitting if own and fitting else sorted(self.model.attempts))
        return connection, task_id

    # --- what requesters say about tasks --------------------------------------------------------

    @precondition(lambda self: self.model.clients)
    @rule(
        data=st.data(),
        own=st.sampled_from([True, True, True, False]),
        kind=st.sampled_from(["settings", "settings", "settings", "rpc", "data", "nodes"]),
    )
    def requester_speaks(self, data: st.DataObject, own: bool, kind: str) -> None:
        self.speak(*self.requester_and_task(data, own), kind)

    def speak(self, connection: int, task_id: str, kind: str) -> None:
        model = self.model
        messages: dict[str, m.RequesterToBroker] = {
            "settings": m.RequesterTaskSettings(task_id, NULL),
            "rpc": m.RequesterRpcResponse(task_id, "call", "success"),
            "data": m.RequesterTaskDataResponse(task_id, "r"),
            "nodes": m.RequesterNodeTypesResponse(task_id, "r"),
        }
        attempt = model.attempts.get(task_id)
        state = attempt.state if attempt and attempt.wish.requester == connection else "foreign"
        relayed = state == ("ready" if kind == "settings" else "running")
        if relayed and attempt is not None and kind == "settings":
            attempt.state, attempt.deadline = "running", model.now + LIMITS.execution_timeout
        decisions = self.matchmaker.requester_said(connection, messages[kind], model.now)
        self.feed(decisions)
        assert any(isinstance(d, Ignored) for d in decisions) == (not relayed)

    @precondition(lambda self: self.model.clients)
    @rule(data=st.data(), own=st.booleans(), by_request=st.booleans())
    def requester_cancels(self, data: st.DataObject, own: bool, by_request: bool) -> None:
        model = self.model
        connection, name = self.requester_and_task(data, own)
        if by_request:
            name = self.pick(data, "request", sorted(model.wishes))
        attempt, wish = model.attempts.get(name), model.wishes.get(name)
        if wish is None and attempt is not None and attempt.state in ("ready", "running"):
            wish = attempt.wish
        elif wish is not None and wish.task is not None and wish.task.state != "pending":
            wish = None
        effective = wish is not None and wish.requester == connection and not wish.over
        at_runner = effective and attempt is not None
        if effective and wish is not None:
            model.withdraw(wish, "cancelled")
        decisions = self.matchmaker.requester_said(connection, m.RequesterTaskCancel(name, "stop"), model.now)
        self.feed(decisions)
        assert any(isinstance(d, Ignored) for d in decisions) == (not effective)
        assert len([d for d in decisions if isinstance(d, Send)]) == at_runner

    def requester_and_task(self, data: st.DataObject, own: bool) -> tuple[int, str]:
        connection = data.draw(st.sampled_from(sorted(self.model.clients)))
        fitting = [a.task_id for a in self.model.live() if a.wish.requester == connection]
        return connection, self.pick(
            data, "task", fitting if own and fitting else sorted(self.model.attempts)
        )

    def go_on(self, data: st.DataObject) -> None:
        """Whoever's turn it is in some task does what it should."""
        attempt = data.draw(st.sampled_from(list(self.model.live())), label="task")
        if attempt.state in ("pending", "abandoned"):
            self.answer(attempt.runner, attempt.task_id, m.TaskAccepted)
        elif attempt.state == "ready":
            self.speak(attempt.wish.requester, attempt.task_id, "settings")
        else:
            self.report(attempt.runner, attempt.task_id, "done")

    @precondition(lambda self: any(self.model.live()))
    @rule(data=st.data(), steps=st.integers(1, 4))
    def a_task_goes_on(self, data: st.DataObject, steps: int) -> None:
        for _ in range(steps):
            if any(self.model.live()):
                self.go_on(data)

    # --- time -----------------------------------------------------------------------------------

    @rule(seconds=st.sampled_from([0.0, 0.1, 0.5, 0.5, 1.0, 1.0, 1.0, 1.5, 1.9, 2.0, 2.0, 2.5, 58.0, 301.0]))
    def time_passes(self, seconds: float) -> None:
        end = self.model.now + seconds
        while (deadline := self.matchmaker.next_deadline()) <= end:
            self.stall_until(max(deadline, self.model.now))
        self.stall_until(end)

    @precondition(lambda self: self.model.attempts)
    @rule(seconds=st.sampled_from([0.4, 0.6, 2.2, 2.6, 2.6, 70.0]))
    def loop_stands_still(self, seconds: float) -> None:
        self.stall_until(self.model.now + seconds)

    def stall_until(self, now: float) -> None:
        self.model.pass_time(now)
        self.feed(self.matchmaker.tick(now))

    @precondition(lambda self: self.may_drain and self.model.now > 5)
    @rule()
    def drain(self) -> None:
        self.model.draining = True
        self.feed(self.matchmaker.drain(self.model.now))
        assert not self.model.waiting()

    # --- what always holds ----------------------------------------------------------------------

    @invariant()
    def nobody_waits_beside_an_open_offer(self) -> None:
        waiting = {wish.task_type for wish in self.model.waiting()}
        assert not waiting & {slot.task_type for slot in self.model.slots}

    @invariant()
    def no_limit_is_overrun(self) -> None:
        now = self.model.now
        assert all(attempt.deadline > now for attempt in self.model.live())
        assert all(wish.deadline > now for wish in self.model.waiting())
        assert all(worker.strikes < LIMITS.max_strikes for worker in self.model.workers.values())
        assert self.matchmaker.next_deadline() > now

    @invariant()
    def tasks_have_both_sides(self) -> None:
        for attempt in self.model.live():
            assert attempt.runner in self.model.workers
            assert attempt.state == "abandoned" or attempt.wish.requester in self.model.clients

    @invariant()
    def the_snapshot_tells_the_truth(self) -> None:
        names = {
            "pending": "accept-pending",
            "abandoned": "abandoned",
            "ready": "awaiting-settings",
            "running": "running",
        }
        snapshot, model = self.matchmaker.statistics(), self.model
        assert snapshot.runners == len(model.workers)
        assert snapshot.requesters == len(model.clients)
        assert snapshot.waiting == Counter(wish.task_type for wish in model.waiting())
        assert snapshot.open_offers == Counter(slot.task_type for slot in model.slots)
        assert snapshot.tasks == Counter(names[attempt.state] for attempt in model.live())
        assert sum(snapshot.given_up.values()) + sum(snapshot.ended.values()) == len(
            [wish for wish in model.wishes.values() if wish.over]
        )

    def teardown(self) -> None:
        """When everybody is gone, everything has ended and nothing is left."""
        if not self.model.now and not self.model.wishes:
            return
        self.time_passes(1000.0)
        for connection in list(self.model.workers):
            decisions = self.matchmaker.runner_left(connection, "end", self.model.now)
            self.model.runner_gone(connection)
            self.feed(decisions)
        for connection in list(self.model.clients):
            decisions = self.matchmaker.requester_left(connection, "end", self.model.now)
            self.model.requester_gone(connection)
            self.feed(decisions)
        assert all(wish.over for wish in self.model.wishes.values())
        assert self.matchmaker.next_deadline() == math.inf
        self.feed(self.matchmaker.tick(self.model.now))
        assert leftovers(self.matchmaker) == []


def leftovers(root: object) -> list[str]:
    """Name every container below an object of ours that holds anything but counters."""
    found, todo, seen = [], [("matchmaker", root)], set[int]()
    while todo:
        path, value = todo.pop()
        if id(value) in seen:
            continue
        seen.add(id(value))
        if isinstance(value, Counter):
            continue
        if isinstance(value, dict | list | set) and value:
            found.append(f"{path}: {value!r}")
        elif type(value).__module__.startswith("trio_runner.scheduling"):
            todo += [(f"{path}.{name}", member) for name, member in members_of(value)]
    return found


def members_of(value: Any) -> list[tuple[str, object]]:
    names = [field.name for field in attrs.fields(type(value))] if attrs.has(type(value)) else vars(value)
    return [(name, getattr(value, name)) for name in names]


TestMatchmaker = MatchmakerMachine.TestCase
TestMatchmaker.settings = settings(
    max_examples=50, stateful_step_count=80, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
