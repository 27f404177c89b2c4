"""The broker on a real socket, spoken to by a WebSocket library that is not ours."""

from __future__ import annotations

import http.client
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
import websockets.exceptions
from websockets.trio.client import ClientConnection, connect

from trio_runner.broker.config import BrokerConfig
from trio_runner.broker.serve import BrokerHandle, serve_broker
from trio_runner.errors import ConfigError
from trio_runner.scheduling.observer import PeerJoined, PeerLeft, RequestEnqueued
from trio_runner.testing import RecordingObserver

pytestmark = pytest.mark.process

SECRET = "the secret"


class Site:
    """A broker that serves, and ways to talk to it."""

    def __init__(
        self,
        handle: BrokerHandle,
        observer: RecordingObserver,
        serving: trio.CancelScope,
        ended: trio.Event,
    ) -> None:
        self.handle = handle
        self.observer = observer
        self.serving = serving
        self.ended = ended

    async def http(self, method: str, path: str, body: object = None) -> tuple[int, Any]:
        """Make one request; return status and decoded body."""
        return await trio.to_thread.run_sync(self._http, method, path, body)

    def _http(self, method: str, path: str, body: object) -> tuple[int, Any]:
        host, port = self.handle.addresses[0]
        connection = http.client.HTTPConnection(host, port, timeout=10)
        try:
            connection.request(method, path, None if body is None else json.dumps(body).encode())
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())
        finally:
            connection.close()

    async def grant(self, side: str) -> str:
        status, body = await self.http("POST", f"{side}/auth", {"token": SECRET})
        assert status == 200
        return str(body["data"]["token"])

    def url(self, target: str) -> str:
        return self.handle.url.replace("http", "ws", 1) + target

    @asynccontextmanager
    async def peer(self, side: str, peer_id: str) -> AsyncIterator[ClientConnection]:
        """Connect as a peer."""
        headers = {"Authorization": f"Bearer {await self.grant(side)}"}
        async with connect(
            self.url(f"{side}/_ws?id={peer_id}"), additional_headers=headers, proxy=None, max_size=None
        ) as connection:
            yield connection

    @asynccontextmanager
    async def runner(self, peer_id: str = "r") -> AsyncIterator[ClientConnection]:
        """Connect as a runner and register."""
        async with self.peer("/runners", peer_id) as connection:
            assert await receive(connection) == {"type": "broker:inforequest"}
            await send(connection, "runner:info", name="Fake", types=["python"])
            assert await receive(connection) == {"type": "broker:runnerregistered"}
            yield connection

    @asynccontextmanager
    async def requester(self, peer_id: str = "q") -> AsyncIterator[ClientConnection]:
        async with self.peer("/requesters", peer_id) as connection:
            yield connection


async def send(connection: ClientConnection, kind: str, **fields: object) -> None:
    await connection.send(json.dumps({"type": kind, **fields}))


async def receive(connection: ClientConnection) -> dict[str, Any]:
    message = json.loads(await connection.recv())
    assert isinstance(message, dict)
    return message


async def closed(connection: ClientConnection) -> tuple[int | None, str | None]:
    """Wait for the end of a connection; return close code and reason."""
    with pytest.raises(websockets.exceptions.ConnectionClosed):
        while True:
            await connection.recv()
    return connection.close_code, connection.close_reason


async def begin(runner: ClientConnection, requester: ClientConnection) -> str:
    """Bring a task to where it runs; returns its id."""
    await send(runner, "runner:taskoffer", offerId="o", taskType="python", validFor=5000)
    await send(requester, "requester:taskrequest", requestId="q1", taskType="python")
    accept = await receive(runner)
    assert (accept["type"], accept["offerId"]) == ("broker:taskofferaccept", "o")
    task_id = str(accept["taskId"])
    await send(runner, "runner:taskaccepted", taskId=task_id)
    assert await receive(requester) == {"type": "broker:taskready", "requestId": "q1", "taskId": task_id}
    await send(requester, "requester:tasksettings", taskId=task_id, settings={"code": "return 1"})
    assert await receive(runner) == {
        "type": "broker:tasksettings",
        "taskId": task_id,
        "settings": {"code": "return 1"},
    }
    return task_id


