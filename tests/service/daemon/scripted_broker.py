"""A broker that does what the test says: checks tokens, registers runners and hands their links over."""

from __future__ import annotations

import json
import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TypeVar

import trio

from trio_runner.protocol import messages as m
from trio_runner.protocol.codec import RUNNER_TO_BROKER
from trio_runner.protocol.raw_json import RawJson
from trio_runner.transport.http_server import HttpRequest, HttpResponse, Upgrade, serve_http
from trio_runner.transport.link import Link

MessageT = TypeVar("MessageT")

AUTH_TOKEN = "auth-token-of-the-scripted-broker"
LIMIT = 20.0  # seconds for anything that ought to come at once, on a busy machine


class Session:
    """One connection of a runner."""

    def __init__(self, link: Link[m.RunnerToBroker]) -> None:
        self.link = link
        self.closed = trio.Event()
        self._tasks = 0
        self._offers: list[m.TaskOffer] = []

    async def next(self, kind: type[MessageT]) -> MessageT:
        """Return the next message of a kind; others before it are dropped, but offers are kept."""
        with trio.fail_after(LIMIT):
            while True:
                message = await self.link.receive()
                if isinstance(message, m.TaskOffer):
                    self._offers.append(message)
                if isinstance(message, kind):
                    return message

    async def start(self, code: str, **more: str) -> str:
        """Have a task started, with more settings if given, and return its id."""
        self._tasks += 1
        task_id = f"task-{self._tasks}"
        if not self._offers:
            await self.next(m.TaskOffer)
        offer = self._offers.pop()
        self.link.send(m.TaskOfferAccept(task_id, offer.offer_id))
        await self.next(m.TaskAccepted)
        settings = {"code": code, "nodeMode": "runOnceForAllItems", "items": [], **more}
        self.link.send(m.TaskSettings(task_id, RawJson.of(settings)))
        return task_id

    async def printed(self, text: str) -> None:
        """Wait until a task has printed a text."""
        while (await self.next(m.RpcRequest)).params.decode() != [repr(text)]:
            pass

    def drop(self) -> None:
        """End the connection."""
        self.closed.set()


class ScriptedBroker:
    """Attributes:
    port: where it listens.
    grant_tokens: those that may be used once.
    minted: every grant token handed out for the auth token.
    """

    def __init__(self) -> None:
        self.port = 0
        self.grant_tokens: set[str] = set()
        self.minted: list[str] = []
        self._arrive, self._arrived = trio.open_memory_channel[Session](math.inf)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def session(self) -> Session:
        """Return the next runner that has connected and been registered."""
        with trio.fail_after(LIMIT):
            return await self._arrived.receive()

    def route(self, request: HttpRequest) -> HttpResponse | Upgrade[m.RunnerToBroker]:
        if request.path == "/runners/auth":
            return self._mint(request)
        token = request.headers.get("authorization", "").removeprefix("Bearer ")
        if token not in self.grant_tokens:
            return HttpResponse(403)
        self.grant_tokens.discard(token)
        return Upgrade(RUNNER_TO_BROKER, self._serve)

    def _mint(self, request: HttpRequest) -> HttpResponse:
        if json.loads(request.body) != {"token": AUTH_TOKEN}:
            return HttpResponse(403)
        token = f"grant-token-of-the-scripted-broker-{len(self.minted)}"
        self.minted.append(token)
        self.grant_tokens.add(token)
        return HttpResponse(200, json.dumps({"data": {"token": token}}).encode())

    async def _serve(self, link: Link[m.RunnerToBroker]) -> None:
        session = Session(link)
        link.send(m.InfoRequest())
        await session.next(m.RunnerInfo)
        link.send(m.RunnerRegistered())
        self._arrive.send_nowait(session)
        await session.closed.wait()


@asynccontextmanager
async def open_scripted_broker(port: int = 0) -> AsyncIterator[ScriptedBroker]:
    """Serve a scripted broker for the length of a block."""
    broker = ScriptedBroker()
    async with trio.open_nursery() as nursery:
        addresses = await nursery.start(serve_http, "127.0.0.1", port, broker.route)
        broker.port = addresses[0][1]
        yield broker
        nursery.cancel_scope.cancel()
