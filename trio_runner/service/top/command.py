"""The command ``trio-runner top``."""

from __future__ import annotations

import sys

import click
import trio

from ..exits import ExitCode
from ..status.client import Daemon, NoDaemon
from ..status.command import CannotAsk, daemon_options, meant, talk
from ..status.print import print_status

__all__ = ["top_command"]

_EPILOG = """\
The daemon is found by itself if only one runs here; if there are several, NAME says which. Without a terminal
one snapshot is printed. NO_COLOR takes the colours away.
"""


@click.command("top", epilog=_EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@daemon_options
@click.option("--once", is_flag=True, help="Print one snapshot and end.")
@click.option(
    "--interval",
    type=click.FloatRange(0.1, 3600),
    default=1.0,
    show_default=True,
    metavar="SECONDS",
    help="Between two looks.",
)
def top_command(name: str, socket: str, once: bool, interval: float) -> int:
    """Watch a runner or a broker live: slots, tasks with their age, rates, rejections, brokers, errors."""
    if once or not sys.stdout.isatty():
        return talk(name, socket, _print)
    from ..terminal import open_console
    from .live import watch

    console = open_console(sys.stdout)
    path = meant(name, socket)
    try:
        trio.run(watch, path, console, interval)
    except NoDaemon as exc:
        raise CannotAsk(str(exc), click.get_current_context()) from None
    return ExitCode.DONE


async def _print(daemon: Daemon) -> None:
    print_status(await daemon.document())