@asynccontextmanager
async def open_site(**settings: Any) -> AsyncIterator[Site]:
    """Serve a broker for the time of a block, in a cancel scope of its own."""
    config = BrokerConfig(**{"auth_token": SECRET, "port": 0, "requests_per_second": 1000, **settings})
    observer, serving, ended = RecordingObserver(), trio.CancelScope(), trio.Event()

    async def serve(task_status: trio.TaskStatus[BrokerHandle]) -> None:
        with serving:
            await serve_broker(config, observer=observer, task_status=task_status)
        ended.set()

    async with trio.open_nursery() as nursery:
        handle: BrokerHandle = await nursery.start(serve)
        yield Site(handle, observer, serving, ended)
        serving.cancel()


# --- the port ---------------------------------------------------------------------------------------


async def test_started_means_usable() -> None:
    async with open_site() as site:
        assert site.handle.addresses[0][0] == "127.0.0.1"
        assert site.handle.url == f"http://127.0.0.1:{site.handle.addresses[0][1]}"
        assert await site.http("GET", "/healthz") == (200, {"status": "ok"})
        assert SECRET not in repr(site.handle)


async def test_a_port_in_use_is_one_plain_error() -> None:
    async with open_site() as site:
        port = site.handle.addresses[0][1]
        with pytest.raises(ConfigError, match=f"cannot listen on 127.0.0.1 port {port}: the port is in use"):
            await serve_broker(BrokerConfig(auth_token=SECRET, port=port))


@pytest.mark.parametrize(
    ("addresses", "url"),
    [
        ((("127.0.0.1", 1),), "http://127.0.0.1:1"),
        ((("0.0.0.0", 2),), "http://127.0.0.1:2"),
        ((("::", 3),), "http://[::1]:3"),
        ((("::1", 4), ("127.0.0.1", 4)), "http://[::1]:4"),
    ],
)
async def test_the_url_is_one_that_this_machine_can_use(
    addresses: tuple[tuple[str, int], ...], url: str
) -> None:
    async with open_site() as site:
        handle = BrokerHandle(addresses, site.handle._exchange, site.handle._records, site.handle._draining)
        assert handle.url == url


# --- handshakes -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("target", "headers", "status"),
    [
        ("/runners/_ws?id=x", {}, 401),
        ("/runners/_ws?id=x", {"Authorization": "Bearer made-up"}, 403),
        ("/requesters/_ws?id=x", {"Authorization": "Bearer made-up"}, 403),
        ("/runners/_ws", {"Authorization": "Bearer made-up"}, 400),
        ("/nowhere", {"Authorization": "Bearer made-up"}, 404),
    ],
)
async def test_refused_upgrades(target: str, headers: dict[str, str], status: int) -> None:
    async with open_site() as site:
        with pytest.raises(websockets.exceptions.InvalidStatus) as caught:
            async with connect(site.url(target), additional_headers=headers, proxy=None):
                pass
        assert caught.value.response.status_code == status


async def test_a_spent_token_is_refused() -> None:
    async with open_site() as site:
        headers = {"Authorization": f"Bearer {await site.grant('/runners')}"}
        url = site.url("/runners/_ws?id=x")
        async with connect(url, additional_headers=headers, proxy=None):
            with pytest.raises(websockets.exceptions.InvalidStatus) as caught:
                async with connect(url, additional_headers=headers, proxy=None):
                    pass
        assert caught.value.response.status_code == 403


async def test_auth_over_http() -> None:
    async with open_site(requests_per_second=5) as site:
        assert (await site.http("POST", "/runners/auth", {"token": "wrong"}))[0] == 403
        assert (await site.http("POST", "/runners/auth", ["token"]))[0] == 400
        statuses = [(await site.http("POST", "/runners/auth", {"token": SECRET}))[0] for _ in range(8)]
        assert statuses[:3] == [200] * 3
        assert 429 in statuses


# --- tasks ------------------------------------------------------------------------------------------


