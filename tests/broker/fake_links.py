"""Peers of a broker over links in memory."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import trio
import trio.testing

from trio_runner.broker.exchange import Exchange
from trio_runner.broker.peers import Peers
from trio_runner.errors import LinkLost
from trio_runner.protocol import messages as m
from trio_runner.protocol.codec import (
    BROKER_TO_REQUESTER,
    BROKER_TO_RUNNER,
    REQUESTER_TO_BROKER,
    RUNNER_TO_BROKER,
)
from trio_runner.protocol.raw_json import RawJson
from trio_runner.scheduling.matching.limits import MatchingLimits
from trio_runner.testing import MemoryLink, RecordingObserver, memory_link_pair
from trio_runner.transport.link import LinkSettings

__all__ = ["House", "Visitor", "open_house"]

MessageT = TypeVar("MessageT")


class Visitor:
    """A peer's end of a link to the broker."""

    def __init__(self, link: MemoryLink[Any], far: MemoryLink[Any]) -> None:
        self.link = link
        self.far = far

    def send(self, message: object) -> None:
        self.link.send(message)

    async def next(self, kind: type[MessageT]) -> MessageT:
        """Return the next message, which must be of a kind."""
        message = await self.link.receive()
        assert isinstance(message, kind), f"expected {kind.__name__}, got {message!r}"
        return message

    async def end(self) -> str:
        """Wait for the end of the link, nothing else may come; return the reason."""
        try:
            message = await self.link.receive()
        except LinkLost as lost:
            return str(lost)
        raise AssertionError(f"expected the end, got {message!r}")


class House:
    """A broker without its server: peers walk in over links in memory."""

    def __init__(
        self,
        nursery: trio.Nursery,
        limits: MatchingLimits,
        runner_link: LinkSettings,
        observer: RecordingObserver,
    ) -> None:
        self.observer = observer
        self.exchange = Exchange(limits, self.observer)
        self.peers = Peers(self.exchange, self.observer, info_timeout=10.0)
        self.nursery = nursery
        self._runner_link = runner_link

    def runner_link(self, runner_id: str) -> Visitor:
        """Let a runner connect, without answering anything."""
        near, far = memory_link_pair(BROKER_TO_RUNNER, RUNNER_TO_BROKER, settings=self._runner_link)
        self.nursery.start_soon(self._serve, self.peers.serve_runner, runner_id, far)
        return Visitor(near, far)

    async def runner(self, runner_id: str = "r", *types: str) -> Visitor:
        """Let a runner connect and register."""
        visitor = self.runner_link(runner_id)
        await visitor.next(m.InfoRequest)
        visitor.send(m.RunnerInfo("Fake", types or ("python",)))
        await visitor.next(m.RunnerRegistered)
        return visitor

    async def requester(self, requester_id: str = "q") -> Visitor:
        """Let a requester connect."""
        near, far = memory_link_pair(BROKER_TO_REQUESTER, REQUESTER_TO_BROKER)
        self.nursery.start_soon(self._serve, self.peers.serve_requester, requester_id, far)
        await trio.testing.wait_all_tasks_blocked()
        return Visitor(near, far)

    async def _serve(self, serve: Any, peer_id: str, link: MemoryLink[Any]) -> None:
        """Serve a link as the server does: it closes when the peer has been served."""
        await serve(peer_id, link)
        link.close()

    async def running(self, runner: Visitor, requester: Visitor) -> str:
        """Bring a task to where it runs; returns its id."""
        runner.send(m.TaskOffer("offer", "python", 5000))
        requester.send(m.TaskRequest("request", "python"))
        task_id = (await runner.next(m.TaskOfferAccept)).task_id
        runner.send(m.TaskAccepted(task_id))
        await requester.next(m.TaskReady)
        requester.send(m.RequesterTaskSettings(task_id, RawJson(b"{}")))
        await runner.next(m.TaskSettings)
        return task_id


@asynccontextmanager
async def open_house(
    limits: MatchingLimits = MatchingLimits(),  # noqa: B008 - frozen
    runner_link: LinkSettings = LinkSettings(),  # noqa: B008 - frozen
    observer: RecordingObserver | None = None,
) -> AsyncIterator[House]:
    async with trio.open_nursery() as nursery:
        house = House(nursery, limits, runner_link, observer or RecordingObserver())
        nursery.start_soon(house.exchange.watch_deadlines)
        yield house
        nursery.cancel_scope.cancel()
