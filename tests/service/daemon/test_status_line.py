"""How daemons describe themselves on one line."""

from __future__ import annotations

import trio.testing

from trio_runner import BrokerConfig, BrokerHandle, RunnerConfig, serve_broker
from trio_runner.runner.serve import Runner
from trio_runner.service.daemon.status_line import broker_status, runner_status


async def test_a_runner_before_it_is_connected() -> None:
    brokers = ("http://a:1", "http://b:2")
    runner = Runner(RunnerConfig(brokers=brokers, auth_token="x", max_concurrency=3))
    assert runner_status(runner.statistics(), brokers) == (
        "0 of 3 slots taken; http://a:1 not connected; http://b:2 not connected"
    )


async def test_a_broker() -> None:
    async with trio.open_nursery() as nursery:
        broker: BrokerHandle = await nursery.start(serve_broker, BrokerConfig(auth_token="x", port=0))
        assert broker_status(broker.statistics()) == "0 runners, 0 tasks, 0 waiting requests"
        assert broker.stalled() is None
        nursery.cancel_scope.cancel()
