"""The command ``trio-runner check``: reads the settings of a runner and tries everything they need."""

from __future__ import annotations

import os
import sys
from functools import partial

import click

from ..exits import ExitCode
from ..settings.options import SettingsCommand, options_for, settings_for
from ..settings.run import RunSettings

__all__ = ["check_command"]

_ABOUT = """\
Try everything a runner with these settings needs, step by step.

Takes the settings of 'trio-runner run' from the same places. Of each broker: its name, port, HTTP, clock,
tokens, WebSocket, registration and an offer; then every module that is allowed by name, imported in a worker,
and the walls around tasks. A runner that runs is not disturbed: the check has an id of its own, and takes no
task.
"""

_EPILOG = """\
\b
Exit codes:
  0  everything works; there may be warnings
  1  something failed; the remedy stands below it
  2  a setting is wrong; nothing was tried

\b
Examples:
  N8N_RUNNERS_AUTH_TOKEN_FILE=/run/secrets/runner trio-runner check
  trio-runner check --broker http://n8n:5679 --json
"""

# Seconds: a healthy broker answers in a hundredth of this.
_STEP_LIMIT = 5.0


def _check(as_document: bool, step_limit: float) -> int:
    reading = settings_for(RunSettings, "run", click.get_current_context(), os.environ)
    import trio  # and the rest: only for settings that can be read

    from ...runner.dialer import NetworkDialer
    from ...sandbox.walls.delegation import divide_control_group
    from ..settings.run_config import oddities, runner_config
    from ..terminal import open_console
    from .findings import Finding, Status
    from .rendering import FindingsWriter, as_json
    from .run import check_all

    config = runner_config(reading, os.environ)
    divide_control_group()
    findings: list[Finding] = []
    writer = FindingsWriter(open_console(sys.stdout))

    def tell(finding: Finding) -> None:
        findings.append(finding)
        if not as_document:
            writer.write(finding)

    check = partial(
        check_all, config, oddities(reading), dialer=NetworkDialer(), step_limit=step_limit, tell=tell
    )
    try:
        trio.run(check)
    except* KeyboardInterrupt:
        raise click.Abort from None
    if as_document:
        click.echo(as_json(findings))
    else:
        writer.close()
    failed = any(finding.status is Status.FAILED for finding in findings)
    return ExitCode.FAULT if failed else ExitCode.DONE


check_command = SettingsCommand(
    "check",
    params=[
        *options_for(RunSettings),
        click.Option(["--json", "as_document"], is_flag=True, help="As one JSON document."),
        click.Option(
            ["--step-limit"],
            type=click.FloatRange(0, 600, min_open=True),
            default=_STEP_LIMIT,
            metavar="SECONDS",
            help="For each step with a broker; default 5.",
        ),
    ],
    callback=lambda as_document, step_limit, **_: _check(as_document, step_limit),
    help=_ABOUT,
    epilog=_EPILOG,
    context_settings={"help_option_names": ["-h", "--help"]},
)
