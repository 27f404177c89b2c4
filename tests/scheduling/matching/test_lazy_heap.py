"""The priority queue that can forget, against a sorted list."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from trio_runner.scheduling.matching.lazy_heap import LazyHeap


def drained(heap: LazyHeap[str]) -> list[str]:
    items = []
    while (item := heap.pop()) is not None:
        items.append(item)
    return items


def test_lowest_first_and_among_equals_the_earliest() -> None:
    heap: LazyHeap[str] = LazyHeap()
    for item, priority in [("late", 2.0), ("early", 1.0), ("early too", 1.0)]:
        heap.push(item, priority)
    assert heap.first() == 1.0
    assert len(heap) == 3
    assert drained(heap) == ["early", "early too", "late"]
    assert heap.first() == math.inf


def test_what_is_taken_out_never_comes() -> None:
    heap: LazyHeap[str] = LazyHeap()
    heap.push("a", 1)
    heap.push("b", 2)
    assert heap.discard("a")
    assert not heap.discard("a")
    assert "a" not in heap
    assert (heap.first(), drained(heap)) == (2, ["b"])


def test_pushing_again_moves() -> None:
    heap: LazyHeap[str] = LazyHeap()
    heap.push("a", 1)
    heap.push("b", 2)
    heap.push("a", 3)
    assert len(heap) == 2
    assert drained(heap) == ["b", "a"]


def test_only_what_is_due() -> None:
    heap: LazyHeap[str] = LazyHeap()
    heap.push("a", 1)
    heap.push("b", 2)
    assert heap.pop_due(0.9) is None
    assert heap.pop_due(1) == "a"
    assert heap.pop_due(1) is None


def test_memory_follows_what_is_in() -> None:
    heap: LazyHeap[str] = LazyHeap()
    heap.push("for ever", math.inf)
    for number in range(10_000):
        heap.push(str(number), 1e9 + number)
        heap.discard(str(number))
    assert len(heap._heap) < 100
    assert drained(heap) == ["for ever"]


OPERATIONS = st.lists(
    st.tuples(st.sampled_from(["push", "push", "discard", "pop"]), st.integers(0, 9), st.integers(0, 5))
)


@given(OPERATIONS)
def test_like_a_sorted_list(operations: list[tuple[str, int, int]]) -> None:
    heap: LazyHeap[int] = LazyHeap()
    model: list[tuple[int, int, int]] = []
    for step, (operation, item, priority) in enumerate(operations):
        if operation == "pop":
            expected = model.pop(0)[2] if model else None
            assert heap.pop() == expected
            continue
        present = any(entry[2] == item for entry in model)
        model = [entry for entry in model if entry[2] != item]
        if operation == "push":
            heap.push(item, priority)
            model = sorted([*model, (priority, step, item)])
        else:
            assert heap.discard(item) == present
        assert heap.first() == (model[0][0] if model else math.inf)
        assert len(heap) == len(model)
