"""An application that serves tasks of type ``bench`` with a handler: a runner embedded, nothing else.

N8N_RUNNERS_AUTH_TOKEN=... python -m bench.handler_host FILE URL SLOTS
"""

from __future__ import annotations

import os
import signal
import sys
from functools import partial
from pathlib import Path

import trio

from trio_runner import HandlerExecutor, HandlerTask, RunnerConfig, serve_runner

from .probe import LagProbe
from .probed import die_with_parent

__all__ = ["main"]


async def _answer(task: HandlerTask) -> object:
    await trio.lowlevel.checkpoint()
    return task.settings


async def _serve(url: str, slots: int) -> None:
    config = RunnerConfig(
        brokers=(url,), auth_token=os.environ["N8N_RUNNERS_AUTH_TOKEN"], max_concurrency=slots
    )
    with trio.open_signal_receiver(signal.SIGTERM) as arriving:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(partial(serve_runner, config, executor=HandlerExecutor({"bench": _answer})))
            await anext(arriving)
            nursery.cancel_scope.cancel()


def main() -> None:
    """Serve until SIGTERM."""
    die_with_parent()
    path, url, slots = sys.argv[1:]
    trio.run(_serve, url, int(slots), instruments=[LagProbe(Path(path))])


if __name__ == "__main__":
    main()
