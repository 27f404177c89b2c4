"""A broker made for the test: it answers as the document says, and shows all it was asked."""

from __future__ import annotations

import itertools
import json
import math
import re
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import attrs
import trio
from websockets.server import ServerProtocol

from .http_wire import Hit, encode_answer, read_hit
from .wire import PROMPT, Message, Peer, background

AUTH_TOKEN = "conformance-auth-token"  # not a secret: the fake broker's own

# An offer this close to its end may expire on the way, or have been late behind a large result: a test that
# means to use one takes a younger one.
OFFER_MARGIN = 2.0

_numbers = itertools.count(1)
# Tells the ids of this run from those of another that is under way on this machine.
_RUN = secrets.token_hex(4)

ENDS = ("runner:taskdone", "runner:taskerror")


def fresh_id(prefix: str = "task") -> str:
    """Return an id that nothing else on this machine has."""
    return f"{prefix}-{_RUN}-{next(_numbers)}"


def settings_of(code: str, **settings: Any) -> Message:
    """Return the settings of a Python task, complete enough for any runner."""
    return {
        "code": code,
        "nodeMode": "runOnceForAllItems",
        "items": [{"json": {}}],
        "continueOnFail": False,
        "workflowId": "w1",
        "workflowName": "conformance",
        "nodeId": "n1",
        "nodeName": "Code",
        **settings,
    }


@attrs.frozen
class TaskRun:
    """How one task went: its last message, and what came for it before that, in order."""

    end: Message
    messages: tuple[Message, ...]

    @property
    def done(self) -> bool:
        """Whether it ended with `taskdone`."""
        return bool(self.end["type"] == "runner:taskdone")

    @property
    def result(self) -> Any:
        """Its result; fails the test if there is none."""
        assert self.done, self.end
        assert set(self.end) == {"type", "taskId", "data"}, self.end
        assert set(self.end["data"]) == {"result"}, self.end
        return self.end["data"]["result"]

    @property
    def error(self) -> Message:
        """Its error, which has a message and a description; fails the test if there is none."""
        assert not self.done, self.end
        error = self.end["error"]
        assert isinstance(error["message"], str), error
        assert isinstance(error["description"], str), error
        return dict(error)

    @property
    def prints(self) -> list[list[str]]:
        """The params of its `logNodeOutput` calls."""
        return [message["params"] for message in self.messages if message["type"] == "runner:rpc"]


