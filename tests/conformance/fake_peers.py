"""Runners and requesters made for the test: raw clients of a broker's sockets."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import trio
from websockets.client import ClientProtocol
from websockets.http11 import Response
from websockets.uri import parse_uri

from .fake_broker import AUTH_TOKEN, fresh_id
from .http_wire import fetch, fresh_address
from .wire import PROMPT, READ_SIZE, Message, Peer, running


class Refused(Exception):
    """An upgrade was answered with another status than 101."""

    def __init__(self, status: int, headers: Mapping[str, str]) -> None:
        super().__init__(f"upgrade refused with {status}")
        self.status = status
        self.headers = headers


async def mint(port: int, path: str = "/runners", *, source: str | None = None) -> str:
    """Return a grant token from ``{path}/auth``."""
    body = json.dumps({"token": AUTH_TOKEN}).encode()
    headers = {"Content-Type": "application/json"}
    answer = await fetch(
        port, "POST", f"{path}/auth", body=body, headers=headers, source=source or fresh_address()
    )
    assert answer.status == 200, answer
    return str(json.loads(answer.body)["data"]["token"])


async def upgrade(port: int, target: str, authorization: str | None, *, source: str | None = None) -> Peer:
    """Ask for a WebSocket and return it, not yet running.

    Raises:
        Refused: the answer was another than 101.
    """
    protocol = ClientProtocol(parse_uri(f"ws://127.0.0.1:{port}{target}"), max_size=None)
    request = protocol.connect()
    if authorization is not None:
        request.headers["Authorization"] = authorization
    protocol.send_request(request)
    with trio.fail_after(PROMPT):
        stream = await trio.open_tcp_stream("127.0.0.1", port, local_address=source or fresh_address())
        try:
            for data in protocol.data_to_send():
                await stream.send_all(data)
            return await _upgraded(stream, protocol)
        except BaseException:
            await trio.aclose_forcefully(stream)
            raise


async def _upgraded(stream: trio.SocketStream, protocol: ClientProtocol) -> Peer:
    while not (events := protocol.events_received()):
        data = await stream.receive_some(READ_SIZE)
        if not data:
            protocol.receive_eof()
            assert protocol.handshake_exc is None or protocol.events, "hung up instead of an answer"
        else:
            protocol.receive_data(data)
    response, *frames = events
    assert isinstance(response, Response)
    if response.status_code != 101:
        headers = {name.lower(): value for name, value in response.headers.raw_items()}
        raise Refused(response.status_code, headers)
    peer = Peer(stream, protocol)
    peer.take(frames)
    return peer


@asynccontextmanager
async def open_socket(port: int, path: str, peer_id: str) -> AsyncIterator[Peer]:
    """Connect as a runner or a requester, with a token of its own, from an address of its own."""
    source = fresh_address()
    token = await mint(port, path, source=source)
    async with running(
        await upgrade(port, f"{path}/_ws?id={peer_id}", f"Bearer {token}", source=source)
    ) as peer:
        yield peer


class FakeRunner:
    """A runner that does only what the test says."""

    def __init__(self, peer: Peer) -> None:
        self.peer = peer

    async def register(self, *types: str, name: str = "Fake Runner") -> None:
        """Answer the broker's question, and wait until registered."""
        await self.peer.next("broker:inforequest")
        self.peer.send({"type": "runner:info", "name": name, "types": list(types)})
        await self.peer.next("broker:runnerregistered")

    def offer(self, task_type: str, valid_for: int = 5000) -> str:
        """Offer a slot and return the offer's id."""
        offer_id = fresh_id("offer")
        offer = {"offerId": offer_id, "taskType": task_type, "validFor": valid_for}
        self.peer.send({"type": "runner:taskoffer", **offer})
        return offer_id

    async def asked(self, offer_id: str | None = None, limit: float = PROMPT) -> str:
        """Wait until an offer (or this one) was taken and return the task's id."""
        fields = {} if offer_id is None else {"offerId": offer_id}
        return str((await self.peer.next("broker:taskofferaccept", limit=limit, **fields))["taskId"])

    def answer(self, kind: str, task_id: str, **fields: Any) -> None:
        """Send ``runner:{kind}`` for a task."""
        self.peer.send({"type": f"runner:{kind}", "taskId": task_id, **fields})

    async def take(self, task_type: str) -> str:
        """Offer a slot, wait until it is taken, accept, and return the task's id."""
        task_id = await self.asked(self.offer(task_type))
        self.answer("taskaccepted", task_id)
        return task_id

    async def settings(self, task_id: str) -> Any:
        """Wait for the settings of a task and return them."""
        return (await self.peer.next("broker:tasksettings", taskId=task_id))["settings"]

    def done(self, task_id: str, result: Any = "done") -> None:
        """Report a task done."""
        self.answer("taskdone", task_id, data={"result": result})

    async def sync(self) -> None:
        """Return when the broker has read everything sent so far."""
        await self.peer.ping()


class FakeRequester:
    """A requester that does only what the test says."""

    def __init__(self, peer: Peer) -> None:
        self.peer = peer

    def request(self, task_type: str) -> str:
        """Ask for a task and return the request's id."""
        request_id = fresh_id("request")
        self.peer.send({"type": "requester:taskrequest", "requestId": request_id, "taskType": task_type})
        return request_id

    async def ready(self, request_id: str, limit: float = PROMPT) -> str:
        """Wait until a runner took a request and return the task's id."""
        return str((await self.peer.next("broker:taskready", requestId=request_id, limit=limit))["taskId"])

    def send(self, kind: str, task_id: str, **fields: Any) -> None:
        """Send ``requester:{kind}`` for a task."""
        self.peer.send({"type": f"requester:{kind}", "taskId": task_id, **fields})

    async def end(self, task_id: str, limit: float = PROMPT) -> Message:
        """Wait for the last message of a task."""
        return await self.peer.next("broker:taskdone", "broker:taskerror", taskId=task_id, limit=limit)

    async def sync(self) -> None:
        """Return when the broker has read everything sent so far."""
        await self.peer.ping()


@asynccontextmanager
async def open_fake_runner(port: int, *types: str, runner_id: str | None = None) -> AsyncIterator[FakeRunner]:
    """Connect a runner that serves these task types, and register it."""
    async with open_socket(port, "/runners", runner_id or fresh_id("runner")) as peer:
        runner = FakeRunner(peer)
        await runner.register(*types)
        yield runner


@asynccontextmanager
async def open_fake_requester(port: int) -> AsyncIterator[FakeRequester]:
    """Connect a requester."""
    async with open_socket(port, "/requesters", fresh_id("requester")) as peer:
        yield FakeRequester(peer)


async def begin(requester: FakeRequester, runner: FakeRunner, task_type: str, settings: Any = None) -> str:
    """Bring a task to where it runs: settings delivered. Return its id."""
    request_id = requester.request(task_type)
    task_id = await runner.take(task_type)
    assert await requester.ready(request_id) == task_id
    requester.send("tasksettings", task_id, settings={"code": "return 1"} if settings is None else settings)
    await runner.settings(task_id)
    return task_id
