"""The broker's decisions, all of them: who gets which task, and what becomes of it.

Theory of operation. The matchmaker is told what happens (a peer joins, says something, leaves) and what
time it is, and returns what is to be done, in order, as `Send`, `Drop`, `Ignored` and `Observe`. It has no
clock and no connections. Time limits are kept by whoever drives it calling `tick` when `next_deadline` has
come; every other call looks at the time first, too, so that nothing ever happens on the strength of a limit
that has passed.

What always holds, whatever peers do:

- a request ends exactly once: with a result, an error or an expiry sent to its requester, or because that
  cancelled it or left;
- it is matched with at most one offer at a time, and goes back to its old place when that comes to nothing;
- an offer is used at most once, before its time is up, for the task type it was made for;
- within a task type the oldest request gets the oldest offer, and never does one wait beside the other;
- nothing is sent to a connection that has left or was dropped;
- what has ended is forgotten.

Its parts: `requests` (requests, offers, matching), `tasks` (from match to end, phases in `phases`), `roster`
(who is here).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from ...protocol import messages as m
from ...protocol.ids import new_id as _new_id
from ..observer import PeerJoined, PeerLeft
from .decisions import Decision, Outbox
from .limits import MatchingLimits
from .offers import OpenOffer
from .queue import Request
from .requests import MAX_NAME, RequestDesk
from .roster import ConnectedRequester, ConnectedRunner, Fleet, Roster
from .statistics import BrokerStatistics, BrokerTotals, LineStatistics, RunnerStanding
from .tasks import TaskDesk

__all__ = ["POLICY_VIOLATION", "Matchmaker"]

Decisions = tuple[Decision, ...]

POLICY_VIOLATION = 1008
"""WebSocket close code for a peer that we no longer want."""

# Task types of one runner: a bound on what it makes us hold, far from what any serves.
_MOST_TYPES = 1000

_DEFAULT_LIMITS = MatchingLimits()


class Matchmaker:
    """Matches requests with offers, sees tasks to their end. `now` is on one monotonic clock, in seconds.

    Args:
        limits: time limits and bounds.
        new_id: makes task ids.
        receiving: whether a large message is just arriving over a connection. An answer that is overdue
            is waited for while that is so: it may be that message, or come behind it.
        now: the time of its making.
    """

    def __init__(
        self,
        limits: MatchingLimits = _DEFAULT_LIMITS,
        *,
        new_id: Callable[[], str] = _new_id,
        receiving: Callable[[int], bool] = lambda _: False,
        now: float = 0.0,
    ) -> None:
        self._limits = limits
        self._outbox = Outbox()
        self._totals = BrokerTotals(now)
        self._fleet = Fleet()
        self._requesters: Roster[ConnectedRequester] = Roster()
        self._requests = RequestDesk(limits, self._outbox, self._totals, self._fleet, self._open_attempt)
        self._tasks = TaskDesk(
            limits, self._outbox, self._totals, self._requests, self._missed, new_id, receiving
        )

    # --- runners ------------------------------------------------------------------------------------

    def runner_joined(
        self, connection: int, runner_id: str, name: str, task_types: Iterable[str], now: float
    ) -> Decisions:
        """A runner has said who it is: it is registered, in place of an older one of the same id.

        Args:
            connection: a number that no other connection has or had.
            runner_id: its own choice.
            name: for people; cut if it is long.
            task_types: what it may offer; too long ones, and those beyond the first 1 000, are left out.
            now: current time.
        """
        self._advance(now)
        older = self._fleet.named(runner_id)
        if older is not None:
            self._drop_runner(older, "replaced by a newer connection with the same id", now)
        named = dict.fromkeys(entry for entry in task_types if len(entry) <= MAX_NAME)
        types = tuple(named)[:_MOST_TYPES]
        runner = ConnectedRunner(
            connection, runner_id, name[:MAX_NAME], frozenset(types), joined=now, heard=now
        )
        self._fleet.join(runner)
        self._outbox.send(connection, m.RunnerRegistered())
        if self._requests.draining:
            self._outbox.send(connection, m.Drain())
        self._outbox.observe(PeerJoined("runner", runner_id, runner.name, types))
        return self._finish(now)

    def runner_said(self, connection: int, message: m.RunnerToBroker, now: float) -> Decisions:
        """A registered runner has sent a message. One that is not here any more is not listened to."""
        self.heard_from(connection)
        self._advance(now)
        runner = self._fleet.on(connection)
        if runner is not None:
            runner.heard = now
            self._hear_runner(runner, message, now)
        return self._finish(now)

    def heard_from(self, connection: int) -> None:
        """A runner has sent anything at all, also something nobody understands: it is responsive."""
        runner = self._fleet.on(connection)
        if runner is not None:
            runner.strikes = 0

    def runner_left(self, connection: int, why: str, now: float) -> Decisions:
        """The connection of a runner is gone; nothing happens if it was not, or is no longer, registered."""
        self._advance(now)
        runner = self._fleet.on(connection)
        if runner is not None:
            self._lose_runner(runner, why, now)
        return self._finish(now)

    def _hear_runner(self, runner: ConnectedRunner, message: m.RunnerToBroker, now: float) -> None:
        match message:
            case m.TaskOffer():
                self._requests.offered(runner, message, now)
            case m.TaskAccepted():
                self._tasks.accepted(runner, message.task_id, now)
            case m.TaskRejected() | m.TaskDeferred():
                self._tasks.declined(runner, message, now)
            case m.TaskDone() | m.TaskErrorReport():
                self._tasks.reported(runner, message, now)
            case m.RpcRequest() | m.TaskDataRequest() | m.NodeTypesRequest():
                self._tasks.called(runner, message)
            case m.RunnerInfo():
                self._outbox.ignore(runner.connection, "runner:info from a registered runner")

    def _missed(self, runner: ConnectedRunner, now: float) -> None:
        """Count an unanswered accept, and drop the runner at the last that it may leave unanswered."""
        runner.strikes += 1
        if runner.strikes == self._limits.max_strikes:
            self._drop_runner(runner, f"unresponsive: {runner.strikes} accepts in a row unanswered", now)

    def _drop_runner(self, runner: ConnectedRunner, why: str, now: float) -> None:
        self._outbox.drop(runner.connection, POLICY_VIOLATION, why)
        self._lose_runner(runner, why, now)

    def _lose_runner(self, runner: ConnectedRunner, why: str, now: float) -> None:
        self._fleet.leave(runner.connection)
        self._requests.offers.void(runner.connection)
        failed = self._tasks.runner_lost(runner, why, now)
        self._outbox.observe(PeerLeft("runner", runner.peer_id, why, failed))

    # --- requesters ---------------------------------------------------------------------------------

    def requester_joined(self, connection: int, requester_id: str, now: float) -> Decisions:
        """A requester is here, in place of an older one of the same id."""
        self._advance(now)
        older = self._requesters.named(requester_id)
        if older is not None:
            why = "replaced by a newer connection with the same id"
            self._outbox.drop(older.connection, POLICY_VIOLATION, why)
            self._lose_requester(older, why, now)
        self._requesters.join(ConnectedRequester(connection, requester_id))
        self._outbox.observe(PeerJoined("requester", requester_id, "", ()))
        return self._finish(now)

    def requester_said(self, connection: int, message: m.RequesterToBroker, now: float) -> Decisions:
        """A requester has sent a message. One that is not here any more is not listened to."""
        self._advance(now)
        requester = self._requesters.on(connection)
        if requester is not None:
            self._hear_requester(requester, message, now)
        return self._finish(now)

    def requester_left(self, connection: int, why: str, now: float) -> Decisions:
        """The connection of a requester is gone; nothing happens if it was gone before."""
        self._advance(now)
        requester = self._requesters.on(connection)
        if requester is not None:
            self._lose_requester(requester, why, now)
        return self._finish(now)

    def _hear_requester(
        self, requester: ConnectedRequester, message: m.RequesterToBroker, now: float
    ) -> None:
        match message:
            case m.TaskRequest():
                self._requests.requested(requester, message, now)
            case m.RequesterTaskSettings():
                self._tasks.settings(requester, message, now)
            case m.RequesterTaskCancel():
                self._cancel(requester, message, now)
            case m.RequesterRpcResponse() | m.RequesterTaskDataResponse() | m.RequesterNodeTypesResponse():
                self._tasks.answered(requester, message)

    def _cancel(self, requester: ConnectedRequester, message: m.RequesterTaskCancel, now: float) -> None:
        """Cancel a task, or a request by its own id: before ``taskready`` there is no task id to name."""
        if self._tasks.cancelled(requester, message, now):
            return
        request = self._requests.cancelled(requester, message.task_id)
        if request is None:
            self._outbox.ignore(
                requester.connection, "requester:taskcancel for nothing that it waits for any more"
            )
        elif request.attempt is not None:
            self._tasks.abandon(request.attempt)

    def _lose_requester(self, requester: ConnectedRequester, why: str, now: float) -> None:
        self._requesters.leave(requester.connection)
        for request in self._requests.requester_left(requester.connection):
            if request.attempt is not None:
                self._tasks.abandon(request.attempt)
        cancelled = self._tasks.requester_left(requester.connection, now)
        self._outbox.observe(PeerLeft("requester", requester.peer_id, why, cancelled))

    # --- time and the whole -------------------------------------------------------------------------

    def tick(self, now: float) -> Decisions:
        """Let time pass: due whenever `next_deadline` has come."""
        self._advance(now)
        return self._finish(now)

    def next_deadline(self) -> float:
        """Return when `tick` has something to do even if nothing happens; `math.inf`: never."""
        return min(self._requests.queue.next_deadline(), self._tasks.next_deadline())

    def drain(self, now: float) -> Decisions:
        """Take no more requests, expire those that wait, let runners stop offering and tasks finish."""
        self._advance(now)
        if not self._requests.draining:
            self._requests.drain()
            for runner in self._fleet:
                self._outbox.send(runner.connection, m.Drain())
        return self._finish(now)

    def stop(self, now: float) -> Decisions:
        """End everything that is left, at the end of a drain: requests expire, tasks fail as cancelled."""
        decisions = self.drain(now)
        self._tasks.stop(now)
        return decisions + self._finish(now)

    @property
    def drained(self) -> bool:
        """No requests are taken any more, and none that was taken is left in any form."""
        return self._requests.draining and not len(self._tasks)

    def statistics(self) -> BrokerStatistics:
        """Return a snapshot, as of the last call that was told the time."""
        totals = self._totals
        return BrokerStatistics(
            runners=len(self._fleet),
            requesters=len(self._requesters),
            draining=self._requests.draining,
            waiting=self._requests.queue.sizes(),
            open_offers=self._requests.offers.counts(),
            tasks=self._tasks.phases(),
            requests=totals.requests,
            matched=totals.matched,
            declined=dict(totals.declined),
            ended=dict(totals.ended),
            given_up=dict(totals.given_up),
            offers=totals.offers,
            offers_expired=totals.offers_expired,
            uptime=totals.now - totals.began,
            queue=self._queue(),
            fleet=tuple(self._standing(runner) for runner in self._fleet),
            running=dict(totals.running),
        )

    def _queue(self) -> Mapping[str, LineStatistics]:
        sizes, oldest = self._requests.queue.sizes(), self._requests.queue.oldest()
        return {line: LineStatistics(sizes[line], self._totals.now - since) for line, since in oldest.items()}

    def _standing(self, runner: ConnectedRunner) -> RunnerStanding:
        held, pending = self._tasks.held_by(runner)
        return RunnerStanding(
            runner_id=runner.peer_id,
            name=runner.name,
            task_types=tuple(sorted(runner.task_types)),
            age=self._totals.now - runner.joined,
            silent_for=self._totals.now - runner.heard,
            open_offers=self._requests.offers.count(runner.connection),
            held=held,
            pending=pending,
            ended=runner.ended,
            declined=dict(runner.declined),
            strikes=runner.strikes,
        )

    def _open_attempt(self, request: Request, offer: OpenOffer, now: float) -> str:
        runner = self._fleet.on(offer.connection)
        assert runner is not None, "the offers of a runner are void when it leaves"
        return self._tasks.open(request, offer, runner, now)

    def _advance(self, now: float) -> None:
        """Do what is due before anything else happens."""
        self._totals.now = now
        self._totals.offers_expired += self._requests.offers.expire(now)
        self._tasks.expire_due(now)
        self._requests.expire_due(now)
        self._requests.settle(now)

    def _finish(self, now: float) -> Decisions:
        self._requests.settle(now)
        return self._outbox.take()
