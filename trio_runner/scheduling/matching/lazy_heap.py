"""A priority queue that can forget: what a broker keeps its deadlines and its waiting requests in.

Taking out an entry that is not the first only marks it; marked entries are dropped when they come to the
top, and the heap is built anew when they outnumber the live ones. So every operation is O(log n), amortised,
and memory follows the number of live entries.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Hashable
from typing import Generic, TypeVar

__all__ = ["LazyHeap"]

ItemT = TypeVar("ItemT", bound=Hashable)

# Rebuilding small heaps is not worth the bother: this many dead entries are always tolerated.
_SLACK = 64


class LazyHeap(Generic[ItemT]):
    """Items by priority, lowest first; among equals the one that was put in first."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, ItemT]] = []
        self._tickets: dict[ItemT, int] = {}
        self._next_ticket = 0

    def __len__(self) -> int:
        return len(self._tickets)

    def __contains__(self, item: ItemT) -> bool:
        return item in self._tickets

    def push(self, item: ItemT, priority: float) -> None:
        """Put an item in; one that is in already moves to the new priority."""
        self._tickets[item] = self._next_ticket
        heapq.heappush(self._heap, (priority, self._next_ticket, item))
        self._next_ticket += 1
        self._compact()

    def discard(self, item: ItemT) -> bool:
        """Take an item out, wherever it is. True if it was in."""
        found = self._tickets.pop(item, None) is not None
        self._compact()
        return found

    def first(self) -> float:
        """Return the lowest priority; `math.inf` if there is no item."""
        self._drop_dead()
        return self._heap[0][0] if self._heap else math.inf

    def peek(self) -> ItemT | None:
        """Return the first item, which stays in; None if there is none."""
        self._drop_dead()
        return self._heap[0][2] if self._heap else None

    def pop(self) -> ItemT | None:
        """Take out the first item; None if there is none."""
        self._drop_dead()
        if not self._heap:
            return None
        _, _, item = heapq.heappop(self._heap)
        del self._tickets[item]
        return item

    def pop_due(self, limit: float) -> ItemT | None:
        """Take out the first item if its priority is at most `limit`; None otherwise."""
        return self.pop() if self.first() <= limit else None

    def _drop_dead(self) -> None:
        while self._heap and self._tickets.get(self._heap[0][2]) != self._heap[0][1]:
            heapq.heappop(self._heap)

    def _compact(self) -> None:
        if len(self._heap) > 2 * len(self._tickets) + _SLACK:
            self._heap = [entry for entry in self._heap if self._tickets.get(entry[2]) == entry[1]]
            heapq.heapify(self._heap)
