"""Every setting of a command with its value and its source, and all that is wrong or odd about them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import attrs

from ...errors import ConfigError
from ..settings.broker import BrokerSettings, broker_config
from ..settings.commands import TABLES
from ..settings.config_file import ConfigFile, find_config, search_path
from ..settings.entry import Setting, settings_of
from ..settings.loading import CONFIG, oddities_of_places
from ..settings.places import Places
from ..settings.run import RunSettings
from ..settings.run_config import oddities, runner_config
from ..settings.table import Reading, find_value

__all__ = ["Effective", "EffectiveSetting", "effective"]

_HIDDEN = "***"


@attrs.frozen
class EffectiveSetting:
    """One setting as it is in force.

    Attributes:
        entry: the setting.
        value: its value, ``***`` for a secret that is set.
        source: the place that gave it, or ``default``.
        error: what is wrong with what was given; empty if nothing is.
    """

    entry: Setting
    value: object
    source: str = "default"
    error: str = ""

    @property
    def is_default(self) -> bool:
        """Nobody gave it a value."""
        return self.source == "default"

    def shown(self) -> str:
        """Return the value as people write it."""
        if self.error:
            return "?"
        if self.entry.secret and self.value:
            return _HIDDEN
        if self.is_default:
            return self.entry.shown_default() or "-"
        return self.entry.kind.show(self.value) or "(empty)"


@attrs.frozen
class Effective:
    """All settings of a command.

    Attributes:
        command: which command.
        file: the configuration file that was read, if one was.
        searched: where one was looked for.
        settings: every setting, in the order of the table.
        errors: what keeps the command from starting, one line each.
        warnings: what is odd, one line each.
    """

    command: str
    file: Path | None
    searched: tuple[Path, ...]
    settings: tuple[EffectiveSetting, ...]
    errors: tuple[str, ...]
    warnings: tuple[str, ...]


def effective(command: str, flags: Mapping[str, str | bool], environ: Mapping[str, str]) -> Effective:
    """Read the settings of a command without stopping at the first that is wrong.

    Args:
        command: a key of `TABLES`.
        flags: what was given on the command line, by field name.
        environ: the environment.
    """
    errors: list[str] = []
    config, places = _places(command, flags, environ, errors)
    empties: dict[str, str] = {}
    found = tuple(_one(entry, places, empties) for entry in settings_of(TABLES[command]))
    errors += [setting.error for setting in found if setting.error]
    given = [setting for setting in found if not setting.is_default and not setting.error]
    cls: Any = TABLES[command]
    reading: Reading[Any] = Reading(
        cls(**{setting.entry.name: setting.value for setting in given}),
        {setting.entry.name: setting.source for setting in given},
        empties,
    )
    reading = attrs.evolve(reading, warnings=tuple(oddities_of_places(reading, config, environ)))
    if not errors:
        errors += _contradictions(reading, environ)
    return Effective(
        command=command,
        file=config.path if config else None,
        searched=search_path(environ),
        settings=found,
        errors=tuple(errors),
        warnings=tuple(oddities(reading)) if isinstance(reading.settings, RunSettings) else reading.warnings,
    )


def _places(
    command: str, flags: Mapping[str, str | bool], environ: Mapping[str, str], errors: list[str]
) -> tuple[ConfigFile | None, Places]:
    """Return the configuration file and the places; one that cannot be read is an error, and left out."""
    named = flags.get(CONFIG.name)
    try:
        config = find_config(named if isinstance(named, str) else None, environ)
        table = config.table(command) if config else None
    except ConfigError as exc:
        errors.append(str(exc))
        config = table = None
    return config, Places(flags=flags, environ=environ, file=table)


def _one(entry: Setting, places: Places, empties: dict[str, str]) -> EffectiveSetting:
    try:
        found = find_value(entry, places, empties)
    except ConfigError as exc:
        return EffectiveSetting(entry, None, str(exc).partition(": ")[0], str(exc))
    return (
        EffectiveSetting(entry, entry.default)
        if found is None
        else EffectiveSetting(entry, found[1], found[0])
    )


def _contradictions(reading: Reading[Any], environ: Mapping[str, str]) -> Iterator[str]:
    """Yield why the settings together cannot be used."""
    try:
        if isinstance(reading.settings, RunSettings):
            runner_config(reading, environ)
        elif isinstance(reading.settings, BrokerSettings):
            broker_config(reading)
    except ConfigError as exc:
        yield str(exc)
