"""How often a client may ask: so many a second, in bursts of no more, each client for itself."""

from __future__ import annotations

from collections import OrderedDict

import attrs

__all__ = ["RateLimit", "Verdict"]

# Clients remembered at once. Beyond it the one not heard of for longest is forgotten, to its advantage.
_MOST_CLIENTS = 10_000


@attrs.frozen
class Verdict:
    """Whether a client may go on.

    Attributes:
        admitted: it may.
        retry_after: seconds until it may, 0 if it may now.
        news: this is the first refusal since it was last admitted: worth telling.
    """

    admitted: bool
    retry_after: float = 0.0
    news: bool = False


@attrs.define
class _Client:
    busy_until: float
    refused: bool = False


class RateLimit:
    """Admits a number of requests a second from each client.

    Every admission keeps a client busy for ``1 / per_second`` more; one that is busy for longer than a second
    would be is refused. So a client that was quiet may send a second's worth at once.

    Args:
        per_second: > 0; `math.inf` admits everything.
    """

    def __init__(self, per_second: float) -> None:
        self._interval = 1 / per_second
        # One request is always possible, also where less than one a second is.
        self._burst = max(1.0, self._interval)
        self._clients: OrderedDict[str, _Client] = OrderedDict()

    def ask(self, client: str, now: float) -> Verdict:
        """Decide about one request.

        Args:
            client: who asks, such as an address.
            now: current time on a monotonic clock, seconds.
        """
        if not self._interval:
            return Verdict(admitted=True)
        self._forget_idle(now)
        known = self._clients.setdefault(client, _Client(now))
        self._clients.move_to_end(client)
        busy_until = max(known.busy_until, now) + self._interval
        # A hair of tolerance: sums of intervals are not exact.
        wait = busy_until - now - self._burst
        if wait <= 1e-9:
            known.busy_until, known.refused = busy_until, False
            return Verdict(admitted=True)
        news, known.refused = not known.refused, True
        return Verdict(admitted=False, retry_after=wait, news=news)

    def _forget_idle(self, now: float) -> None:
        while self._clients:
            client, oldest = next(iter(self._clients.items()))
            if oldest.busy_until > now and len(self._clients) <= _MOST_CLIENTS:
                return
            del self._clients[client]

    def __len__(self) -> int:
        return len(self._clients)
