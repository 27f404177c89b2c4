"""Taking new settings into a daemon that runs: they are read again, and what can change changes.

A configuration that cannot be used is refused whole, in one line, and the old one goes on. Everything that
did change is told, and everything that has to wait for a restart.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from typing import Generic, TypeVar

import attrs

from ..logs.logger import LOG
from ..settings.differences import differences, in_force
from ..settings.entry import settings_of
from ..settings.table import Reading

__all__ = ["Reloader"]

SettingsT = TypeVar("SettingsT", bound=attrs.AttrsInstance)


class Reloader(Generic[SettingsT]):
    """Reads the settings of a daemon again and has them applied.

    Args:
        reading: the settings that are in force.
        read: reads them again, from the places they came from.
        apply: puts them into effect, as far as they can change; raises `ConfigError` and changes nothing if
            they cannot be used.
        oddities: what is odd about settings, one line each.
        hide: told of the secrets among them before anything is logged.
    """

    def __init__(
        self,
        reading: Reading[SettingsT],
        *,
        read: Callable[[], Reading[SettingsT]],
        apply: Callable[[Reading[SettingsT]], Awaitable[None]],
        oddities: Callable[[Reading[SettingsT]], Iterator[str]],
        hide: Callable[[tuple[str, ...]], None],
    ) -> None:
        self._settings = reading.settings
        self._read = read
        self._apply = apply
        self._oddities = oddities
        self._hide = hide
        self._told = frozenset(oddities(reading))

    async def reload(self) -> None:
        """Take the settings as they are now.

        Raises:
            ConfigError: they cannot be used; everything stays as it was.
        """
        reading = self._read()
        settings = reading.settings
        self._hide(
            tuple(str(getattr(settings, entry.name)) for entry in settings_of(type(settings)) if entry.secret)
        )
        odd = tuple(self._oddities(reading))
        await self._apply(reading)
        self._tell(settings, odd)
        self._settings = in_force(self._settings, settings)
        self._told = frozenset(odd)

    def _tell(self, settings: SettingsT, odd: tuple[str, ...]) -> None:
        log = LOG
        different = differences(self._settings, settings)
        for difference in different:
            (log.info if difference.entry.live else log.warning)(difference.told())
        for line in odd:
            if line not in self._told:
                log.warning(line)
        if not different:
            log.info("The settings are as they were")
