"""The command line: ``trio-runner``, and the same as ``python -m trio_runner``.

Nothing heavy is imported before a command needs it: ``--version`` and the help screens load neither trio nor
any other part of the package but the tables of settings.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Any, NoReturn

import attrs
import click

from .. import __version__
from .exits import ExitCode

__all__ = ["application", "main"]


@attrs.frozen
class _Entry:
    """Where a command is to be found, and the line about it in the list of commands."""

    module: str
    attribute: str
    summary: str


_COMMANDS = {
    "run": _Entry(
        "daemon.run_command", "run_command", "Run tasks for one or more brokers until told to end."
    ),
    "broker": _Entry("daemon.broker_command", "broker_command", "Match requests with runners on one port."),
    "submit": _Entry(
        "submit.command", "submit_command", "Send Python code to a broker and print its result."
    ),
    "check": _Entry(
        "check.command", "check_command", "Try everything a runner with these settings needs, step by step."
    ),
    "doctor": _Entry(
        "doctor.command", "doctor_command", "Show which walls this machine has around tasks, and try each."
    ),
    "config": _Entry(
        "config.command", "config_command", "Show the settings in force, or print a file to start from."
    ),
    "install-service": _Entry(
        "systemd.install_command", "install_service_command", "Write a systemd unit for a runner or a broker."
    ),
    "status": _Entry("status.command", "status_command", "Show how a running daemon does."),
    "top": _Entry("top.command", "top_command", "Watch a running daemon live."),
    "drain": _Entry("status.command", "drain_command", "Have a daemon finish its tasks and end."),
    "reload": _Entry("status.command", "reload_command", "Have a daemon load settings and modules afresh."),
    "log-level": _Entry("status.command", "log_level_command", "Change which lines a daemon logs."),
    "demo": _Entry(
        "demo.command", "demo_command", "Run real work through a broker and a runner on this machine."
    ),
}


class _LazyGroup(click.Group):
    """A group that imports a command when it is used, and not to list it."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        entry = _COMMANDS.get(cmd_name)
        if entry is None:
            return None
        command: click.Command = getattr(import_module(f"{__package__}.{entry.module}"), entry.attribute)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, entry.summary) for name, entry in _COMMANDS.items()])


_EPILOG = """\
\b
Examples:
  trio-runner demo
  trio-runner broker --generate-token
  N8N_RUNNERS_AUTH_TOKEN=... trio-runner run --broker http://127.0.0.1:5679
  trio-runner submit -c 'return 6 * 7'

'trio-runner COMMAND --help' tells more.
"""


@click.group(
    "trio-runner",
    cls=_LazyGroup,
    epilog=_EPILOG,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(__version__, prog_name="trio-runner", message="%(prog)s %(version)s")
@click.pass_context
def application(ctx: click.Context) -> None:
    """A task runner on trio: takes tasks from a broker such as n8n's, runs their Python code in processes of
    their own, and brings a broker and a client.
    """
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and exit.

    Args:
        arguments: what follows the program's name; None: from `sys.argv`.
    """
    _occupy_standard_descriptors()
    try:
        code: Any = application.main(arguments, prog_name="trio-runner", standalone_mode=False)
        if sys.stdout is not None:
            sys.stdout.flush()
    except click.ClickException as exc:
        _complain(exc)
        code = exc.exit_code
    except (click.Abort, KeyboardInterrupt):
        click.echo("trio-runner: interrupted", err=True)
        code = ExitCode.INTERRUPTED
    except OSError as exc:  # standard output is full; click itself deals with a reader that has gone
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # what is still buffered is not tried again at exit
        click.echo(f"trio-runner: {exc.strerror or exc}", err=True)
        code = ExitCode.FAULT
    sys.exit(int(code or 0))


def _occupy_standard_descriptors() -> None:
    """Open what the caller has closed of 0, 1 and 2: a socket must not take such a number."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)


def _complain(exc: click.ClickException) -> None:
    """Write what is wrong with the command line or a setting to standard error, in one line."""
    ctx = getattr(exc, "ctx", None)
    path = ctx.command_path if isinstance(ctx, click.Context) else "trio-runner"
    hint = f" ('{path} --help' tells more)" if isinstance(exc, click.UsageError) else ""
    click.echo(f"{path}: {' '.join(exc.format_message().split())}{hint}", err=True)
