"""A watchdog on progress: a session that is alive but deaf must not exist.

Theory of operation. A silent peer is noticed by the heartbeat of the link. What the heartbeat cannot see is a
session that answers pings and yet does no good: a broker that never registers the runner, or a runner that
has free slots and, for whatever fault of its own, no longer offers them. Both show as the absence of
something that must happen within a bounded time:

- the registration, within `registration_timeout` of the connection;
- while registered, with a slot free all the time and not draining: an offer. An open offer lives no longer
  than validity and jitter, and is renewed when it expires, so in a healthy session never more time than
  that passes between two offers; a margin is added for a loop that is busy.

So there is one deadline at any time. Being told of progress moves it; reaching it means stalled, and the
remedy is a new connection. The watch never waits and has no clock.
"""

from __future__ import annotations

import enum
import math

from ..errors import ConfigError
from .offers import OfferPolicy

__all__ = ["ProgressWatch"]

_DEFAULT_POLICY = OfferPolicy()


class _Stage(enum.Enum):
    CONNECTED = enum.auto()
    REGISTERED = enum.auto()
    DRAINING = enum.auto()


class ProgressWatch:
    """Tells whether a session makes progress. It starts as if `link_up` had just been called.

    Slots count as free until `capacity` says otherwise: a watch that is told too little raises a false
    alarm, which is noticed, instead of none, which is not.

    Args:
        now: current time on a monotonic clock, seconds; the same clock for every call.
        policy: how long offers live.
        registration_timeout: seconds from connection to registration.
        offer_margin: seconds beyond the longest life of an offer that may pass without a new one.

    Raises:
        ConfigError: one of the times is not positive.
    """

    def __init__(
        self,
        now: float,
        *,
        policy: OfferPolicy = _DEFAULT_POLICY,
        registration_timeout: float = 10.0,
        offer_margin: float = 5.0,
    ) -> None:
        for name, seconds in (("registration timeout", registration_timeout), ("offer margin", offer_margin)):
            if not seconds > 0:
                raise ConfigError(f"the {name} must be seconds > 0, not {seconds!r}")
        self._registration_timeout = registration_timeout
        self._offer_interval = policy.longest_life + offer_margin
        self._free = True
        self._stage = _Stage.CONNECTED
        self._since = now

    def link_up(self, now: float) -> None:
        """Begin anew with a fresh connection that has yet to be registered; also ends draining."""
        self._enter(_Stage.CONNECTED, now)

    def registered(self, now: float) -> None:
        """Take note that the broker has registered the runner. A repetition is no progress."""
        if self._stage is _Stage.CONNECTED:
            self._enter(_Stage.REGISTERED, now)

    def offered(self, now: float) -> None:
        """Take note that an offer was handed to the link."""
        if self._stage is _Stage.REGISTERED:
            self._since = now

    def capacity(self, free: bool, now: float) -> None:
        """Take note whether any slot is free. Only slots that were full and become free restart the time."""
        if free and not self._free and self._stage is _Stage.REGISTERED:
            self._since = now
        self._free = free

    def draining(self) -> None:
        """Take note that no more offers are to be sent on this connection: nothing can stall any more."""
        self._stage = _Stage.DRAINING

    def stalled(self, now: float) -> str | None:
        """Return why the session counts as stalled, one line for a person, or None while it does not.

        A process that was stopped or starved for long wakes up past every deadline at once. Let the offer
        loop have its turn before asking, or it is blamed for what it had no chance to do.
        """
        if now < self.next_deadline():
            return None
        if self._stage is _Stage.CONNECTED:
            return f"the broker has not registered the runner within {self._registration_timeout:g} s"
        return f"no offer went out for {self._offer_interval:g} s although a slot was free all the time"

    def next_deadline(self) -> float:
        """Return from when on the session counts as stalled if nothing happens; `math.inf`: never."""
        match self._stage:
            case _Stage.CONNECTED:
                return self._since + self._registration_timeout
            case _Stage.REGISTERED if self._free:
                return self._since + self._offer_interval
            case _:
                return math.inf

    def _enter(self, stage: _Stage, now: float) -> None:
        self._stage = stage
        self._since = now
