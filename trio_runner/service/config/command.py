"""The command ``trio-runner config`` with its two parts, ``show`` and ``example``."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Any

import click

from ..exits import ExitCode
from ..settings.commands import TABLES
from ..settings.options import SettingsCommand, flags_given, options_for

__all__ = ["config_command"]

_ABOUT = """\
Show the settings in force, or print a file to start from.
"""

_ABOUT_SHOW = """\
Show every setting of {command} with its value and its source.

Takes the flags of 'trio-runner {command}', reads what that would read, and starts nothing. Secrets are
not shown. A terminal gets a table, a pipe one line per setting; warnings and errors go to standard error.
"""

_EPILOG_SHOW = """\
\b
Exit codes:
  0  'trio-runner {command}' could start with these settings
  2  a setting is wrong, or settings contradict each other
"""

_CONTEXT = {"help_option_names": ["-h", "--help"]}


def _show(command: str, as_document: bool) -> int:
    flags = {
        name: value for name, value in flags_given(click.get_current_context()).items() if name != "json"
    }
    from ..terminal import open_console  # rich and the rest: only for a command that runs
    from .effective import effective
    from .rendering import as_json, as_lines, show_table

    found = effective(command, flags, os.environ)
    if as_document:
        click.echo(as_json(found))
    elif sys.stdout is not None and sys.stdout.isatty():
        show_table(found, open_console(sys.stdout))
    else:
        click.echo("\n".join(as_lines(found)))
    if not as_document:
        for kind, lines in (("warning", found.warnings), ("error", found.errors)):
            for line in lines:
                click.echo(f"{kind}: {line}", err=True)
    return ExitCode.BAD_SETTINGS if found.errors else ExitCode.DONE


def _show_command(command: str) -> click.Command:
    def callback(json: bool, **_: Any) -> int:
        return _show(command, json)

    return SettingsCommand(
        command,
        params=[*options_for(TABLES[command]), click.Option(["--json"], is_flag=True, help="As JSON.")],
        callback=callback,
        help=_ABOUT_SHOW.format(command=command),
        short_help=f"Settings of 'trio-runner {command}'.",
        epilog=_EPILOG_SHOW.format(command=command),
        context_settings=_CONTEXT,
    )


class _ShowGroup(click.Group):
    """Means ``run`` where no command is named."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put the usual command in front of flags that stand alone."""
        if not args or (args[0].startswith("-") and args[0] not in ("-h", "--help")):
            args = ["run", *args]
        return super().parse_args(ctx, args)


def _write_example(tables: tuple[str, ...]) -> None:
    from .example import example

    click.echo(example(tables or tuple(TABLES)))


def _show_help() -> None:
    ctx = click.get_current_context()
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


_callback: Callable[..., None] = _write_example
_show_group = _ShowGroup(
    "show",
    commands={command: _show_command(command) for command in TABLES},
    help="Show every setting with its value and its source; of 'run' if no command is named.",
    context_settings=_CONTEXT,
)
_example = click.Command(
    "example",
    params=[click.Argument(["tables"], nargs=-1, type=click.Choice(tuple(TABLES)), metavar="[COMMAND]...")],
    callback=_callback,
    help="Print a configuration file with every setting, its meaning and its default, commented out.",
    context_settings=_CONTEXT,
)
config_command = click.Group(
    "config",
    commands={"show": _show_group, "example": _example},
    invoke_without_command=True,
    callback=_show_help,
    help=_ABOUT,
    short_help="Show the settings in force, or print a file to start from.",
    context_settings=_CONTEXT,
)
