"""The table of settings and how it is read: flag, variable, credential, configuration file, default.

Theory of operation. A command's settings are the fields of one attrs class, each made with `setting`, which
keeps its `Setting` in the field's metadata: that is the one table from which the flags, the reading of the
environment and of files, the help screens and the documentation all come. A value is looked for in a fixed
order of places and the first place that holds one wins:

1. the flag, for secrets also ``--…-file``;
2. each variable in turn, TRIO_RUNNER_* first because it is the more specific name, and for each variable
   ``{NAME}`` before ``{NAME}_FILE``, the path of a file that holds the value;
3. for secrets, a credential of the service manager, which is for this service alone;
4. the configuration file, which may serve several.

Surrounding white space never counts, and an empty text is no value, so that ``VARIABLE=`` in a file of
settings means the default; a setting with `empty_counts` differs. Wherever a value came from is remembered,
so that an error can name the place that is to be mended.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Generic, TypeVar

import attrs

from ...errors import ConfigError
from .config_file import FileTable
from .entry import Setting, setting, settings_of
from .places import Places

__all__ = [
    "Reading",
    "Setting",
    "read_settings",
    "secret_variables",
    "setting",
    "settings_of",
]

SettingsT = TypeVar("SettingsT", bound=attrs.AttrsInstance)


@attrs.frozen
class Reading(Generic[SettingsT]):
    """Settings as they were read.

    Attributes:
        settings: the values.
        origins: for every setting that was given, the place that gave it: a flag, a variable, a credential,
            or file, table and key.
        empties: for every setting that was given as an empty text only, which place did.
        warnings: what else is odd about the places, one line each.
    """

    settings: SettingsT
    origins: Mapping[str, str]
    empties: Mapping[str, str] = attrs.field(factory=dict)
    warnings: tuple[str, ...] = ()

    def label(self, name: str) -> str:
        """Return what to call a setting in a message: where it was given, else its variable."""
        table = {entry.name: entry for entry in settings_of(type(self.settings))}
        return self.origins.get(name, table[name].variables[-1])


def secret_variables(*classes: type[attrs.AttrsInstance]) -> frozenset[str]:
    """Return the names of all variables that hold a secret or the path of one."""
    names = [
        name for cls in classes for entry in settings_of(cls) if entry.secret for name in entry.variables
    ]
    return frozenset(names) | frozenset(f"{name}_FILE" for name in names)


def read_settings(
    cls: type[SettingsT],
    flags: Mapping[str, str | bool],
    environ: Mapping[str, str],
    file: FileTable | None = None,
) -> Reading[SettingsT]:
    """Read every setting of a command.

    Args:
        cls: a class whose fields were made with `setting`.
        flags: what was given on the command line, by field name; what ``--…-file`` named
            under ``{name}_file``.
        environ: the environment.
        file: the part of a configuration file that is for the command.

    Raises:
        ConfigError: a value is wrong or unreadable; one line that names the place.
    """
    places = Places(flags=flags, environ=environ, file=file)
    values: dict[str, Any] = {}
    origins: dict[str, str] = {}
    empties: dict[str, str] = {}
    for entry in settings_of(cls):
        found = find_value(entry, places, empties)
        if found is not None:
            origins[entry.name], values[entry.name] = found
    return Reading(cls(**values), origins, empties)


def find_value(entry: Setting, places: Places, empties: dict[str, str]) -> tuple[str, object] | None:
    """Return the place that gives a setting its value, and the value; None if none does.

    Args:
        entry: the setting.
        places: where to look.
        empties: takes note of the first place that gives an empty text, which counts for nothing.

    Raises:
        ConfigError: the value is wrong or unreadable; one line that names the place.
    """
    passed_over = ""
    for given in places.holding(entry):
        if isinstance(given.value, bool):
            return given.origin, given.value
        text = given.value.strip()
        if not text and not entry.empty_counts and not given.final:
            passed_over = passed_over or given.origin
            continue
        try:
            return given.origin, entry.kind.parse(text)
        except ValueError as exc:
            raise ConfigError(f"{given.origin}: {exc}") from None
    if passed_over:
        empties[entry.name] = passed_over
    return None
