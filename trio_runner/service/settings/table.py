"""The table of settings and how it is read: flag, then TRIO_RUNNER_*, then N8N_*, then the default.

Theory of operation. A command's settings are the fields of one attrs class, each made with `setting`, which
keeps its `Setting` in the field's metadata: that is the one table from which the flags, the reading of the
environment, the help screens and the tables in the documentation all come. A value is looked for in a fixed
order of places and the first place that holds one wins:

1. the flag, for secrets also ``--…-file``;
2. each variable in turn, TRIO_RUNNER_* first because it is the more specific name, and for each variable
   ``{NAME}`` before ``{NAME}_FILE``, the path of a file that holds the value.

Surrounding white space never counts, and an empty text is no value, so that ``VARIABLE=`` in a file of
settings means the default; a setting with `empty_counts` differs. Wherever a value came from is remembered,
so that an error can name the place that is to be mended.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Generic, TypeVar

import attrs

from ...errors import ConfigError
from .kinds import Kind, quoted

__all__ = [
    "Reading",
    "Setting",
    "markdown_table",
    "read_settings",
    "secret_variables",
    "setting",
    "settings_of",
]

SettingsT = TypeVar("SettingsT", bound=attrs.AttrsInstance)

_KEY = "trio_runner.setting"
# A value is a line or a list of names; more is a wrong path, such as a disk image or /dev/zero.
_LARGEST_FILE = 1024 * 1024


@attrs.frozen(kw_only=True)
class Setting:
    """One setting of one command.

    Attributes:
        name: the field it fills.
        variables: environment variables, the one that wins first.
        flag: the command-line flag, with its dashes; booleans get a ``--no-`` twin.
        kind: what its text may be.
        default: its value when nobody gives one.
        about: what it does, one line, with the unit where there is one.
        group: heading on the help screen.
        secret: never shown, never handed on; may also be given by ``{flag}-file``.
        from_file: ``{NAME}_FILE`` is looked at too.
        empty_counts: an empty text is a value.
        default_text: what to show as the default where the value itself says little.
    """

    name: str = ""
    variables: tuple[str, ...]
    flag: str
    kind: Kind
    default: object
    about: str
    group: str
    secret: bool = False
    from_file: bool = True
    empty_counts: bool = False
    default_text: str | None = None

    def shown_default(self) -> str:
        """Return the default as help screens and tables show it; empty if there is nothing to show."""
        return self.kind.show(self.default) if self.default_text is None else self.default_text


@attrs.frozen
class Reading(Generic[SettingsT]):
    """Settings as they were read.

    Attributes:
        settings: the values.
        origins: for every setting that was given, the flag or variable that gave it.
    """

    settings: SettingsT
    origins: Mapping[str, str]

    def label(self, name: str) -> str:
        """Return what to call a setting in a message: where it was given, else its variable."""
        table = {entry.name: entry for entry in settings_of(type(self.settings))}
        return self.origins.get(name, table[name].variables[-1])


def setting(
    *variables: str,
    flag: str,
    kind: Kind,
    default: object,
    about: str,
    group: str,
    **more: Any,
) -> Any:
    """Declare a field of a settings class. Args as in `Setting`."""
    entry = Setting(
        variables=variables, flag=flag, kind=kind, default=default, about=about, group=group, **more
    )
    return attrs.field(default=default, repr=not entry.secret, metadata={_KEY: entry})


def settings_of(cls: type[attrs.AttrsInstance]) -> tuple[Setting, ...]:
    """Return the table of a settings class, in the order of its fields."""
    return tuple(
        attrs.evolve(field.metadata[_KEY], name=field.name)
        for field in attrs.fields(cls)
        if _KEY in field.metadata
    )


def secret_variables(*classes: type[attrs.AttrsInstance]) -> frozenset[str]:
    """Return the names of all variables that hold a secret or the path of one."""
    names = [
        name for cls in classes for entry in settings_of(cls) if entry.secret for name in entry.variables
    ]
    return frozenset(names) | frozenset(f"{name}_FILE" for name in names)


def read_settings(
    cls: type[SettingsT], flags: Mapping[str, str | bool], environ: Mapping[str, str]
) -> Reading[SettingsT]:
    """Read every setting of a command.

    Args:
        cls: a class whose fields were made with `setting`.
        flags: what was given on the command line, by field name; what ``--…-file`` named
            under ``{name}_file``.
        environ: the environment.

    Raises:
        ConfigError: a value is wrong or unreadable; one line that names the flag or variable.
    """
    values: dict[str, Any] = {}
    origins: dict[str, str] = {}
    for entry in settings_of(cls):
        found = _find(entry, flags, environ)
        if found is not None:
            origins[entry.name], values[entry.name] = found
    return Reading(cls(**values), origins)


def markdown_table(cls: type[attrs.AttrsInstance]) -> str:
    """Return the settings of a command as a Markdown table, for the documentation."""
    rows = ["| variable | flag | default | meaning |", "| --- | --- | --- | --- |"]
    for entry in settings_of(cls):
        variables = ", ".join(f"`{name}`" for name in reversed(entry.variables))
        default = f"`{entry.shown_default()}`" if entry.shown_default() else ""
        rows.append(f"| {variables} | `{entry.flag}` | {default} | {entry.about} |")
    return "\n".join(rows) + "\n"


def _find(
    entry: Setting, flags: Mapping[str, str | bool], environ: Mapping[str, str]
) -> tuple[str, object] | None:
    """Return where the value of a setting was found, and the value."""
    for origin, given in _places(entry, flags, environ):
        if isinstance(given, bool):
            return origin, given
        text = given.strip()
        if not text and not entry.empty_counts:
            continue
        try:
            return origin, entry.kind.parse(text)
        except ValueError as exc:
            raise ConfigError(f"{origin}: {exc}") from None
    return None


def _places(
    entry: Setting, flags: Mapping[str, str | bool], environ: Mapping[str, str]
) -> Iterator[tuple[str, str | bool]]:
    """Yield what is given for a setting, and where, in the order in which it counts."""
    file_flag = f"{entry.name}_file"
    if entry.name in flags and file_flag in flags:
        raise ConfigError(f"{entry.flag} and {entry.flag}-file are both given; give one of them")
    if entry.name in flags:
        yield entry.flag, flags[entry.name]
    if file_flag in flags:
        yield f"{entry.flag}-file", _read(f"{entry.flag}-file", str(flags[file_flag]), entry)
    for name in entry.variables:
        if name in environ:
            yield name, environ[name]
        path = environ.get(f"{name}_FILE", "").strip() if entry.from_file else ""
        if path:
            yield f"{name}_FILE", _read(f"{name}_FILE", path, entry)


def _read(origin: str, path: str, entry: Setting) -> str:
    """Return the text of a file that holds a value."""
    try:
        with Path(path).open("rb") as file:
            data = file.read(_LARGEST_FILE + 1)
        text = data.decode().strip()
    except (OSError, ValueError) as exc:
        why = (
            "it is not UTF-8 text"
            if isinstance(exc, UnicodeDecodeError)
            else getattr(exc, "strerror", None) or exc
        )
        raise ConfigError(
            f"{origin}: cannot read {quoted(path)} ({why}); name a readable text file or unset it"
        ) from None
    if len(data) > _LARGEST_FILE:
        raise ConfigError(
            f"{origin}: {quoted(path)} is larger than 1 MiB; name a file that holds only the value"
        )
    if entry.secret and not text:
        raise ConfigError(f"{origin}: {quoted(path)} is empty; write the secret into it or unset it")
    return text
