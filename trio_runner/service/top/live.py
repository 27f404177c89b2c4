"""Keeping the view of a daemon up to date in a terminal until the person has seen enough."""

from __future__ import annotations

import contextlib
import os
import sys
import termios
import tty
from collections.abc import Iterator
from pathlib import Path

import trio
from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from ..status.client import NoDaemon, open_daemon
from ..status.document import Document
from ..status.view import view

__all__ = ["watch"]

_QUIT = b"qQ\x03\x04\x1b"
# Seconds until a daemon that has gone is looked for again.
_RETRY = 1.0


async def watch(path: Path, console: Console, interval: float) -> None:
    """Show a daemon until a key that means enough is pressed, or until cancelled.

    Args:
        path: of its socket.
        console: a terminal.
        interval: seconds between two looks.

    Raises:
        NoDaemon: there is none to begin with. One that goes away later is waited for.
    """
    first = await _look(path)
    with _keys(), Live(console=console, auto_refresh=False, screen=True) as live:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_wait_for_quit, nursery.cancel_scope)
            await _keep_showing(path, live, first, interval)


async def _look(path: Path) -> Document:
    async with open_daemon(path) as daemon:
        return await daemon.document()


async def _keep_showing(path: Path, live: Live, document: Document, interval: float) -> None:
    while True:
        trouble = ""
        try:
            async with open_daemon(path) as daemon:
                while True:
                    document = await daemon.document()
                    _show(live, document, "")
                    await trio.sleep(interval)
        except NoDaemon as exc:
            trouble = str(exc)
        _show(live, document, trouble)
        await trio.sleep(_RETRY)


def _show(live: Live, document: Document, trouble: str) -> None:
    width, height = live.console.size
    footer = Text("q quits", style="dim")
    if trouble:
        footer = Text(f"Not up to date: {trouble}  ", style="bold red").append(
            "q quits", style="not bold dim"
        )
    live.update(Group(view(document, width=width, height=height - 2), Text(), footer), refresh=True)


async def _wait_for_quit(scope: trio.CancelScope) -> None:
    """Cancel a scope at the first key that means enough."""
    if not sys.stdin.isatty():
        return
    while True:
        await trio.lowlevel.wait_readable(sys.stdin.fileno())
        pressed = os.read(sys.stdin.fileno(), 64)
        if not pressed or pressed[:1] in {_QUIT[i : i + 1] for i in range(len(_QUIT))}:
            scope.cancel()
            return


@contextlib.contextmanager
def _keys() -> Iterator[None]:
    """Have keys arrive as they are pressed, and unseen; put the terminal back afterwards."""
    if not sys.stdin.isatty():
        yield
        return
    before = termios.tcgetattr(sys.stdin)
    try:
        tty.setcbreak(sys.stdin)
        yield
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)
