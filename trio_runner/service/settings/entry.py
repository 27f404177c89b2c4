"""One setting: where it may be given, what its text may be, what it does; and how a table declares it."""

from __future__ import annotations

from typing import Any

import attrs

from .kinds import Kind

__all__ = ["Setting", "setting", "settings_of"]

_KEY = "trio_runner.setting"


@attrs.frozen(kw_only=True)
class Setting:
    """One setting of one command.

    Attributes:
        name: the field it fills; with dashes for underscores, the key in a configuration file.
        variables: environment variables, the one that wins first.
        flag: the command-line flag, with its dashes; booleans get a ``--no-`` twin.
        kind: what its text may be.
        default: its value when nobody gives one.
        about: what it does, one line, with the unit where there is one.
        group: heading on the help screen.
        secret: never shown, never handed on; may also be given by ``{flag}-file``, by ``{key}-file`` in a
            configuration file, or as a credential of the service manager.
        from_file: ``{NAME}_FILE`` is looked at too.
        empty_counts: an empty text is a value.
        warn_if_empty: what it means that an empty text was given; empty: nothing that deserves a warning.
        default_text: what to show as the default where the value itself says little.
        live: a running daemon takes a new value at SIGHUP; else it needs a restart.
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
    warn_if_empty: str = ""
    default_text: str | None = None
    live: bool = False

    @property
    def key(self) -> str:
        """The name in a configuration file, and of a credential."""
        return self.name.replace("_", "-")

    @property
    def keys(self) -> tuple[str, ...]:
        """The names that a configuration file may use: its own, and that of the flag."""
        return tuple(dict.fromkeys((self.key, self.flag.removeprefix("--"))))

    def shown_default(self) -> str:
        """Return the default as help screens and tables show it; empty if there is nothing to show."""
        return self.kind.show(self.default) if self.default_text is None else self.default_text


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
