"""The settings of a command from all places together, with a line for whatever is odd about those places."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TypeVar

import attrs

from .config_file import CONFIG_VARIABLE, ConfigFile, find_config
from .entry import Setting, settings_of
from .kinds import Text
from .table import Reading, read_settings
from .unknown import unknown_credentials, unknown_keys, unknown_variables

__all__ = ["CONFIG", "load_settings", "oddities_of_places"]

SettingsT = TypeVar("SettingsT", bound=attrs.AttrsInstance)

CONFIG = Setting(
    name="config",
    variables=(CONFIG_VARIABLE,),
    flag="--config",
    kind=Text("FILE"),
    default="",
    about="Configuration file (TOML). Without one: ~/.config/trio-runner/config.toml, else"
    " /etc/trio-runner/config.toml, if it exists.",
    group="Configuration",
)
"""Where the configuration file is: the one thing that cannot stand in it."""


def load_settings(
    cls: type[SettingsT], table: str, flags: Mapping[str, str | bool], environ: Mapping[str, str]
) -> Reading[SettingsT]:
    """Read the settings of a command from its flags, the environment, credentials and the configuration file.

    Args:
        cls: the table of the command.
        table: the name of its part of the configuration file.
        flags: what was given on the command line, by field name; ``config`` names the configuration file.
        environ: the environment.

    Raises:
        ConfigError: a value is wrong or unreadable; one line that names the place.
    """
    named = flags.get(CONFIG.name)
    config = find_config(named if isinstance(named, str) else None, environ)
    reading = read_settings(cls, flags, environ, config.table(table) if config else None)
    return attrs.evolve(reading, warnings=tuple(oddities_of_places(reading, config, environ)))


def oddities_of_places(
    reading: Reading[SettingsT], config: ConfigFile | None, environ: Mapping[str, str]
) -> Iterator[str]:
    """Yield a line for each thing that is given in vain, or where others may read it.

    Args:
        reading: what was read.
        config: the configuration file, if there is one.
        environ: the environment.
    """
    for entry in settings_of(type(reading.settings)):
        if entry.warn_if_empty and entry.name in reading.empties:
            yield f"{reading.empties[entry.name]} is set but empty: {entry.warn_if_empty}"
        origin = reading.origins.get(entry.name, "")
        if entry.secret and config is not None and config.exposed and _in_file(origin, config):
            yield f"{origin} holds a secret that others may read; chmod 600 the file, or use {entry.key}-file"
    if config is not None:
        yield from unknown_keys(config)
    yield from unknown_variables(environ)
    yield from unknown_credentials(environ)


def _in_file(origin: str, config: ConfigFile) -> bool:
    return origin.startswith(f"{config.path}: ") and not origin.endswith("file")
