"""What happens in a broker, as values. They hold no payloads and no tokens."""

from __future__ import annotations

import attrs

__all__ = [
    "BrokerTaskEnded",
    "MatchDeclined",
    "PeerJoined",
    "PeerLeft",
    "PeerRefused",
    "RequestAccepted",
    "RequestEnqueued",
    "RequestGivenUp",
    "RequestMatched",
]


@attrs.frozen
class PeerJoined:
    """A runner or requester is connected and known. `role` is ``runner`` or ``requester``."""

    role: str
    peer_id: str
    name: str
    task_types: tuple[str, ...]


@attrs.frozen
class PeerLeft:
    """A runner or requester is gone; `tasks_failed` of its tasks were failed at once."""

    role: str
    peer_id: str
    why: str
    tasks_failed: int


@attrs.frozen
class PeerRefused:
    """A connection or token request was refused."""

    address: str
    status: int
    why: str


@attrs.frozen
class RequestEnqueued:
    """A request waits: no unexpired offer of its type is open.

    Attributes:
        request_id, task_type: which one.
        waiting: requests of the type that wait now.
        runners: connected runners that serve the type.
        running: tasks of the type that those runners hold now.
    """

    request_id: str
    task_type: str
    waiting: int
    runners: int = 0
    running: int = 0


@attrs.frozen
class RequestMatched:
    """A request was matched with an offer."""

    request_id: str
    task_id: str
    task_type: str
    runner_id: str
    waited: float


@attrs.frozen
class RequestAccepted:
    """A runner took the request it was matched with; `waited` is seconds from its arrival until then."""

    request_id: str
    task_id: str
    task_type: str
    runner_id: str
    waited: float


@attrs.frozen
class MatchDeclined:
    """A match came to nothing, and its request, if it is still wanted, is matched again.

    Attributes:
        request_id, task_id, task_type, runner_id: what and with whom.
        how: ``expired`` (the runner no longer honoured the offer), ``full``, ``draining``, ``rejected`` (for
            another reason), ``deferred``, ``missed`` (no answer in time) or ``runner-lost``.
        reason: what the runner said; empty if it said nothing.
        waited: seconds since the request arrived.
    """

    request_id: str
    task_id: str
    task_type: str
    runner_id: str
    how: str
    reason: str
    waited: float


@attrs.frozen
class RequestGivenUp:
    """A request ended before any runner took it.

    Attributes:
        request_id, task_type: which one.
        reason: ``timeout``, ``no-runner``, ``draining``, ``queue-full``, ``cancelled`` or ``requester-left``.
        waited: seconds since it arrived.
        runners: connected runners that serve its type.
        running: tasks of its type that those runners hold.
        declines: how many matches of it came to nothing.
        last_decline: how the last of them did, as in `MatchDeclined.how`; empty if there was none.
    """

    request_id: str
    task_type: str
    reason: str
    waited: float = 0.0
    runners: int = 0
    running: int = 0
    declines: int = 0
    last_decline: str = ""


@attrs.frozen
class BrokerTaskEnded:
    """An accepted task has ended.

    `outcome`: ``done``, ``error``, ``cancelled``, ``runner-lost``, ``no-settings`` or ``timeout``; `seconds`
    from accept to end.
    """

    task_id: str
    task_type: str
    outcome: str
    seconds: float
