"""The command ``trio-runner broker``: reads its settings and starts the broker."""

from __future__ import annotations

import os
from functools import partial

import click

from ..exits import ExitCode, exit_codes_help
from ..settings.broker import BrokerSettings
from ..settings.options import SettingsCommand, options_for, settings_for

__all__ = ["broker_command"]

_ABOUT = """\
Match requests with runners on one port.

Serves runners (this program's, n8n's own and others that speak its protocol) and requesters such as
'trio-runner submit'. SIGTERM and SIGINT stop new work and let running tasks finish within the drain limit;
a second signal, or SIGQUIT, ends at once.
"""

_EPILOG = f"""\
Flags win over variables, and each {{NAME}}_FILE names a file that holds the value. An empty value counts as
none.

{exit_codes_help(code for code in ExitCode if code is not ExitCode.NO_BROKER)}

\b
Examples:
  trio-runner broker --generate-token
  N8N_RUNNERS_AUTH_TOKEN_FILE=/run/secrets/runner trio-runner broker --host ::
"""


def _run() -> int:
    ctx = click.get_current_context()
    read = partial(settings_for, BrokerSettings, "broker", ctx, dict(os.environ))
    reading = read()
    from .broker import run_broker_daemon  # trio and the rest: only for settings that can be read
    from .memory import settle_memory

    settle_memory()
    return run_broker_daemon(reading, os.environ, read)


broker_command = SettingsCommand(
    "broker",
    params=options_for(BrokerSettings),
    callback=lambda **_: _run(),
    help=_ABOUT,
    epilog=_EPILOG,
    context_settings={"help_option_names": ["-h", "--help"]},
)
