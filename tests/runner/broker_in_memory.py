"""Brokers without a network: what a runner dials in tests of the whole of it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from urllib.parse import urlsplit

import trio

from trio_runner.errors import LinkLost
from trio_runner.protocol import messages as m
from trio_runner.protocol.codec import BROKER_TO_RUNNER, RUNNER_TO_BROKER, UnknownMessage
from trio_runner.protocol.raw_json import RawJson
from trio_runner.testing import MemoryLink, memory_link_pair
from trio_runner.transport.http_client import HttpAnswer
from trio_runner.transport.link import Link, LinkSettings, Malformed


class BrokerInMemory:
    """A `Dialer` to one broker that registers everybody and keeps what it hears.

    Attributes:
        token: the only auth token that is good; empty: all are.
        unreachable: no connection comes about.
    """

    token = ""
    unreachable = False

    def __init__(self) -> None:
        self.link: MemoryLink[m.RunnerToBroker] | None = None
        self.heard: list[m.RunnerToBroker | UnknownMessage | Malformed] = []
        self._news = trio.lowlevel.ParkingLot()
        self.closed = trio.Event()
        self._taken: set[str] = set()  # offers that were accepted

    async def post_json(self, url: str, body: RawJson, *, settings: LinkSettings) -> HttpAnswer:
        await trio.lowlevel.checkpoint()
        if self.token and body.decode() != {"token": self.token}:
            return HttpAnswer(403, b"")
        return HttpAnswer(200, b'{"data": {"token": "grant"}}')

    @asynccontextmanager
    async def open_link(
        self, url: str, *, bearer: str, settings: LinkSettings
    ) -> AsyncIterator[Link[m.BrokerToRunner]]:
        await trio.lowlevel.checkpoint()
        if self.unreachable:
            raise LinkLost("unreachable")
        mine, self.link = memory_link_pair(BROKER_TO_RUNNER, RUNNER_TO_BROKER)
        self.link.send(m.RunnerRegistered())
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._listen, self.link)
            yield mine
            nursery.cancel_scope.cancel()

    async def _listen(self, link: MemoryLink[m.RunnerToBroker]) -> None:
        while True:
            try:
                self.heard.append(await link.receive())
            except LinkLost:
                self.closed.set()
                return
            self._news.unpark_all()

    def send(self, message: object) -> None:
        assert self.link is not None
        self.link.send(message)

    async def hear(self, kind: type, *, count: int = 1) -> list[object]:
        """Wait until this many messages of a kind have come; return all of the kind."""
        with trio.fail_after(1000):
            while len(found := [message for message in self.heard if isinstance(message, kind)]) < count:
                await self._news.park()
        return list(found)

    async def start_task(self, task_id: str) -> None:
        heard = await self.hear(m.TaskOffer, count=len(self._taken) + 1)
        offer = next(
            o for o in reversed(heard) if isinstance(o, m.TaskOffer) and o.offer_id not in self._taken
        )
        self._taken.add(offer.offer_id)
        self.send(m.TaskOfferAccept(task_id, offer.offer_id))
        self.send(m.TaskSettings(task_id, RawJson(b"{}")))

    def error_messages(self) -> list[str]:
        return [
            message.error.decode()["message"]
            for message in self.heard
            if isinstance(message, m.TaskErrorReport)
        ]


class BrokersInMemory:
    """A `Dialer` to several of them, by host name. Attributes: `dialled`, hosts in the order of the calls."""

    def __init__(self, *hosts: str) -> None:
        self.by_host = {host: BrokerInMemory() for host in hosts}
        self.dialled: list[str] = []

    async def post_json(self, url: str, body: RawJson, *, settings: LinkSettings) -> HttpAnswer:
        return await self._find(url).post_json(url, body, settings=settings)

    def open_link(
        self, url: str, *, bearer: str, settings: LinkSettings
    ) -> AbstractAsyncContextManager[Link[m.BrokerToRunner]]:
        self.dialled.append(str(urlsplit(url).hostname))
        return self._find(url).open_link(url, bearer=bearer, settings=settings)

    def _find(self, url: str) -> BrokerInMemory:
        return self.by_host[str(urlsplit(url).hostname)]
