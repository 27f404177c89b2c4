"""The configuration file: where it is looked for, what may stand in it, and how its values are read.

The file is TOML with one table for each command. A value is written as TOML has it (a number, a truth, a list
of names) or as the text that a variable would hold; either way the kind of the setting decides what is good.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import date, datetime, time
from pathlib import Path

import attrs

from ...errors import ConfigError
from .entry import Setting
from .kinds import Boolean, CertificateFile, Kind, Presence, quoted_path

__all__ = ["CONFIG_VARIABLE", "ConfigFile", "FileTable", "FileValue", "find_config", "search_path"]

CONFIG_VARIABLE = "TRIO_RUNNER_CONFIG"
_SYSTEM_WIDE = "/etc/trio-runner/config.toml"
# A configuration is a few kilobytes; more is a wrong path.
_LARGEST_FILE = 1024 * 1024
_READABLE_BY_OTHERS = 0o044


@attrs.frozen
class FileValue:
    """What a configuration file says about one setting.

    Attributes:
        origin: file, table and key, as messages name them.
        value: the text, or a truth.
        is_list: it was written as a list.
        is_path: it is the path of a file that holds the value.
    """

    origin: str
    value: str | bool = attrs.field(repr=False)
    is_list: bool = False
    is_path: bool = False


@attrs.frozen
class FileTable:
    """The part of a configuration file that is for one command.

    Attributes:
        path: the file.
        name: the table.
        values: what the table holds, by key.
        exposed: others than its owner may read the file.
    """

    path: Path
    name: str
    values: Mapping[str, object] = attrs.field(repr=False)
    exposed: bool = False

    def find(self, entry: Setting) -> FileValue | None:
        """Return what is said about a setting.

        Raises:
            ConfigError: it is said twice, or is of a type that no setting has.
        """
        spelled = {key: key.replace("_", "-") for key in self.values}
        plain = [key for key in spelled if spelled[key] in entry.keys]
        paths = [key for key in spelled if entry.secret and spelled[key] in _file_keys(entry)]
        if len(plain + paths) > 1:
            both = " and ".join((plain + paths)[:2])
            raise ConfigError(f"{self.path}: [{self.name}] {both} are one setting; keep one of them")
        for key in plain + paths:
            value = self.values[key]
            origin = self.origin(key)
            text = _text(origin, entry.kind, value)
            if isinstance(entry.kind, CertificateFile) and isinstance(text, str) and text:
                text = self.resolve(text)
            return FileValue(origin, text, is_list=isinstance(value, list), is_path=key in paths)
        return None

    def origin(self, key: str) -> str:
        """Return what messages call a key."""
        return f"{self.path}: [{self.name}] {key}"

    def resolve(self, path: str) -> str:
        """Return a path that stands in the file: a relative one begins at the file's own directory."""
        return str(self.path.parent / path)

    def known_keys(self, entries: tuple[Setting, ...]) -> frozenset[str]:
        """Return every key that may stand here, with dashes."""
        return frozenset(
            key for entry in entries for key in (*entry.keys, *(_file_keys(entry) if entry.secret else ()))
        )


