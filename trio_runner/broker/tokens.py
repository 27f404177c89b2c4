"""The tokens that let a peer in. No I/O; `now` is on one monotonic clock, in seconds."""

from __future__ import annotations

import hashlib
import hmac
import math
import secrets
from collections import OrderedDict

__all__ = ["GrantTokens", "same_token"]

# 32 random bytes: nobody guesses one in the seconds that it lives.
_BYTES = 32


def same_token(expected: str, given: str) -> bool:
    """Compare a secret with what a peer sent, in a time that tells nothing about the secret."""
    return hmac.compare_digest(_digest(expected), _digest(given))


class GrantTokens:
    """Tokens that are good for one connection each, for a short time.

    Only digests are kept: neither a dump of the memory nor the time that a look-up takes gives a token away.

    Args:
        ttl: seconds that a token lives.
        most: tokens that may wait for their use at once.
    """

    def __init__(self, *, ttl: float, most: int) -> None:
        self._ttl = ttl
        self._most = most
        # All live equally long, so the order of minting is the order of expiry.
        self._expiries: OrderedDict[bytes, float] = OrderedDict()

    def __len__(self) -> int:
        return len(self._expiries)

    def mint(self, now: float) -> str | None:
        """Return a fresh token; None if too many wait for their use, until `room_in`."""
        self._forget_expired(now)
        if len(self._expiries) >= self._most:
            return None
        token = secrets.token_urlsafe(_BYTES)
        self._expiries[_digest(token)] = now + self._ttl
        return token

    def spend(self, token: str, now: float) -> bool:
        """Use a token up. False: it never was one, is expired, or was used before."""
        self._forget_expired(now)
        return self._expiries.pop(_digest(token), None) is not None

    def room_in(self, now: float) -> float:
        """Return the seconds until `mint` has a token at the latest."""
        oldest = next(iter(self._expiries.values()), -math.inf)
        return max(0.0, oldest - now) if len(self._expiries) >= self._most else 0.0

    def _forget_expired(self, now: float) -> None:
        while self._expiries:
            digest, expiry = next(iter(self._expiries.items()))
            if expiry > now:
                return
            del self._expiries[digest]


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
