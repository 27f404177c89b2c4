"""The live view in a real terminal: it shows, it keeps up, it says when it cannot, and one key ends it."""

from __future__ import annotations

import os
import pty
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import pytest
import trio

from trio_runner.service.status.document import Document
from trio_runner.service.status.server import serve_control

from ..status.samples import runner

pytestmark = pytest.mark.process
LIMIT = 40  # seconds


class Screen:
    """What was written to a terminal so far, and the keys of its person."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self.text = ""

    async def shows(self, text: str) -> None:
        """Wait until something is written."""
        with trio.fail_after(LIMIT):
            while text not in self.text:
                await trio.lowlevel.wait_readable(self._descriptor)
                self.text += os.read(self._descriptor, 65536).decode(errors="replace")

    def press(self, key: bytes) -> None:
        os.write(self._descriptor, key)


@asynccontextmanager
async def top(path: Path) -> AsyncIterator[tuple[trio.Process, Screen]]:
    near, far = pty.openpty()
    words = [sys.executable, "-I", "-m", "trio_runner", "top", "--socket", str(path), "--interval", "0.1"]
    environment = {"PATH": os.environ["PATH"], "TERM": "xterm", "COLUMNS": "100", "LINES": "24"}
    process = await trio.lowlevel.open_process(words, stdin=far, stdout=far, stderr=far, env=environment)
    os.close(far)
    try:
        yield process, Screen(near)
    finally:
        process.kill()
        with trio.CancelScope(shield=True):
            await process.wait()
        os.close(near)


@pytest.fixture
def path() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as directory:  # the path of a socket must be short
        yield Path(directory, "s.sock")


async def test_it_shows_keeps_up_and_ends_at_a_key(path: Path) -> None:
    states = iter(f"runner-{number}" for number in range(10_000))
    commands = {"statistics": lambda _: Document(runner=runner(runner_id=next(states)))}
    async with trio.open_nursery() as nursery:
        await nursery.start(partial(serve_control, path, commands))
        async with top(path) as (process, screen):
            await screen.shows("runner-2")
            await screen.shows("runner-5")
            await screen.shows("Invoices › Clean")
            nursery.cancel_scope.cancel()
            with trio.CancelScope(shield=True):
                await screen.shows("Not up to date: ")
                screen.press(b"q")
                with trio.fail_after(LIMIT):
                    assert await process.wait() == 0


async def test_nobody_to_show_is_one_line(path: Path) -> None:
    async with top(path) as (process, screen):
        await screen.shows("no daemon answers at")
        with trio.fail_after(LIMIT):
            assert await process.wait() == 1
    assert "Traceback" not in screen.text
