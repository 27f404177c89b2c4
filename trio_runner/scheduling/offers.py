"""Offers: how long one lives, and which ones of a connection are open.

An offer says that one slot is free for one task of one type, and for how long. What goes on the wire is the
base validity plus a jitter drawn for each offer, so that runners that start together do not renew together.
The runner's own deadline is earlier by the latency buffer: it stops honouring an offer before the broker
can hand out a stale one. Both come from the same draw.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Iterable
from random import Random

import attrs

from ..errors import ConfigError

__all__ = ["Offer", "OfferBook", "OfferPolicy", "draw_offer"]


@attrs.frozen(kw_only=True)
class OfferPolicy:
    """How long offers live. All values in seconds, with a resolution of one millisecond on the wire.

    Attributes:
        validity: base life of an offer.
        jitter: at most this much is added, uniformly, drawn for each offer.
        latency_buffer: the runner stops honouring an offer this much before the broker does.

    Raises:
        ConfigError: a value is negative or no finite number, or the buffer eats the whole validity.
    """

    validity: float = 5.0
    jitter: float = 0.5
    latency_buffer: float = 0.1

    def __attrs_post_init__(self) -> None:
        for field in attrs.fields(OfferPolicy):
            value = getattr(self, field.name)
            if not math.isfinite(value) or value < 0:
                raise ConfigError(f"offers: {field.name} must be a number of seconds ≥ 0, not {value!r}")
        if self.validity <= self.latency_buffer or self.validity < 0.001:
            raise ConfigError(
                f"offers: validity ({self.validity:g} s) must be at least 1 ms and longer than latency_buffer"
                f" ({self.latency_buffer:g} s), or every offer is dead on arrival"
            )

    @property
    def longest_life(self) -> float:
        """Seconds after which an offer of this policy has certainly expired everywhere."""
        return self.validity + self.jitter


@attrs.frozen
class Offer:
    """One free slot, offered for one task of one type.

    Attributes:
        offer_id: unique among everything this runner has open.
        task_type: what the slot is offered for.
        valid_for_ms: what the broker is told, milliseconds.
        deadline: the runner's own end of the offer, on the clock that `now` came from.
    """

    offer_id: str
    task_type: str
    valid_for_ms: int
    deadline: float

    def expired(self, now: float) -> bool:
        """Tell whether the runner no longer honours the offer; at the very deadline it does not."""
        return self.deadline <= now


def draw_offer(policy: OfferPolicy, task_type: str, now: float, offer_id: str, random: Random) -> Offer:
    """Make one offer, drawing its jitter.

    Args:
        policy: how long offers live.
        task_type: what is offered.
        now: current time on a monotonic clock, seconds.
        offer_id: its name on the wire.
        random: source of the jitter.
    """
    base, widest = round(policy.validity * 1000), round(policy.jitter * 1000)
    valid_for_ms = base + random.randint(0, widest)
    return Offer(offer_id, task_type, valid_for_ms, now + valid_for_ms / 1000 - policy.latency_buffer)


class OfferBook:
    """The open offers of one connection, found by id, counted by task type, dropped by deadline.

    Deadlines sit in a heap whose entries outlive their offers: an offer that was taken leaves its entry
    behind until it comes to the top. So every operation is logarithmic, however many slots there are.
    """

    def __init__(self, task_types: Iterable[str]) -> None:
        self._open: dict[str, Offer] = {}
        self._counts: dict[str, int] = dict.fromkeys(task_types, 0)
        self._deadlines: list[tuple[float, str]] = []

    def __len__(self) -> int:
        """Return the number of open offers, of all task types."""
        return len(self._open)

    @property
    def task_types(self) -> tuple[str, ...]:
        """The task types that may be offered."""
        return tuple(self._counts)

    def count(self, task_type: str) -> int:
        """Return the number of open offers of one task type."""
        return self._counts[task_type]

    def add(self, offer: Offer) -> None:
        """Book an offer that is about to be sent."""
        self._open[offer.offer_id] = offer
        self._counts[offer.task_type] += 1
        heapq.heappush(self._deadlines, (offer.deadline, offer.offer_id))

    def take(self, offer_id: str) -> Offer | None:
        """Remove an offer and return it, expired or not; None if it is not open here."""
        offer = self._open.pop(offer_id, None)
        if offer is not None:
            self._counts[offer.task_type] -= 1
        return offer

    def drop_expired(self, now: float) -> int:
        """Remove what has expired and return how many that were."""
        dropped = 0
        while self.next_deadline() <= now:
            self.take(self._deadlines[0][1])
            dropped += 1
        return dropped

    def clear(self) -> int:
        """Remove everything and return how many offers that were."""
        dropped = len(self._open)
        self._open.clear()
        self._deadlines.clear()
        self._counts = dict.fromkeys(self._counts, 0)
        return dropped

    def next_deadline(self) -> float:
        """Return the earliest deadline of an open offer, `math.inf` without one."""
        while self._deadlines and self._deadlines[0][1] not in self._open:
            heapq.heappop(self._deadlines)
        return self._deadlines[0][0] if self._deadlines else math.inf


NewId = Callable[[], str]
"""Makes identifiers: `trio_runner.protocol.ids.new_id`, or a counter in a test."""
