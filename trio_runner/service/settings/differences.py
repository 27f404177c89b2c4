"""What differs between two readings of the settings, and what of that takes effect without a restart."""

from __future__ import annotations

from typing import Any, TypeVar, cast

import attrs

from .entry import Setting, settings_of

__all__ = ["Difference", "differences", "in_force"]

SettingsT = TypeVar("SettingsT", bound=attrs.AttrsInstance)


@attrs.frozen
class Difference:
    """A setting whose value has changed.

    Attributes:
        entry: the setting.
        before: the value that was in force, as people write it; ``***`` for a secret.
        after: the new one, likewise.
    """

    entry: Setting
    before: str
    after: str

    def told(self) -> str:
        """Return one line about it."""
        if self.entry.live:
            return f"{self.entry.key} is now {self.after}, was {self.before}"
        return (
            f"{self.entry.key} cannot change while the daemon runs: it stays {self.before} until a restart"
            f" makes it {self.after}"
        )


def differences(before: SettingsT, after: SettingsT) -> tuple[Difference, ...]:
    """Return what differs between the settings in force and new ones, in the order of the table."""
    return tuple(
        Difference(entry, _shown(entry, before), _shown(entry, after))
        for entry in settings_of(type(before))
        if getattr(before, entry.name) != getattr(after, entry.name)
    )


def in_force(before: SettingsT, after: SettingsT) -> SettingsT:
    """Return the settings that are in force once new ones have been taken: some keep their old value."""
    fixed = {entry.name: getattr(before, entry.name) for entry in settings_of(type(before)) if not entry.live}
    changed: Any = after
    return cast("SettingsT", attrs.evolve(changed, **fixed))


def _shown(entry: Setting, settings: attrs.AttrsInstance) -> str:
    value = getattr(settings, entry.name)
    if entry.secret:
        return "***" if value else "not set"
    if value == entry.default:
        return entry.shown_default() or "not set"
    return entry.kind.show(value) or "empty"