async def test_a_task_from_request_to_result() -> None:
    async with open_site() as site, site.runner() as runner, site.requester() as requester:
        task_id = await begin(runner, requester)
        await send(runner, "runner:rpc", callId="c", taskId=task_id, name="logNodeOutput", params=["'hi'"])
        assert await receive(requester) == {
            "type": "broker:rpc",
            "callId": "c",
            "taskId": task_id,
            "name": "logNodeOutput",
            "params": ["'hi'"],
        }
        await send(runner, "runner:taskdone", taskId=task_id, data={"result": [1]})
        assert await receive(requester) == {
            "type": "broker:taskdone",
            "taskId": task_id,
            "data": {"result": [1]},
        }
        assert site.handle.statistics().ended == {"done": 1}


async def test_a_runner_that_vanishes() -> None:
    async with open_site() as site, site.requester() as requester:
        async with site.runner() as runner:
            await begin(runner, requester)
        error = await receive(requester)
        assert (error["type"], error["error"]["kind"]) == ("broker:taskerror", "runner-lost")
        assert (await site.observer.wait_for(PeerLeft)).tasks_failed == 1


async def test_a_large_payload_passes() -> None:
    blob = "x" * 3_000_000
    async with open_site() as site, site.runner() as runner, site.requester() as requester:
        task_id = await begin(runner, requester)
        await send(runner, "runner:taskdone", taskId=task_id, data={"result": blob})
        with trio.fail_after(20):
            assert (await receive(requester))["data"] == {"result": blob}


async def test_a_message_over_the_limit_ends_its_sender() -> None:
    async with open_site(max_payload=10_000) as site, site.runner("good") as good:
        async with site.runner("bad") as bad:
            await bad.send("x" * 20_000)
            assert (await closed(bad))[0] == 1009
        await site.observer.wait_for(PeerLeft)
        await send(good, "runner:taskoffer", offerId="o", taskType="python", validFor=5000)
        await good.ping()
        assert site.handle.statistics().runners == 1


# --- the end ----------------------------------------------------------------------------------------


async def test_being_cancelled_closes_all_connections_promptly() -> None:
    async with open_site() as site, site.runner() as runner, site.requester() as requester:
        await begin(runner, requester)
        port = site.handle.addresses[0][1]
        begun = trio.current_time()
        site.serving.cancel()
        assert (await closed(runner))[0] == 1001
        assert (await closed(requester))[0] == 1001
        await site.ended.wait()
        assert trio.current_time() - begun < 2
        with pytest.raises(OSError, match=str(port)):
            await trio.open_tcp_stream("127.0.0.1", port)


async def test_draining_ends_once_the_tasks_have() -> None:
    async with open_site() as site, site.runner() as runner, site.requester() as requester:
        task_id = await begin(runner, requester)
        await send(requester, "requester:taskrequest", requestId="waits", taskType="python")
        await site.observer.wait_for(RequestEnqueued)
        site.handle.drain()
        expired = {"type": "broker:requestexpired", "requestId": "waits", "reason": "draining"}
        assert await receive(requester) == expired
        assert await receive(runner) == {"type": "broker:drain"}
        await send(requester, "requester:taskrequest", requestId="late", taskType="python")
        assert await receive(requester) == expired | {"requestId": "late"}
        assert not site.ended.is_set()
        await send(runner, "runner:taskdone", taskId=task_id, data={"result": 1})
        assert (await receive(requester))["type"] == "broker:taskdone"
        assert await closed(runner) == (1001, "broker is shutting down")
        assert await closed(requester) == (1001, "broker is shutting down")
        await site.ended.wait()


async def test_draining_ends_at_its_limit_and_says_so() -> None:
    async with open_site(drain_timeout=0.2) as site, site.runner() as runner, site.requester() as requester:
        task_id = await begin(runner, requester)
        site.handle.drain()
        site.handle.drain()
        error = await receive(requester)
        assert (error["taskId"], error["error"]["kind"]) == (task_id, "cancelled")
        assert await receive(runner) == {"type": "broker:drain"}
        assert (await receive(runner))["type"] == "broker:taskcancel"
        assert (await closed(runner))[0] == 1001


async def test_many_runners_come_and_go() -> None:
    async with open_site() as site:
        for _ in range(3):
            async with site.runner("same") as one, site.runner("other") as other:
                await one.ping()
                await other.ping()
        await site.observer.wait_for(PeerLeft, count=6)
        assert len(site.observer.of(PeerJoined)) == 6
        assert site.handle.statistics().runners == 0
