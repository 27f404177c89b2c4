"""Opening a requester over a real socket: tokens, refusals, the way out."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio

from trio_runner.errors import AuthRejected, ConfigError, LinkLost, UserCodeError
from trio_runner.protocol import messages as m
from trio_runner.protocol.codec import REQUESTER_TO_BROKER
from trio_runner.protocol.raw_json import RawJson
from trio_runner.requester import open_requester
from trio_runner.transport.http_server import HttpRequest, HttpResponse, Upgrade, serve_http
from trio_runner.transport.link import Link

SECRET = "hush-hush"
GRANT = "one-time"


class SocketBroker:
    """Answers token requests as told, tasks with their settings; ``boom`` fails, ``endless`` never ends."""

    def __init__(self) -> None:
        self.url = ""
        self.path = "/requesters"
        self.answer = HttpResponse(200, json.dumps({"data": {"token": GRANT}}).encode(), "application/json")
        self.requests: list[HttpRequest] = []
        self.heard: list[object] = []
        self.started = trio.Event()
        self.left = trio.Event()

    def route(self, request: HttpRequest) -> HttpResponse | Upgrade[m.RequesterToBroker]:
        self.requests.append(request)
        if request.path == f"{self.path}/auth":
            return self.answer
        if request.path != f"{self.path}/_ws":
            return HttpResponse(404)
        if request.headers.get("authorization") != f"Bearer {GRANT}":
            return HttpResponse(403)
        return Upgrade(REQUESTER_TO_BROKER, self.serve)

    async def serve(self, link: Link[m.RequesterToBroker]) -> None:
        try:
            while True:
                message = await link.receive()
                self.heard.append(message)
                if isinstance(message, m.TaskRequest):
                    link.send(m.TaskReady(message.request_id, f"task of {message.task_type}"))
                elif isinstance(message, m.RequesterTaskSettings):
                    self.started.set()
                    if message.task_id != "task of endless":
                        link.send(self._end(message))
        except LinkLost:
            self.left.set()

    def _end(self, settings: m.RequesterTaskSettings) -> object:
        if settings.task_id == "task of boom":
            return m.TaskFailure(settings.task_id, RawJson.of({"message": "boom", "description": ""}))
        return m.TaskResult(settings.task_id, RawJson(b'{"result": ' + settings.settings.data + b"}"))


@asynccontextmanager
async def socket_broker() -> AsyncIterator[SocketBroker]:
    broker = SocketBroker()
    async with trio.open_nursery() as nursery:
        ((host, port),) = await nursery.start(serve_http, "127.0.0.1", 0, broker.route)
        broker.url = f"http://{host}:{port}"
        yield broker
        nursery.cancel_scope.cancel()


async def test_a_grant_token_is_minted_and_used() -> None:
    async with socket_broker() as broker:
        async with open_requester(broker.url, auth_token=SECRET, requester_id="me") as requester:
            assert await requester.run_task("echo", {"n": 1}) == {"n": 1}
        minted, connected = broker.requests
        assert (minted.method, minted.path, json.loads(minted.body)) == (
            "POST",
            "/requesters/auth",
            {"token": SECRET},
        )
        assert connected.query == {"id": "me"}
        with trio.fail_after(30):
            await broker.left.wait()


async def test_a_given_grant_token_is_used_as_it_is() -> None:
    async with socket_broker() as broker:
        async with open_requester(broker.url, grant_token=GRANT) as requester:
            assert await requester.run_task("echo", [1]) == [1]
        (connected,) = broker.requests
        assert len(connected.query["id"]) >= 16


async def test_path_prefix_and_path_are_kept() -> None:
    async with socket_broker() as broker:
        broker.path = "/prefix/clients"
        async with open_requester(f"{broker.url}/prefix/", auth_token=SECRET, path="/clients") as requester:
            assert await requester.run_task("echo", 5) == 5


async def test_an_error_leaves_the_block_as_it_was_raised() -> None:
    async with socket_broker() as broker:
        with pytest.raises(UserCodeError, match="boom"):
            async with open_requester(broker.url, auth_token=SECRET) as requester:
                await requester.run_task("boom", {})


async def test_a_cancelled_task_is_cancelled_at_the_broker_before_the_connection_is_closed() -> None:
    async with socket_broker() as broker:
        async with (
            open_requester(broker.url, auth_token=SECRET) as requester,
            requester.start_task("endless", {}),
        ):
            await broker.started.wait()
        with trio.fail_after(30):
            await broker.left.wait()
        assert m.RequesterTaskCancel in {type(message) for message in broker.heard}


@pytest.mark.parametrize(
    ("status", "body", "error", "message"),
    [
        (
            401,
            b"",
            AuthRejected,
            r"refused the auth token \(401\): it must be the one that the broker was started",
        ),
        (403, b"", AuthRejected, r"/requesters/auth refused the auth token \(403\)"),
        (404, b"", LinkLost, r"does not exist \(404\): is this a broker that serves requesters\?"),
        (429, b"", LinkLost, r"limits the rate of connections \(429\): try again in a second"),
        (400, b"", LinkLost, r"answered 400: is this the URL of a task broker\?"),
        (502, b"", LinkLost, "answered 502: the broker, or a proxy before it, is in trouble; see its log"),
        (200, b"<html>", LinkLost, "answered without a grant token"),
        (200, b"{}", LinkLost, "answered without a grant token"),
        (200, b'{"data": {"token": ""}}', LinkLost, "answered without a grant token"),
        (200, b'{"data": [1]}', LinkLost, "answered without a grant token"),
        (200, b'{"data": {"token": "a\\nb"}}', LinkLost, "answered without a grant token"),
    ],
)
async def test_refused_token_requests_say_what_to_do(
    status: int, body: bytes, error: type[Exception], message: str
) -> None:
    async with socket_broker() as broker:
        broker.answer = HttpResponse(status, body)
        with pytest.raises(error, match=message) as caught:
            async with open_requester(broker.url, auth_token=SECRET):
                raise AssertionError("opened")
        assert SECRET not in str(caught.value)


async def test_a_refused_grant_token() -> None:
    async with socket_broker() as broker:
        with pytest.raises(AuthRejected) as caught:
            async with open_requester(broker.url, grant_token="used-up"):
                raise AssertionError("opened")
        assert caught.value.status == 403
        assert "used-up" not in str(caught.value)


async def test_nobody_there() -> None:
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    port = listeners[0].socket.getsockname()[1]
    await listeners[0].aclose()
    with pytest.raises(LinkLost, match=f"127.0.0.1:{port}"):
        async with open_requester(f"http://127.0.0.1:{port}", auth_token=SECRET):
            raise AssertionError("opened")


@pytest.mark.parametrize(
    ("url", "options", "message"),
    [
        ("http://127.0.0.1:1", {}, "no token: give auth_token"),
        ("not a url", {"auth_token": SECRET}, "not a url"),
        ("ftp://host", {"auth_token": SECRET}, "ftp://host"),
    ],
)
async def test_wrong_arguments_are_named(url: str, options: dict[str, str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        async with open_requester(url, **options):  # type: ignore[arg-type]
            raise AssertionError("opened")


async def test_max_in_flight_must_be_a_number_of_tasks() -> None:
    async with socket_broker() as broker:
        with pytest.raises(ConfigError, match="max_in_flight must be at least 1, not 0"):
            async with open_requester(broker.url, auth_token=SECRET, max_in_flight=0):
                raise AssertionError("opened")