class Session:
    """One connection of a runner to the fake broker.

    Attributes:
        hit: the request that was upgraded.
        peer: the raw connection.
        registered_at: the clock of trio just before the runner was told that it is registered, s.
    """

    def __init__(self, hit: Hit, peer: Peer) -> None:
        self.hit = hit
        self.peer = peer
        self.registered_at = math.inf

    async def register(self) -> Message:
        """Ask who the runner is, tell it that it is registered, and return its `runner:info`."""
        self.peer.send({"type": "broker:inforequest"})
        info = await self.peer.next("runner:info")
        self.registered_at = trio.current_time()
        self.peer.send({"type": "broker:runnerregistered"})
        return info

    async def offer(self, limit: float = PROMPT) -> Message:
        """Return the freshest offer there is, or the next one; skip those that are too old."""
        with trio.fail_after(limit):
            while True:
                entry = await self.peer.next_received("runner:taskoffer", limit=limit)
                age = trio.current_time() - entry.at
                if age < entry.message["validFor"] / 1000 - OFFER_MARGIN:
                    return entry.message

    async def accept(self, offer_id: str | None = None, task_id: str | None = None) -> Message:
        """Accept an offer and return the runner's answer."""
        offer_id = offer_id if offer_id is not None else (await self.offer())["offerId"]
        task_id = task_id if task_id is not None else fresh_id()
        self.peer.send({"type": "broker:taskofferaccept", "taskId": task_id, "offerId": offer_id})
        return await self.peer.next("runner:taskaccepted", "runner:taskrejected", taskId=task_id)

    async def hold(self, offer_id: str | None = None) -> str:
        """Have a task accepted and return its id; its settings are still to come."""
        answer = await self.accept(offer_id)
        assert answer["type"] == "runner:taskaccepted", answer
        return str(answer["taskId"])

    async def start(self, code: str, offer_id: str | None = None, **settings: Any) -> str:
        """Have a task accepted, send its settings and return its id."""
        task_id = await self.hold(offer_id)
        self.send_settings(task_id, code, **settings)
        return task_id

    def send_settings(self, task_id: str, code: str, **settings: Any) -> None:
        """Send the settings of a task that was accepted."""
        self.peer.send(
            {"type": "broker:tasksettings", "taskId": task_id, "settings": settings_of(code, **settings)}
        )

    def cancel(self, task_id: str) -> None:
        """Cancel a task."""
        self.peer.send({"type": "broker:taskcancel", "taskId": task_id, "reason": "No longer wanted"})

    async def end(self, task_id: str, limit: float = PROMPT) -> TaskRun:
        """Wait for the last message of a task."""
        message = await self.peer.next(*ENDS, taskId=task_id, limit=limit)
        return TaskRun(message, tuple(self.peer.seen(taskId=task_id)))

    async def run(self, code: str, limit: float = PROMPT, **settings: Any) -> TaskRun:
        """Run a task to its end."""
        return await self.end(await self.start(code, **settings), limit)

    async def printed(self, task_id: str, *arguments: str, limit: float = PROMPT) -> None:
        """Wait until a task has printed exactly this, formatted."""
        await self.peer.next("runner:rpc", taskId=task_id, params=list(arguments), limit=limit)

    async def fence(self, offer_id: str | None = None) -> None:
        """Have a task run to its end: whatever was already on its way before has come when this returns."""
        task_id = await self.start("return 'fence'", offer_id)
        assert (await self.end(task_id)).result == "fence"


