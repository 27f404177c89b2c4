"""The offers that runners have open with a broker."""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from .grouped import Grouped
from .lazy_heap import LazyHeap

__all__ = ["BrokerOffers", "OpenOffer"]


@attrs.frozen(eq=False)
class OpenOffer:
    """One free slot of a runner. `connection` is the runner's."""

    connection: int
    offer_id: str
    task_type: str


class BrokerOffers:
    """Open offers: first come, first served within a task type, each used at most once, none after its time.

    Expiry needs no wake-up: an expired offer matters only when something else happens, and then `expire` is
    asked first.
    """

    def __init__(self) -> None:
        self._by_type: Grouped[str, tuple[int, str], OpenOffer] = Grouped()
        self._by_runner: Grouped[int, str, OpenOffer] = Grouped()
        self._expiries: LazyHeap[OpenOffer] = LazyHeap()

    def open(self, offer: OpenOffer, deadline: float) -> None:
        """Book an offer; `deadline` is on the clock of `expire`, `math.inf` for never."""
        self._by_type.put(offer.task_type, (offer.connection, offer.offer_id), offer)
        self._by_runner.put(offer.connection, offer.offer_id, offer)
        self._expiries.push(offer, deadline)

    def has(self, connection: int, offer_id: str) -> bool:
        """Tell whether a runner has an offer of that id open."""
        return self._by_runner.get(connection, offer_id) is not None

    def count(self, connection: int) -> int:
        """Return how many offers a runner has open."""
        return self._by_runner.size(connection)

    def take(self, task_type: str) -> OpenOffer | None:
        """Use up the offer of a type that has been open longest; None if there is none."""
        offer = self._by_type.first(task_type)
        if offer is not None:
            self._forget(offer)
        return offer

    def expire(self, now: float) -> int:
        """Forget the offers whose time has come; return how many."""
        expired = 0
        while (offer := self._expiries.pop_due(now)) is not None:
            self._forget(offer)
            expired += 1
        return expired

    def void(self, connection: int) -> None:
        """Forget all offers of a runner."""
        for offer in self._by_runner.members(connection):
            self._forget(offer)

    def counts(self) -> Mapping[str, int]:
        """Return how many offers of each type are open."""
        return self._by_type.sizes()

    def _forget(self, offer: OpenOffer) -> None:
        self._by_type.remove(offer.task_type, (offer.connection, offer.offer_id))
        self._by_runner.remove(offer.connection, offer.offer_id)
        self._expiries.discard(offer)
