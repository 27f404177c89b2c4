"""The command ``trio-runner doctor``: reads the settings of a runner and tries its walls."""

from __future__ import annotations

import os
import sys

import click

from ..exits import ExitCode
from ..settings.options import SettingsCommand, options_for, settings_for
from ..settings.run import RunSettings

__all__ = ["doctor_command"]

_ABOUT = """\
Show which walls this machine has around tasks, and try to break through each.

Takes the settings of 'trio-runner run' from the same places; tokens and brokers are not needed. The walls are
raised as a runner would raise them, and a task in a throw-away process tries to get past each one.
"""

_EPILOG = """\
\b
States:
  tested       it stands, and an attempt to break through failed
  stands       it stands; it cannot be tried from inside
  missing      this machine does not have it; the remedy stands below
  broken       an attempt came through: do not run code of strangers
  off          switched off by the settings
  not needed   these settings have no use for it

\b
Exit codes:
  0  every wall stands that most machines can have
  1  one is missing, broken or off
  2  a setting is wrong, or no worker can be started

\b
Examples:
  trio-runner doctor
  trio-runner doctor --sandbox-network allow --json
"""


def _doctor(as_document: bool) -> int:
    reading = settings_for(RunSettings, "run", click.get_current_context(), os.environ)
    import trio  # and the rest: only for settings that can be read

    from ...executor.config import ProcessExecutorConfig
    from ...executor.probing import probe_walls
    from ...sandbox.walls.delegation import divide_control_group
    from ..settings.run_config import task_policy, task_sandbox
    from ..terminal import open_console
    from .rendering import as_json, is_sound, write_table

    config = ProcessExecutorConfig(
        policy=task_policy(reading.settings, os.environ), sandbox=task_sandbox(reading)
    )
    divide_control_group()
    try:
        reports = trio.run(probe_walls, config)
    except KeyboardInterrupt:
        raise click.Abort from None
    if as_document:
        click.echo(as_json(reports))
    else:
        write_table(open_console(sys.stdout), reports)
    return ExitCode.DONE if is_sound(reports) else ExitCode.FAULT


doctor_command = SettingsCommand(
    "doctor",
    params=[
        *options_for(RunSettings),
        click.Option(["--json", "as_document"], is_flag=True, help="As one JSON document."),
    ],
    callback=lambda as_document, **_: _doctor(as_document),
    help=_ABOUT,
    epilog=_EPILOG,
    context_settings={"help_option_names": ["-h", "--help"]},
)