class FakeBroker:
    """Listens on a loopback port. What it does with a request can be changed at any time.

    Attributes:
        port: where it listens.
        prefix: path in front of ``/runners`` and ``/healthz``.
        auth_status: what ``/runners/auth`` answers; 200 mints.
        on_upgrade: status for an upgrade that brings a good token; 101 accepts it.
        close_at_once: accept an upgrade and close straight away, as old brokers do with bad tokens.
        rude: what to do with each connection instead of all this, for peers that are no broker.
        hits: every request so far.
        granted: the tokens not spent yet.
        spent: the tokens that came with an upgrade, in order.
        sessions: every connection so far.
    """

    def __init__(self, prefix: str = "") -> None:
        self.port = 0
        self.prefix = prefix
        self.auth_status = 200
        self.on_upgrade: Callable[[Hit], int] = lambda hit: 101
        self.close_at_once = False
        self.rude: Callable[[trio.SocketStream], Any] | None = None
        self.hits: list[Hit] = []
        self.granted: set[str] = set()
        self.spent: list[str] = []
        self.sessions: list[Session] = []
        self._arrivals, self._sessions = trio.open_memory_channel[Session](math.inf)
        self._hit = trio.Event()

    @property
    def url(self) -> str:
        """The base URI a runner is given."""
        return f"http://127.0.0.1:{self.port}{self.prefix}"

    def mint(self) -> str:
        """Return a fresh grant token that is good for one upgrade."""
        token = fresh_id("grant")
        self.granted.add(token)
        return token

    async def connected(self, limit: float = PROMPT) -> Session:
        """Return the next connection of a runner."""
        with trio.move_on_after(limit):
            return await self._sessions.receive()
        raise AssertionError(f"no runner connected within {limit} s; asked so far: {self.asked()}")

    async def registered(self, limit: float = PROMPT) -> Session:
        """Return the next connection of a runner, registered."""
        session = await self.connected(limit)
        await session.register()
        return session

    async def wait_hits(self, count: int, pattern: str, limit: float = PROMPT) -> list[Hit]:
        """Wait until `count` requests have matched a pattern, such as ``POST .*/auth``."""
        with trio.move_on_after(limit):
            while len(found := self.asked_for(pattern)) < count:
                await self._hit.wait()
            return found
        raise AssertionError(f"not {count} × {pattern} within {limit} s: {self.asked()}")

    def asked(self) -> list[str]:
        """Return method and path of every request so far."""
        return [f"{hit.method} {hit.path}" for hit in self.hits]

    def asked_for(self, pattern: str) -> list[Hit]:
        """Return the requests whose method and path match a pattern."""
        return [hit for hit in self.hits if re.fullmatch(pattern, f"{hit.method} {hit.path}")]

    # --- serving ------------------------------------------------------------------------------------

    async def serve(self, listeners: list[trio.SocketListener]) -> None:
        """Serve until cancelled."""
        await trio.serve_listeners(self._handle, listeners)

    async def _handle(self, stream: trio.SocketStream) -> None:
        try:
            await self._answer(stream)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass  # the runner was killed, or the test broke the connection off
        finally:
            await trio.aclose_forcefully(stream)

    async def _answer(self, stream: trio.SocketStream) -> None:
        if self.rude is not None:
            self._note(Hit("CONNECT", "/", {}, b"", trio.current_time()))
            await self.rude(stream)
            return
        read = await read_hit(stream)
        if read is None:
            return
        hit, raw = read
        self._note(hit)
        if hit.wants_upgrade:
            await self._upgrade(stream, hit, raw)
        else:
            await stream.send_all(self._plain_answer(hit))

    def _note(self, hit: Hit) -> None:
        self.hits.append(hit)
        self._hit.set()
        self._hit = trio.Event()

    def _plain_answer(self, hit: Hit) -> bytes:
        if (hit.method, hit.path) == ("GET", f"{self.prefix}/healthz"):
            return encode_answer(200, b'{"status":"ok"}')
        if (hit.method, hit.path) != ("POST", f"{self.prefix}/runners/auth"):
            return encode_answer(404, b"not here", "text/plain")
        if self.auth_status != 200:
            return encode_answer(self.auth_status, b'{"message":"refused by the test"}')
        if json.loads(hit.body) != {"token": AUTH_TOKEN}:
            return encode_answer(403, b'{"message":"wrong auth token"}')
        return encode_answer(200, json.dumps({"data": {"token": self.mint()}}).encode())

    async def _upgrade(self, stream: trio.SocketStream, hit: Hit, raw: bytes) -> None:
        protocol = ServerProtocol(max_size=None)
        protocol.receive_data(raw)
        (request, *_) = protocol.events_received()
        status = self._upgrade_status(hit)
        if status == 101:
            protocol.send_response(protocol.accept(request))  # type: ignore[arg-type]
        else:
            protocol.send_response(protocol.reject(status, "refused by the test"))
        peer = Peer(stream, protocol)
        if status == 101 and not self.close_at_once:
            session = Session(hit, peer)
            self.sessions.append(session)
            self._arrivals.send_nowait(session)
        elif status == 101:
            peer.close(1008)
        await peer.run()

    def _upgrade_status(self, hit: Hit) -> int:
        if hit.path != f"{self.prefix}/runners/_ws":
            return 404
        if hit.bearer is None:
            return 401
        if hit.bearer not in self.granted:
            return 403
        status = self.on_upgrade(hit)
        self.granted.discard(hit.bearer)
        self.spent.append(hit.bearer)
        return status


@asynccontextmanager
async def open_broker(prefix: str = "", port: int = 0) -> AsyncIterator[FakeBroker]:
    """Run a fake broker for the length of a block; leaving it breaks every connection off."""
    broker = FakeBroker(prefix)
    listeners = await trio.open_tcp_listeners(port, host="127.0.0.1")
    broker.port = listeners[0].socket.getsockname()[1]
    async with background(partial(broker.serve, listeners)):
        yield broker
