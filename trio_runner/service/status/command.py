"""The commands that ask a running daemon how it does, or tell it what to do."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import click
import msgspec
import trio

from ..exits import ExitCode
from .client import Daemon, NoDaemon, choose_socket, open_daemon

__all__ = [
    "CannotAsk",
    "daemon_options",
    "drain_command",
    "log_level_command",
    "meant",
    "reload_command",
    "status_command",
    "talk",
]

_LEVELS = ["debug", "info", "warning", "error", "critical", "silent"]
_CONTEXT = {"help_option_names": ["-h", "--help"]}
_WHICH = """\
The daemon is found by itself if only one runs here. If there are several, NAME says which: the id of a
runner, 'broker', or any part of what the message lists. Only the user who runs the daemon, and root, may ask.
"""


class CannotAsk(click.ClickException):
    """There is no daemon to ask, or it does not answer."""

    exit_code = ExitCode.FAULT

    def __init__(self, message: str, ctx: click.Context) -> None:
        super().__init__(message)
        self.ctx = ctx


def daemon_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add what says which daemon is meant."""
    command = click.argument("name", required=False, default="")(command)
    return click.option(
        "--socket", metavar="PATH", default="", help="The daemon's socket, if it is at no usual place."
    )(command)


def meant(name: str, socket: str) -> Path:
    """Return the socket of the daemon that is meant.

    Raises:
        CannotAsk: there is none, or more than one.
    """
    try:
        return choose_socket(socket, name, os.environ)
    except NoDaemon as exc:
        raise CannotAsk(str(exc), click.get_current_context()) from None


def talk(name: str, socket: str, say: Callable[[Daemon], Awaitable[None]]) -> int:
    """Connect to the daemon that is meant and say something.

    Raises:
        CannotAsk: that failed.
    """
    path = meant(name, socket)

    async def conversation() -> None:
        async with open_daemon(path) as daemon:
            await say(daemon)

    try:
        trio.run(conversation)
    except NoDaemon as exc:
        raise CannotAsk(str(exc), click.get_current_context()) from None
    return ExitCode.DONE


@click.command("status", epilog=_WHICH, context_settings=_CONTEXT)
@daemon_options
@click.option("--json", "as_json", is_flag=True, help="Everything the daemon tells, as one line of JSON.")
def status_command(name: str, socket: str, as_json: bool) -> int:
    """Show how a daemon does: brokers, slots, running tasks, what went wrong of late."""

    async def say(daemon: Daemon) -> None:
        if as_json:
            click.echo(msgspec.json.encode(msgspec.Raw(await daemon.ask("statistics"))).decode())
            return
        from .print import print_status  # rich: only for people

        print_status(await daemon.document())

    return talk(name, socket, say)


@click.command("drain", epilog=_WHICH, context_settings=_CONTEXT)
@daemon_options
@click.option("--wait", is_flag=True, help="Return when the daemon has ended.")
def drain_command(name: str, socket: str, wait: bool) -> int:
    """Have a daemon take no more tasks, finish those it has within its grace, and end, as after SIGTERM."""

    async def say(daemon: Daemon) -> None:
        await daemon.ask("drain")
        if wait:
            await daemon.ended()

    return talk(name, socket, say)


@click.command("reload", epilog=_WHICH, context_settings=_CONTEXT)
@daemon_options
def reload_command(name: str, socket: str) -> int:
    """Have a daemon do what it does at SIGHUP; its log says how it went."""

    async def say(daemon: Daemon) -> None:
        await daemon.ask("reload")

    return talk(name, socket, say)


@click.command("log-level", epilog=_WHICH, context_settings=_CONTEXT)
@click.argument("level", type=click.Choice(_LEVELS, case_sensitive=False))
@daemon_options
def log_level_command(level: str, name: str, socket: str) -> int:
    """Change which lines a running daemon logs, until it ends or reloads."""

    async def say(daemon: Daemon) -> None:
        await daemon.ask("log-level", level=level)

    return talk(name, socket, say)
