"""Requests, and the queue of those that wait for an offer."""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from .lazy_heap import LazyHeap

__all__ = ["Request", "RequestQueue"]


@attrs.define(eq=False)
class Request:
    """One task that a requester wants done and no runner has accepted yet.

    Attributes:
        request_id: the requester's name for it.
        task_type: which runners may take it.
        requester: number of the requester's connection.
        order: its place in the line, for good: a request that is matched in vain returns to where it was.
        arrived: when it came, seconds.
        deadline: when it is given up, seconds.
        attempt: id of the task that it is matched as just now; None while it waits.
        declines: matches of it that came to nothing.
        last_decline: how the last of them did; empty without one.
    """

    request_id: str
    task_type: str
    requester: int
    order: int
    arrived: float
    deadline: float
    attempt: str | None = None
    declines: int = 0
    last_decline: str = ""


class RequestQueue:
    """Waiting requests, a line per task type."""

    def __init__(self) -> None:
        self._lines: dict[str, LazyHeap[Request]] = {}
        self._deadlines: LazyHeap[Request] = LazyHeap()

    def __len__(self) -> int:
        return len(self._deadlines)

    def __contains__(self, request: Request) -> bool:
        return request in self._deadlines

    def add(self, request: Request) -> None:
        """Let a request wait at its place in the line."""
        self._lines.setdefault(request.task_type, LazyHeap()).push(request, request.order)
        self._deadlines.push(request, request.deadline)

    def take(self, task_type: str) -> Request | None:
        """Take out the request of a type that stands first; None if none waits."""
        line = self._lines.get(task_type)
        request = None if line is None else line.pop()
        if request is not None:
            self.remove(request)
        return request

    def remove(self, request: Request) -> None:
        """Take a request out, wherever it stands."""
        self._deadlines.discard(request)
        line = self._lines.get(request.task_type)
        if line is not None:
            line.discard(request)
            if not line:
                del self._lines[request.task_type]

    def take_due(self, now: float) -> Request | None:
        """Take out a request whose deadline has passed, the earliest first; None if there is none."""
        request = self._deadlines.pop_due(now)
        if request is not None:
            self.remove(request)
        return request

    def take_any(self) -> Request | None:
        """Take out a request, the one that would be given up first; None if none waits."""
        request = self._deadlines.pop()
        if request is not None:
            self.remove(request)
        return request

    def next_deadline(self) -> float:
        """Return when `take_due` has something; `math.inf`: never."""
        return self._deadlines.first()

    def size(self, task_type: str) -> int:
        """Return how many requests of a type wait."""
        return len(self._lines.get(task_type, ()))

    def oldest(self) -> Mapping[str, float]:
        """Return when the request came that has been waiting longest, by task type.

        That is the one that stands first: places are given in the order of arrival, and kept.
        """
        return {task_type: first.arrived for task_type, line in self._lines.items() if (first := line.peek())}

    def sizes(self) -> Mapping[str, int]:
        """Return how many requests wait, by task type."""
        return {task_type: len(line) for task_type, line in self._lines.items()}
