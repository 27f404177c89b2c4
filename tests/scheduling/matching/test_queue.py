"""The queue of waiting requests."""

from __future__ import annotations

import math

from trio_runner.scheduling.matching.queue import Request, RequestQueue


def make(order: int, task_type: str = "python", deadline: float = 60.0) -> Request:
    return Request(f"r{order}", task_type, 1, order, 0.0, deadline)


def test_a_line_per_type_in_the_order_of_places() -> None:
    queue = RequestQueue()
    third, first, other = make(3), make(1), make(2, "other")
    for request in (third, first, other):
        queue.add(request)
    assert queue.sizes() == {"python": 2, "other": 1}
    assert (len(queue), queue.size("python"), queue.size("none")) == (3, 2, 0)
    assert [queue.take("python"), queue.take("python"), queue.take("python")] == [first, third, None]
    assert queue.sizes() == {"other": 1}


def test_what_is_taken_out_is_not_due() -> None:
    queue = RequestQueue()
    soon, later = make(1, deadline=1.0), make(2, deadline=2.0)
    queue.add(soon)
    queue.add(later)
    assert queue.next_deadline() == 1.0
    queue.remove(soon)
    assert soon not in queue and later in queue
    assert queue.next_deadline() == 2.0
    assert queue.take_due(1.9) is None
    assert queue.take_due(2.0) is later
    assert queue.next_deadline() == math.inf
    assert queue.take("python") is None


def test_taking_all() -> None:
    queue = RequestQueue()
    for order in range(5):
        queue.add(make(order, task_type=str(order)))
    taken = []
    while (request := queue.take_any()) is not None:
        taken.append(request.order)
    assert taken == [0, 1, 2, 3, 4]
    assert queue.sizes() == {}
