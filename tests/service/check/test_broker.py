"""Each way in which a broker can fail a runner is told at its step, in bounded time."""

from __future__ import annotations

import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from email.utils import formatdate
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from trio_runner.broker.config import BrokerConfig
from trio_runner.broker.serve import BrokerHandle, serve_broker
from trio_runner.protocol import messages as m
from trio_runner.protocol.codec import RUNNER_TO_BROKER
from trio_runner.runner.config import RunnerConfig
from trio_runner.runner.dialer import NetworkDialer
from trio_runner.service.check.broker import BROKER_STEPS, check_broker
from trio_runner.service.check.findings import Finding, Report, Status
from trio_runner.transport.http_server import HttpRequest, HttpResponse, Upgrade, serve_http
from trio_runner.transport.link import Link, LinkSettings

pytestmark = pytest.mark.process

TOKEN = "auth-token-1"
GRANT = HttpResponse(200, b'{"data": {"token": "grant-token-1"}}')
Answer = HttpResponse | Upgrade[m.RunnerToBroker]


@pytest.fixture
def autojump_clock() -> MockClock:
    """Virtual time that passes when nothing has come for a moment: the kernel may need one to deliver."""
    return MockClock(autojump_threshold=0.01)


async def findings(broker: str, *, token: str = TOKEN, grant: str = "") -> dict[str, Finding]:
    """Check a broker; every step has one finding, in order."""
    config = RunnerConfig(
        brokers=(broker,), auth_token=token, grant_token=grant, link=LinkSettings(connect_timeout=5)
    )
    found: list[Finding] = []
    with trio.fail_after(40):
        await check_broker(broker, config, NetworkDialer(), Report("b", list(BROKER_STEPS), found.append))
    assert [finding.step for finding in found] == list(BROKER_STEPS)
    return {finding.step: finding for finding in found}


def failure(found: dict[str, Finding]) -> Finding:
    """Return the one that failed; all after it were skipped, and it has a remedy."""
    (failed,) = (finding for finding in found.values() if finding.status is Status.FAILED)
    after = list(BROKER_STEPS)[BROKER_STEPS.index(failed.step) + 1 :]
    assert all(found[step].status is Status.SKIPPED for step in after)
    assert all(failed.step in found[step].detail for step in after)
    assert failed.remedy
    return failed


@asynccontextmanager
async def serving(answer: Callable[[HttpRequest], Answer]) -> AsyncIterator[str]:
    """Serve HTTP as a test wants it."""
    async with trio.open_nursery() as nursery:
        addresses = await nursery.start(serve_http, "127.0.0.1", 0, answer)
        yield f"http://127.0.0.1:{addresses[0][1]}"
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def raw(talk: Callable[[trio.SocketStream], Awaitable[None]]) -> AsyncIterator[str]:
    """Serve something that is no HTTP."""

    async def serve(stream: trio.SocketStream) -> None:
        with suppress(trio.BrokenResourceError):  # the check has seen enough
            await talk(stream)

    async with trio.open_nursery() as nursery:
        (listener, *_) = await trio.open_tcp_listeners(0, host="127.0.0.1")
        await nursery.start(trio.serve_listeners, serve, [listener])
        yield f"http://127.0.0.1:{listener.socket.getsockname()[1]}"
        nursery.cancel_scope.cancel()


def talking(serve: Callable[[Link[m.RunnerToBroker]], Awaitable[None]]) -> Callable[[HttpRequest], Answer]:
    """Return a broker that gives tokens and then does with the link what the test wants."""

    def answer(request: HttpRequest) -> Answer:
        if request.path == "/runners/auth":
            return GRANT
        if request.wants_upgrade:
            return Upgrade(RUNNER_TO_BROKER, serve)
        return HttpResponse(200, headers=(("Date", formatdate(usegmt=True)),))

    return answer


async def stay_silent(link: Link[m.RunnerToBroker]) -> None:
    await trio.sleep_forever()


async def hang_up(link: Link[m.RunnerToBroker]) -> None:
    await trio.lowlevel.checkpoint()


async def test_a_real_broker_has_no_fault_and_no_runner_of_it_is_disturbed() -> None:
    async with trio.open_nursery() as nursery:
        config = BrokerConfig(host="127.0.0.1", port=0, auth_token=TOKEN)
        handle: BrokerHandle = await nursery.start(serve_broker, config)
        found = await findings(handle.url)
        assert {step: finding.status for step, finding in found.items() if step != "clock"} == {
            step: Status.OK for step in BROKER_STEPS if step != "clock"
        }
        assert "check-" in found["registration"].detail
        nursery.cancel_scope.cancel()


class Resolver(trio.abc.HostnameResolver):
    """Knows no name; or, if `hangs`, never answers."""

    def __init__(self, *, hangs: bool = False) -> None:
        self._hangs = hangs

    async def getaddrinfo(self, *_: Any, **__: Any) -> Any:
        if self._hangs:
            await trio.sleep_forever()
        await trio.lowlevel.checkpoint()
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    async def getnameinfo(self, *_: Any, **__: Any) -> Any:
        raise NotImplementedError


async def test_name_servers_that_do_not_answer(autojump_clock: MockClock) -> None:
    trio.socket.set_custom_hostname_resolver(Resolver(hangs=True))
    failed = failure(await findings("http://slow.invalid:5679"))
    assert failed.step == "name resolves"
    assert "within 5 s" in failed.detail


