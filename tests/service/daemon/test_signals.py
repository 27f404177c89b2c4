"""SIGHUP: a reload, whatever comes of it. The other signals are in `test_lifetime`."""

from __future__ import annotations

import signal

import trio
import trio.testing

from trio_runner.errors import ConfigError
from trio_runner.service.daemon.signals import reload_on_hangup

from ..logs.captured import capture_logs


async def test_every_hangup_reloads_whatever_came_of_the_last() -> None:
    results = [ConfigError("python: gone"), None]

    async def reload() -> None:
        await trio.lowlevel.checkpoint()
        if (error := results.pop(0)) is not None:
            raise error

    before = signal.getsignal(signal.SIGHUP)
    with capture_logs() as lines:
        async with trio.open_nursery() as nursery:
            await nursery.start(reload_on_hangup, reload)
            for _ in range(2):
                signal.raise_signal(signal.SIGHUP)
                await trio.testing.wait_all_tasks_blocked(0.01)
            nursery.cancel_scope.cancel()
    assert [line["event"] for line in lines] == [
        "SIGHUP received: reading the settings again",
        "The reload failed, and everything stays as it was: python: gone",
        "SIGHUP received: reading the settings again",
    ]
    assert signal.getsignal(signal.SIGHUP) is before
