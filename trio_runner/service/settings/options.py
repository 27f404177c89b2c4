"""From the table of settings to command-line options, and help screens that group them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import groupby
from typing import Any, TypeVar

import attrs
import click
from click.core import ParameterSource
from click.formatting import wrap_text

from ...errors import ConfigError
from ..exits import ExitCode
from .kinds import Boolean, Presence
from .loading import CONFIG, load_settings
from .table import Reading, Setting, settings_of

__all__ = ["BadSetting", "SettingsCommand", "flags_given", "options_for", "settings_for"]

SettingsT = TypeVar("SettingsT", bound=attrs.AttrsInstance)

# Where the second column of a help screen begins.
_COLUMN = 26


class SettingOption(click.Option):
    """An option made from a setting. Its text is handed on as it is: settings are parsed in one place.

    Attributes:
        entry: the setting.
        shown: the option as the help screen shows it.
        about: what it does and its default.
        variable: the environment variable to name beside it, or empty.
    """

    def __init__(
        self, entry: Setting, names: list[str], *, shown: str, about: str, variable: str = "", **more: Any
    ) -> None:
        super().__init__(names, default=None, **more)
        self.entry = entry
        self.shown = shown
        self.about = about
        self.variable = variable


class SettingsCommand(click.Command):
    """A command whose help screen shows its options under the headings of their settings."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the command line; an error always says which command it was."""
        try:
            return super().parse_args(ctx, args)
        except click.UsageError as exc:
            exc.ctx = exc.ctx or ctx
            raise

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; a wrong setting becomes an error that says which command it was."""
        try:
            return super().invoke(ctx)
        except ConfigError as exc:
            raise BadSetting(str(exc), ctx) from None

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write one section per heading, then the options that come from no setting."""
        options = [param for param in self.get_params(ctx) if isinstance(param, SettingOption)]
        for heading, members in groupby(options, key=lambda option: option.entry.group):
            with formatter.section(heading):
                for option in members:
                    _write_option(formatter, option)
        with formatter.section("Other"):
            for param in self.get_params(ctx):
                if (
                    isinstance(param, click.Option)
                    and not isinstance(param, SettingOption)
                    and not param.is_eager
                ):
                    formatter.write(f"  {param.opts[0]:<{_COLUMN - 2}}{param.help}\n")
            formatter.write(f"{'  --help, -h':<{_COLUMN}}Show this message and exit.\n")


class BadSetting(click.ClickException):
    """A setting is wrong. The message names it; nothing was started."""

    exit_code = ExitCode.BAD_SETTINGS

    def __init__(self, message: str, ctx: click.Context) -> None:
        super().__init__(message)
        self.ctx = ctx


def options_for(cls: type[attrs.AttrsInstance]) -> list[click.Parameter]:
    """Return the options of a settings class in the order of its table, and ``--config``."""
    return [option for entry in (*settings_of(cls), CONFIG) for option in _options(entry)]


def settings_for(
    cls: type[SettingsT], table: str, ctx: click.Context, environ: Mapping[str, str]
) -> Reading[SettingsT]:
    """Return the settings of a command that was called; see `load_settings`.

    Raises:
        ConfigError: a value is wrong or unreadable; one line that names the place.
    """
    return load_settings(cls, table, flags_given(ctx), environ)


def flags_given(ctx: click.Context) -> dict[str, str | bool]:
    """Return what was given on the command line, by the name of the setting."""
    return {
        name: value
        for name, value in ctx.params.items()
        if ctx.get_parameter_source(name) is ParameterSource.COMMANDLINE
    }


def _options(entry: Setting) -> Iterator[SettingOption]:
    default = entry.shown_default()
    facts = {
        "about": f"{entry.about}  [default: {default}]" if default else entry.about,
        "variable": entry.variables[-1],
    }
    names = [entry.name, entry.flag]
    bare = entry.flag.removeprefix("--")
    if isinstance(entry.kind, Presence):
        yield SettingOption(entry, names, shown=entry.flag, is_flag=True, **facts)
    elif isinstance(entry.kind, Boolean):
        both = [entry.name, f"{entry.flag}/--no-{bare}"]
        yield SettingOption(entry, both, shown=f"--[no-]{bare}", is_flag=True, **facts)
    else:
        yield SettingOption(entry, names, shown=f"{entry.flag} {entry.kind.metavar}", type=str, **facts)
    if entry.secret:
        about = "The same, read from a file."
        names = [f"{entry.name}_file", f"{entry.flag}-file"]
        yield SettingOption(entry, names, shown=f"{entry.flag}-file FILE", about=about, type=str)


def _write_option(formatter: click.HelpFormatter, option: SettingOption) -> None:
    """Write an option in two columns: its name; what it does and, below that, its variable."""
    head = f"  {option.shown}"
    if len(head) > _COLUMN - 2:
        formatter.write(f"{head}\n")
        head = ""
    margin = " " * _COLUMN
    formatter.write(f"{wrap_text(option.about, formatter.width, f'{head:<{_COLUMN}}', margin)}\n")
    if option.variable:
        formatter.write(f"{margin}{option.variable}\n")
