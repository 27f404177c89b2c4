"""Values in groups, in the order they came: offers by task type, tasks by runner.

A group exists as long as it has a member, so whatever group names peers think up, memory follows the members.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable, Mapping
from typing import Generic, TypeVar

__all__ = ["Grouped"]

GroupT = TypeVar("GroupT", bound=Hashable)
KeyT = TypeVar("KeyT", bound=Hashable)
ValueT = TypeVar("ValueT")


class Grouped(Generic[GroupT, KeyT, ValueT]):
    """A mapping of mappings; every operation on one member is O(1)."""

    def __init__(self) -> None:
        # OrderedDict, because taking the first of a plain dict over and over is quadratic.
        self._groups: dict[GroupT, OrderedDict[KeyT, ValueT]] = {}

    def put(self, group: GroupT, key: KeyT, value: ValueT) -> None:
        """Add a member at the end of its group, or replace the one of the same key where it stands."""
        self._groups.setdefault(group, OrderedDict())[key] = value

    def get(self, group: GroupT, key: KeyT) -> ValueT | None:
        """Return a member; None if there is none."""
        members = self._groups.get(group)
        return None if members is None else members.get(key)

    def remove(self, group: GroupT, key: KeyT) -> ValueT | None:
        """Take a member out and return it; None if there is none."""
        members = self._groups.get(group)
        if members is None:
            return None
        value = members.pop(key, None)
        if not members:
            del self._groups[group]
        return value

    def first(self, group: GroupT) -> ValueT | None:
        """Return the member that came first; None for an empty group."""
        members = self._groups.get(group)
        return None if members is None else next(iter(members.values()))

    def members(self, group: GroupT) -> tuple[ValueT, ...]:
        """Return the members of a group, in the order they came."""
        return tuple(self._groups.get(group, {}).values())

    def size(self, group: GroupT) -> int:
        """Return how many members a group has."""
        return len(self._groups.get(group, ()))

    def sizes(self) -> Mapping[GroupT, int]:
        """Return how many members each group has that has any."""
        return {group: len(members) for group, members in self._groups.items()}

    def __len__(self) -> int:
        return sum(len(members) for members in self._groups.values())
