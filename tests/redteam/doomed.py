"""A runner that runs one attack and waits to be killed. A program."""

from __future__ import annotations

import os
import sys

import trio

from trio_runner.executor.contract import ExecutorEvent, Printed
from trio_runner.executor.pool import open_process_executor

from .campaign import job
from .catalogue import BY_NAME
from .settings import config_of


async def main() -> None:
    """Run the attack that the arguments name: its name, its mark, its executor, walls to leave out."""
    name, mark, setting, *disabled = sys.argv[1:]
    async with open_process_executor(config_of(setting, disabled)) as executor:
        await executor.run(job(BY_NAME[name].code, {"mark": mark}), _tell)


def _tell(event: ExecutorEvent) -> None:
    if isinstance(event, Printed):
        os.write(1, event.text.encode() + b"\n")


if __name__ == "__main__":
    trio.run(main)