async def test_a_name_that_does_not_resolve() -> None:
    trio.socket.set_custom_hostname_resolver(Resolver())
    failed = failure(await findings("http://no-such-host.invalid:5679"))
    assert failed.step == "name resolves"
    assert "no-such-host.invalid" in failed.detail
    assert "DNS" in failed.remedy


async def test_a_port_that_is_closed() -> None:
    with trio.socket.socket() as held:
        await held.bind(("127.0.0.1", 0))  # bound and not listened on: nobody else gets it
        failed = failure(await findings(f"http://127.0.0.1:{held.getsockname()[1]}"))
    assert failed.step == "port open"
    assert "refused" in failed.detail


async def test_what_does_not_speak_http() -> None:
    async def talk(stream: trio.SocketStream) -> None:
        await stream.send_all(b"SSH-2.0-OpenSSH_9.6\r\n")
        await stream.receive_some()

    async with raw(talk) as url:
        failed = failure(await findings(url))
    assert failed.step == "HTTP answers"
    assert "does not speak HTTP" in failed.detail


async def test_what_says_nothing(autojump_clock: MockClock) -> None:
    async def talk(stream: trio.SocketStream) -> None:
        await trio.sleep_forever()

    async with raw(talk) as url:
        failed = failure(await findings(url))
    assert failed.step == "HTTP answers"
    assert "did not answer within 5 s" in failed.detail


async def test_tls_where_there_is_none() -> None:
    async with serving(lambda _: HttpResponse(200)) as url:
        failed = failure(await findings(url.replace("http:", "https:")))
    assert failed.step == "port open"
    assert "does not speak TLS" in failed.detail


async def test_a_wrong_token() -> None:
    async with trio.open_nursery() as nursery:
        config = BrokerConfig(host="127.0.0.1", port=0, auth_token=TOKEN)
        handle: BrokerHandle = await nursery.start(serve_broker, config)
        found = await findings(handle.url, token="wrong-token")
        nursery.cancel_scope.cancel()
    failed = failure(found)
    assert (failed.step, failed.detail) == ("auth token", "refused at /runners/auth: 403")
    assert "N8N_RUNNERS_AUTH_TOKEN" in failed.remedy
    assert "wrong-token" not in str(found)


async def test_something_else_than_a_broker() -> None:
    async with serving(lambda _: HttpResponse(404)) as url:
        found = await findings(url)
    assert found["HTTP answers"].status is Status.WARNING
    assert failure(found).step == "auth token"


async def test_a_grant_token_that_is_refused() -> None:
    def answer(request: HttpRequest) -> Answer:
        return (
            GRANT if request.path == "/runners/auth" else HttpResponse(403 if request.wants_upgrade else 200)
        )

    async with serving(answer) as url:
        failed = failure(await findings(url))
    assert failed.step == "grant token"
    assert "minted, but refused at /runners/_ws: 403" in failed.detail


async def test_a_proxy_that_passes_no_websockets() -> None:
    async with serving(
        lambda request: GRANT if request.path == "/runners/auth" else HttpResponse(200)
    ) as url:
        found = await findings(url)
    failed = failure(found)
    assert failed.step == "WebSocket"
    assert found["grant token"].detail == "minted"


async def test_a_broker_that_never_registers_anybody(autojump_clock: MockClock) -> None:
    async with serving(talking(stay_silent)) as url:
        failed = failure(await findings(url))
    assert failed.step == "registration"
    assert "within 5 s" in failed.detail


async def test_a_broker_that_hangs_up() -> None:
    async with serving(talking(hang_up)) as url:
        failed = failure(await findings(url))
    assert failed.step == "registration"
    assert "hung up" in failed.detail


async def test_a_task_that_comes_all_the_same_is_left_to_others() -> None:
    heard: list[object] = []

    async def offer_taker(link: Link[m.RunnerToBroker]) -> None:
        link.send(m.InfoRequest())
        heard.append(await link.receive())
        link.send(m.RunnerRegistered())
        offer = await link.receive()
        assert isinstance(offer, m.TaskOffer)
        assert offer.valid_for == 500
        link.send(m.TaskOfferAccept("t", offer.offer_id))
        heard.append(await link.receive())

    async with serving(talking(offer_taker)) as url:
        found = await findings(url)
    assert found["offer"].status is Status.OK
    assert heard[0] == m.RunnerInfo("Python Task Runner", ("python",))
    assert all(message == m.TaskRejected("t", "Runner is shutting down") for message in heard[1:])


async def test_a_grant_token_is_not_used_up() -> None:
    async with serving(talking(stay_silent)) as url:
        found = await findings(url, token="", grant="grant-token-1")
    assert [found[step].status for step in BROKER_STEPS[5:]] == [Status.SKIPPED] * 5
    assert all("use up" in found[step].detail for step in BROKER_STEPS[5:])


@pytest.mark.parametrize(
    ("offset", "status", "said"),
    [
        (0, Status.OK, "within a few seconds"),
        (-3600, Status.WARNING, "s ahead of"),
        (3600, Status.WARNING, "s behind"),
        (None, Status.SKIPPED, "does not tell"),
    ],
)
async def test_clocks(offset: float | None, status: Status, said: str) -> None:
    date = () if offset is None else (("Date", formatdate(time.time() + offset, usegmt=True)),)
    async with serving(lambda _: HttpResponse(200, headers=date)) as url:
        clock = (await findings(url))["clock"]
    assert clock.status is status
    assert said in clock.detail
