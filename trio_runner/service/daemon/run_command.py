"""The command ``trio-runner run``: reads its settings and starts the daemon."""

from __future__ import annotations

import os
from functools import partial

import click

from ..exits import ExitCode, exit_codes_help
from ..settings.options import SettingsCommand, options_for, settings_for
from ..settings.run import RunSettings

__all__ = ["run_command"]

_ABOUT = """\
Run tasks for one or more brokers until told to end.

Connects to the brokers, offers free slots and runs what it is given, each task in a process of its own. A
lost connection is made again. SIGTERM and SIGINT stop the offers, let running tasks finish within the
graceful limit and end the rest; a second signal, or SIGQUIT, ends them at once. SIGHUP reads the settings
again and loads modules afresh: what can change does so for later tasks, and no running task is disturbed.
"""

_EPILOG = f"""\
Flags win over variables. Each N8N_RUNNERS_NAME may also be written TRIO_RUNNER_NAME, which wins, and each
{{NAME}}_FILE names a file that holds the value. An empty value counts as none.

{exit_codes_help(ExitCode)}

\b
Examples:
  N8N_RUNNERS_AUTH_TOKEN_FILE=/run/secrets/runner trio-runner run
  trio-runner run --broker http://a:5679,http://b:5679 --max-concurrency 8
  trio-runner run --stdlib-allow json,re,datetime --external-allow pandas
"""


def _run() -> int:
    ctx = click.get_current_context()
    read = partial(settings_for, RunSettings, "run", ctx, dict(os.environ))
    reading = read()
    from .memory import settle_memory
    from .runner import run_daemon  # trio and the rest: only for settings that can be read

    settle_memory()
    return run_daemon(reading, os.environ, read)


run_command = SettingsCommand(
    "run",
    params=options_for(RunSettings),
    callback=lambda **_: _run(),
    help=_ABOUT,
    epilog=_EPILOG,
    context_settings={"help_option_names": ["-h", "--help"]},
)
