"""What a broker counts, and the snapshot it gives of itself."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import attrs

__all__ = ["BrokerStatistics", "BrokerTotals"]


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
        declined: matches that came to nothing, by how: ``rejected``, ``deferred``, ``missed`` (no answer to
            the accept in time), ``runner-lost``.
        ended: accepted tasks that have ended, by outcome: ``done``, ``error``, ``cancelled``,
            ``runner-lost``, ``no-settings``, ``timeout``.
        given_up: requests that ended before a runner accepted them, by reason: ``timeout``, ``no-runner``,
            ``draining``, ``queue-full``, ``cancelled``, ``requester-left``.
        offers: offers received in all.
        offers_expired: offers that nobody used in their time.
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


@attrs.define
class BrokerTotals:
    """The counters behind `BrokerStatistics`, since the broker was made."""

    requests: int = 0
    matched: int = 0
    offers: int = 0
    offers_expired: int = 0
    declined: Counter[str] = attrs.field(factory=Counter)
    ended: Counter[str] = attrs.field(factory=Counter)
    given_up: Counter[str] = attrs.field(factory=Counter)
