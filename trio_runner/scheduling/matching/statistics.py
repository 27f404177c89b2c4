"""What a broker counts, and the snapshot it gives of itself."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import attrs

from ..rates import Rates
from ..trouble import Trouble

__all__ = ["BrokerStatistics", "BrokerTotals", "LineStatistics", "RunnerStanding"]


@attrs.frozen
class LineStatistics:
    """A snapshot of the requests of one task type that wait.

    Attributes:
        waiting: how many.
        oldest: seconds for which the oldest of them has been waiting.
    """

    waiting: int
    oldest: float


@attrs.frozen(kw_only=True)
class RunnerStanding:
    """A snapshot of a registered runner.

    Attributes:
        runner_id: its own choice.
        name: what it calls itself.
        task_types: what it may offer.
        age: seconds since it was registered.
        silent_for: seconds since its last message.
        open_offers: offers it has open.
        held: tasks it has accepted that have not ended.
        pending: accepts that it has not answered yet.
        ended: tasks of it that have ended.
        declined: matches with it that came to nothing, by how.
        strikes: accepts left unanswered since it was last heard from.
    """

    runner_id: str
    name: str
    task_types: tuple[str, ...]
    age: float
    silent_for: float
    open_offers: int
    held: int
    pending: int
    ended: int
    declined: Mapping[str, int]
    strikes: int


@attrs.frozen(kw_only=True)
class BrokerStatistics:
    """A snapshot of a broker.

    Attributes:
        runners: registered runners.
        requesters: connected requesters.
        draining: new requests are refused.
        waiting: waiting requests by task type.
        open_offers: open offers by task type.
        tasks: tasks by phase: ``accept-pending``, ``abandoned``, ``awaiting-settings``, ``running``.
        requests: requests received in all.
        matched: matches made; a request that is matched again counts again.
        declined: matches that came to nothing, by how: ``expired``, ``full``, ``draining``, ``rejected`` (for
            another reason), ``deferred``, ``missed`` (no answer to the accept in time), ``runner-lost``.
        ended: accepted tasks that have ended, by outcome: ``done``, ``error``, ``cancelled``,
            ``runner-lost``, ``no-settings``, ``timeout``.
        given_up: requests that ended before a runner accepted them, by reason: ``timeout``, ``no-runner``,
            ``draining``, ``queue-full``, ``cancelled``, ``requester-left``.
        offers: offers received in all.
        offers_expired: offers that nobody used in their time.
        uptime: seconds since the broker was made.
        queue: the requests that wait, by task type.
        fleet: the registered runners, in the order they came.
        running: accepted tasks that have not ended, by task type.
        rates: tasks ended per second.
        troubles: what went wrong of late, the newest first.
    """

    runners: int
    requesters: int
    draining: bool
    waiting: Mapping[str, int]
    open_offers: Mapping[str, int]
    tasks: Mapping[str, int]
    requests: int
    matched: int
    declined: Mapping[str, int]
    ended: Mapping[str, int]
    given_up: Mapping[str, int]
    offers: int
    offers_expired: int
    uptime: float
    queue: Mapping[str, LineStatistics]
    fleet: tuple[RunnerStanding, ...]
    running: Mapping[str, int]
    rates: Rates = attrs.field(factory=Rates)
    troubles: tuple[Trouble, ...] = ()


@attrs.define
class BrokerTotals:
    """The counters behind `BrokerStatistics`, since the broker was made.

    Attributes:
        began: when that was, on the clock of the matchmaker.
        now: the time of the step that is being made.
        running: accepted tasks that have not ended, by task type.
    """

    began: float
    now: float = attrs.field(init=False, default=attrs.Factory(lambda self: self.began, takes_self=True))
    requests: int = 0
    matched: int = 0
    offers: int = 0
    offers_expired: int = 0
    declined: Counter[str] = attrs.field(factory=Counter)
    ended: Counter[str] = attrs.field(factory=Counter)
    given_up: Counter[str] = attrs.field(factory=Counter)
    running: Counter[str] = attrs.field(factory=Counter)
