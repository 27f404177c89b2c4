"""Measuring the bare operations: what no runner can beat on this machine at this moment."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import attrs

from .figures import Ceiling
from .percentiles import median
from .processes import Process, output_of, running

__all__ = ["Ceilings", "open_ceilings"]

_SMALL = 240
"""Bytes of a message of the protocol that carries no payload, generously."""


@attrs.frozen(eq=False)
class Ceilings:
    """Measures on demand. What takes long is measured once; what depends on the moment, each time."""

    _echo: Process
    _large: dict[tuple[str, float], float] = attrs.field(factory=dict)

    async def fork_rate(self, seconds: float, module: str = "") -> float:
        """Return forks per second of an interpreter that waits for each child.

        Args:
            seconds: how long to fork.
            module: imported first; a fresh interpreter is small, one with a module as large as that makes it.
        """
        arguments = ["bench/bare_fork.py", str(seconds), *([module] if module else [])]
        return float(await output_of(arguments, isolated=True))

    async def echo_rate(self, seconds: float) -> float:
        """Return WebSocket round trips per second of small messages, one at a time."""
        return float(await self._ask("ask", str(_SMALL), str(seconds)))

    async def echo_seconds(self, mebibytes: float, times: int) -> float:
        """Return the seconds of one WebSocket round trip of a large message."""
        if ("echo", mebibytes) not in self._large:
            seconds = json.loads(await self._ask("send", str(mebibytes), str(times)))
            self._large["echo", mebibytes] = median(seconds)
        return self._large["echo", mebibytes]

    async def json_seconds(self, mebibytes: float, times: int) -> float:
        """Return the seconds of one ``json.loads`` and one ``json.dumps`` of a payload."""
        if ("json", mebibytes) not in self._large:
            arguments = ["-m", "bench.bare_json", str(mebibytes), str(times)]
            self._large["json", mebibytes] = median(json.loads(await output_of(arguments)))
        return self._large["json", mebibytes]

    async def loop_seconds(self, settings: Path, times: int) -> float:
        """Return the seconds of each-item mode as a plain loop with the same JSON work."""
        arguments = ["bench/bare_loop.py", str(settings), str(times)]
        return median(json.loads(await output_of(arguments, isolated=True)))

    async def start_seconds(self, statement: str, times: int) -> float:
        """Return the seconds of a fresh interpreter that runs one statement and ends."""
        program = (
            "import subprocess, sys, time, json\nseconds = []\n"
            f"for _ in range({times}):\n"
            "    begin = time.perf_counter()\n"
            f"    subprocess.run([sys.executable, '-c', {statement!r}], check=True)\n"
            "    seconds.append(time.perf_counter() - begin)\n"
            "print(json.dumps(seconds))"
        )
        return median(json.loads(await output_of(["-c", program])))

    async def _ask(self, what: str, *arguments: str) -> str:
        port = (await self._echo.said(r"port (\d+)"))[1]
        return await output_of(["-m", "bench.bare_echo", what, port, *arguments])


def mean_ceiling(name: str, *values: float) -> Ceiling:
    """Return the ceiling that several measurements around a scenario give together."""
    return Ceiling(name, sum(values) / len(values))


@asynccontextmanager
async def open_ceilings(directory: Path) -> AsyncIterator[Ceilings]:
    """Keep what the measurements need, for the time of a block.

    Args:
        directory: for logs.
    """
    async with running("echo", "bare_echo", ["serve"], directory, probed=False) as echo:
        yield Ceilings(echo)
