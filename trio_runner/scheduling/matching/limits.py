"""The limits that a broker holds its peers to."""

from __future__ import annotations

import attrs

__all__ = ["MatchingLimits"]


@attrs.frozen(kw_only=True)
class MatchingLimits:
    """Time limits and bounds of the matching. The defaults are the protocol's; who sets others checks them.

    Attributes:
        accept_timeout: seconds in which a runner must answer an accept.
        settings_timeout: seconds in which a requester must send the settings of a ready task.
        request_timeout: seconds in which a request must be accepted by a runner.
        execution_timeout: seconds from the settings to the end of a task.
        max_strikes: accepts that a runner may leave unanswered in a row before it is dropped.
        max_waiting: requests that may wait at once, of all task types together.
        max_open_offers: offers that one runner may have open at once.
    """

    accept_timeout: float = 2.0
    settings_timeout: float = 2.0
    request_timeout: float = 60.0
    execution_timeout: float = 300.0
    max_strikes: int = 3
    max_waiting: int = 10_000
    max_open_offers: int = 10_000
