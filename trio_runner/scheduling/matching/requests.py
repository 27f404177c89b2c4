"""Matching of requests with offers: first come, first served on both sides, at every request and every offer.

Theory of operation. For no task type do a waiting request and an open offer exist side by side: a new request
takes the oldest offer or waits, a new offer is given to the oldest request or stays open. A request that is
matched keeps its place in the line until a runner accepts it. When the runner does not, the request is *put
back*; all that are put back in one step are placed at its end by `settle`, in the order of their places, so
that no younger one passes an older one on the way.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

from ...protocol.messages import RequestExpiry, TaskOffer, TaskRequest
from ..observer import RequestEnqueued, RequestGivenUp
from .decisions import Outbox
from .grouped import Grouped
from .limits import MatchingLimits
from .offers import BrokerOffers, OpenOffer
from .queue import Request, RequestQueue
from .roster import ConnectedRequester, ConnectedRunner, Fleet
from .statistics import BrokerTotals

__all__ = ["MAX_NAME", "RequestDesk"]

MAX_NAME = 1000
"""Characters that an id or a task type may have: more than any has, a bound on what peers make us hold."""

_NEVER_EXPIRES = -1
# Milliseconds, some thirty years: keeps absurd numbers from overflowing, changes nothing else.
_LONGEST_VALIDITY = 10**12

OpenAttempt = Callable[[Request, OpenOffer, float], str]


class RequestDesk:
    """Requests until a runner accepts them, and the offers they are matched with.

    Args:
        limits: how long requests live, and how many may wait.
        outbox: where decisions go.
        totals: what is counted.
        fleet: the registered runners.
        open_attempt: told of every match; returns the id of the task made for it.
    """

    def __init__(
        self,
        limits: MatchingLimits,
        outbox: Outbox,
        totals: BrokerTotals,
        fleet: Fleet,
        open_attempt: OpenAttempt,
    ) -> None:
        self._limits = limits
        self._outbox = outbox
        self._totals = totals
        self._fleet = fleet
        self._open_attempt = open_attempt
        self.offers = BrokerOffers()
        self.queue = RequestQueue()
        self.draining = False
        self._orders = itertools.count()
        # Waiting or matched, not yet accepted.
        self._live: Grouped[int, str, Request] = Grouped()
        self._returned: list[Request] = []

    # --- from peers ---------------------------------------------------------------------------------

    def requested(self, requester: ConnectedRequester, message: TaskRequest, now: float) -> None:
        """A requester wants a task done."""
        if max(len(message.request_id), len(message.task_type)) > MAX_NAME:
            self._outbox.ignore(
                requester.connection, f"requester:taskrequest with names over {MAX_NAME} long"
            )
            return
        if self._live.get(requester.connection, message.request_id) is not None:
            self._outbox.ignore(
                requester.connection, "requester:taskrequest with the id of a waiting request"
            )
            return
        request = Request(
            message.request_id,
            message.task_type,
            requester.connection,
            order=next(self._orders),
            arrived=now,
            deadline=now + self._limits.request_timeout,
        )
        self._totals.requests += 1
        self._live.put(request.requester, request.request_id, request)
        if self.draining:
            self._give_up(request, "draining")
        elif self._match_now(request, now):
            pass
        elif len(self.queue) >= self._limits.max_waiting:
            self._give_up(request, "queue-full")
        else:
            self._wait(request)

    def offered(self, runner: ConnectedRunner, message: TaskOffer, now: float) -> None:
        """A runner has a free slot."""
        why = self._why_not(runner, message)
        if why is not None:
            self._outbox.ignore(runner.connection, f"runner:taskoffer {why}")
            return
        self._totals.offers += 1
        offer = OpenOffer(runner.connection, message.offer_id, message.task_type)
        request = self.queue.take(message.task_type)
        if request is not None:
            self._match(request, offer, now)
        elif message.valid_for == _NEVER_EXPIRES:
            self.offers.open(offer, math.inf)
        else:
            self.offers.open(offer, now + min(message.valid_for, _LONGEST_VALIDITY) / 1000)

    def _why_not(self, runner: ConnectedRunner, message: TaskOffer) -> str | None:
        """Say what is wrong with an offer; None: nothing."""
        if message.task_type not in runner.task_types:
            return "of a task type that the runner has not announced"
        if len(message.offer_id) > MAX_NAME:
            return f"with an id over {MAX_NAME} long"
        if message.valid_for <= 0 and message.valid_for != _NEVER_EXPIRES:
            return "whose validity is no positive number of milliseconds and not -1"
        if self.offers.has(runner.connection, message.offer_id):
            return "with the id of an offer that is still open"
        if self.offers.count(runner.connection) >= self._limits.max_open_offers:
            return f"beyond the {self._limits.max_open_offers} that a runner may have open"
        return None

    def cancelled(self, requester: ConnectedRequester, request_id: str) -> Request | None:
        """A requester no longer wants a request; None: it has no such request.

        Whoever calls this ends the attempt that the returned request may be matched in.
        """
        request = self._live.get(requester.connection, request_id)
        if request is not None:
            self._forget(request, "cancelled")
        return request

    def requester_left(self, connection: int) -> tuple[Request, ...]:
        """A requester is gone, its requests with it. Whoever calls this ends their attempts."""
        dropped = self._live.members(connection)
        for request in dropped:
            self._forget(request, "requester-left")
        return dropped

    # --- from the tasks that requests are matched as ------------------------------------------------

    def accepted(self, request: Request) -> None:
        """A runner has taken the request: it is a task now."""
        self._live.remove(request.requester, request.request_id)

    def put_back(self, request: Request) -> None:
        """The match came to nothing: the request is to be matched again, from its old place."""
        request.attempt = None
        self._returned.append(request)

    def defer(self, request: Request, now: float) -> None:
        """The runner asks for patience: like `put_back`, with a fresh time limit."""
        request.deadline = now + self._limits.request_timeout
        self.put_back(request)

    # --- time ---------------------------------------------------------------------------------------

    def settle(self, now: float) -> None:
        """Place what was put back."""
        returned, self._returned = sorted(self._returned, key=lambda request: request.order), []
        for request in returned:
            if self.draining:
                self._give_up(request, "draining")
            elif request.deadline <= now:
                self._expire(request)
            elif not self._match_now(request, now):
                self._wait(request)

    def expire_due(self, now: float) -> None:
        """Give up the waiting requests whose time has come."""
        while (request := self.queue.take_due(now)) is not None:
            self._expire(request)

    def drain(self) -> None:
        """Give up every waiting request, and every new one at once. Matched ones still get their chance."""
        self.draining = True
        while (request := self.queue.take_any()) is not None:
            self._give_up(request, "draining")

    # --- steps --------------------------------------------------------------------------------------

    def _match_now(self, request: Request, now: float) -> bool:
        offer = self.offers.take(request.task_type)
        if offer is not None:
            self._match(request, offer, now)
        return offer is not None

    def _match(self, request: Request, offer: OpenOffer, now: float) -> None:
        self._totals.matched += 1
        request.attempt = self._open_attempt(request, offer, now)

    def _wait(self, request: Request) -> None:
        self.queue.add(request)
        waiting = self.queue.size(request.task_type)
        serving, running = self._fleet.serving(request.task_type), self._totals.running[request.task_type]
        self._outbox.observe(
            RequestEnqueued(request.request_id, request.task_type, waiting, serving, running)
        )

    def _expire(self, request: Request) -> None:
        self._give_up(request, "timeout" if self._fleet.serving(request.task_type) else "no-runner")

    def _give_up(self, request: Request, reason: str) -> None:
        self._forget(request, reason)
        self._outbox.send(request.requester, RequestExpiry(request.request_id, reason))

    def _forget(self, request: Request, reason: str) -> None:
        self._live.remove(request.requester, request.request_id)
        self.queue.remove(request)
        self._totals.given_up[reason] += 1
        self._outbox.observe(
            RequestGivenUp(
                request.request_id,
                request.task_type,
                reason,
                self._totals.now - request.arrived,
                self._fleet.serving(request.task_type),
                self._totals.running[request.task_type],
                request.declines,
                request.last_decline,
            )
        )
