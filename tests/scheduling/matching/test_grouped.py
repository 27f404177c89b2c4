"""Values in groups."""

from __future__ import annotations

from trio_runner.scheduling.matching.grouped import Grouped


def test_members_keep_the_order_they_came_in() -> None:
    grouped: Grouped[str, int, str] = Grouped()
    for key, value in [(2, "two"), (1, "one"), (3, "three")]:
        grouped.put("g", key, value)
    assert grouped.first("g") == "two"
    assert grouped.members("g") == ("two", "one", "three")
    assert grouped.remove("g", 2) == "two"
    assert grouped.first("g") == "one"
    assert (grouped.size("g"), len(grouped)) == (2, 2)


def test_a_group_without_members_is_gone() -> None:
    grouped: Grouped[str, int, str] = Grouped()
    grouped.put("g", 1, "one")
    grouped.put("h", 1, "other")
    assert grouped.sizes() == {"g": 1, "h": 1}
    assert grouped.remove("g", 1) == "one"
    assert grouped.sizes() == {"h": 1}


def test_what_is_not_there() -> None:
    grouped: Grouped[str, int, str] = Grouped()
    grouped.put("g", 1, "one")
    assert (grouped.get("g", 2), grouped.get("h", 1)) == (None, None)
    assert (grouped.remove("g", 2), grouped.remove("h", 1)) == (None, None)
    assert (grouped.first("h"), grouped.members("h"), grouped.size("h")) == (None, (), 0)
    assert grouped.get("g", 1) == "one"