@attrs.frozen
class ConfigFile:
    """A configuration file that has been read.

    Attributes:
        path: the file, absolute.
        tables: what it holds, by table.
        exposed: others than its owner may read it.
    """

    path: Path
    tables: Mapping[str, object] = attrs.field(repr=False)
    exposed: bool = False

    @classmethod
    def load(cls, path: Path, *, named_by: str = "") -> ConfigFile:
        """Read a file.

        Args:
            path: the file.
            named_by: the flag or variable that named it, for messages.

        Raises:
            ConfigError: it cannot be read or is not TOML; one line with the place in the file.
        """
        import tomllib  # only for those who have such a file

        prefix = f"{named_by}: " if named_by else ""
        try:
            with path.open("rb") as file:
                data = file.read(_LARGEST_FILE + 1)
                mode = os.fstat(file.fileno()).st_mode
            if len(data) > _LARGEST_FILE:
                raise ConfigError(f"{prefix}{path} is larger than 1 MiB; name a configuration file")
            tables = tomllib.loads(data.decode())
        except UnicodeDecodeError:
            raise ConfigError(f"{prefix}{path} is not UTF-8 text; write the configuration as TOML") from None
        except tomllib.TOMLDecodeError as exc:
            raise ConfigError(f"{prefix}{path} is not TOML: {_one_line(exc)}; mend that line") from None
        except (OSError, ValueError) as exc:
            why = getattr(exc, "strerror", None) or exc
            raise ConfigError(
                f"{prefix}cannot read {quoted_path(str(path))} ({why}); name a readable file"
                " or take the setting away"
            ) from None
        return cls(path.absolute(), tables, exposed=bool(mode & _READABLE_BY_OTHERS))

    def table(self, name: str) -> FileTable:
        """Return the part for one command; empty if there is none.

        Raises:
            ConfigError: there is a value of that name where a table should be.
        """
        values = self.tables.get(name, {})
        if not isinstance(values, dict):
            raise ConfigError(f"{self.path}: {name} must be a table; write [{name}] and its settings below")
        return FileTable(self.path, name, values, self.exposed)


def search_path(environ: Mapping[str, str]) -> tuple[Path, ...]:
    """Return where a configuration file is looked for if none is named; the first that exists is read.

    Never in the working directory: whoever may write there is not always whoever may decide here.
    """
    home = environ.get("HOME", "")
    base = environ.get("XDG_CONFIG_HOME", "")
    if not base.startswith("/"):  # the specification has relative ones ignored
        base = f"{home}/.config" if home.startswith("/") else ""
    own = (Path(base, "trio-runner", "config.toml"),) if base else ()
    return (*own, Path(_SYSTEM_WIDE))


def find_config(flag: str | None, environ: Mapping[str, str]) -> ConfigFile | None:
    """Return the configuration file: the named one, else the first of the search path that exists.

    Args:
        flag: what ``--config`` names, if it was given.
        environ: the environment.

    Raises:
        ConfigError: the file cannot be read or is not TOML.
    """
    for named_by, path in (("--config", flag), (CONFIG_VARIABLE, environ.get(CONFIG_VARIABLE))):
        if path is not None and path.strip():
            return ConfigFile.load(Path(path.strip()), named_by=named_by)
    for candidate in search_path(environ):
        if os.path.lexists(candidate):
            return ConfigFile.load(candidate)
    return None


def _file_keys(entry: Setting) -> tuple[str, ...]:
    return tuple(f"{key}-file" for key in entry.keys)


def _text(origin: str, kind: Kind, value: object) -> str | bool:
    """Return a value of a TOML file as the text that a variable would hold, or as a truth.

    Raises:
        ConfigError: no setting of this kind has such a type.
    """
    match value:
        case str():
            return value
        case bool():
            return value if isinstance(kind, Boolean | Presence) else str(value).lower()
        case int() | float() if kind.from_number:
            return repr(value)
        case list() if kind.plural and all(isinstance(item, str) for item in value):
            return ",".join(value)
        case list() if kind.plural:
            raise ConfigError(f'{origin}: the list holds more than texts; write ["one", "two"]')
    raise ConfigError(f"{origin}: {_type_name(value)} is not understood here; {_wanted(kind)}")


def _wanted(kind: Kind) -> str:
    if isinstance(kind, Boolean | Presence):
        return "write true or false"
    if kind.plural:
        return 'write a text, or a list such as ["one", "two"]'
    return "write a number or a text" if kind.from_number else "write a text in quotes"


def _type_name(value: object) -> str:
    names: tuple[tuple[type | tuple[type, ...], str], ...] = (
        (list, "a list"),
        (dict, "a table"),
        ((date, datetime, time), "a date or time"),
        ((int, float), "a number"),
    )
    return next((name for types, name in names if isinstance(value, types)), "that")


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
