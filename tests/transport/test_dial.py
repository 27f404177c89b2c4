"""Opening a link: every way to fail has its own error, and nothing hangs."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from trio_runner.errors import AuthRejected, ConfigError, LinkError, LinkLost
from trio_runner.protocol import messages as m
from trio_runner.protocol.codec import BROKER_TO_RUNNER
from trio_runner.transport.dial import open_link
from trio_runner.transport.link import LinkSettings

Play = Callable[[Any], Awaitable[None]]
StartRawServer = Callable[..., Awaitable[int]]
TEXT = 1
WRONG_KEY = (
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Accept: bm9uc2Vuc2U=\r\n\r\n"
)


async def failure(url: str, *, settings: LinkSettings | None = None, bearer: str = "token") -> LinkError:
    """Return the error with which opening a link fails."""
    with pytest.raises(LinkError) as caught:
        async with open_link(url, BROKER_TO_RUNNER, bearer=bearer, settings=settings or LinkSettings()):
            pytest.fail("the link opened")
    assert "\n" not in str(caught.value)
    return caught.value


async def failure_with(start: StartRawServer, play: Play, scheme: str = "ws", **options: Any) -> LinkError:
    """Return the error with which a server that plays `play` is left."""
    async with trio.open_nursery() as nursery:
        port = await start(nursery, play, options.pop("context", None))
        error = await failure(f"{scheme}://127.0.0.1:{port}/runners/_ws?id=1", **options)
        assert f"127.0.0.1:{port}" in str(error)
        nursery.cancel_scope.cancel()
    return error


async def test_a_server_that_accepts_and_says_nothing(
    start_raw_server: StartRawServer, autojump_clock: MockClock
) -> None:
    async def play(peer: Any) -> None:
        await peer.read_until(b"\r\n\r\n")
        await trio.sleep_forever()

    error = await failure_with(start_raw_server, play, settings=LinkSettings(connect_timeout=7))
    assert trio.current_time() == pytest.approx(7, abs=0.1)
    assert "accepted the connection but did not answer within 7 s" in str(error)


async def test_cancelling_the_handshake(start_raw_server: StartRawServer, autojump_clock: MockClock) -> None:
    async def play(peer: Any) -> None:
        await trio.sleep_forever()

    async with trio.open_nursery() as nursery:
        port = await start_raw_server(nursery, play)
        with trio.move_on_after(1) as scope:
            await failure(f"ws://127.0.0.1:{port}/")
        assert scope.cancelled_caught
        assert trio.current_time() == pytest.approx(1, abs=0.01)
        nursery.cancel_scope.cancel()


async def test_a_server_that_hangs_up(start_raw_server: StartRawServer) -> None:
    async def play(peer: Any) -> None:
        await peer.read_until(b"\r\n\r\n")

    assert "closed the connection without an answer" in str(await failure_with(start_raw_server, play))


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (b"SSH-2.0-OpenSSH_9.6\r\n", r"does not speak HTTP, it says 'SSH-2.0-OpenSSH_9.6\r\n'"),
        (b"\xff\xfe\0\x01" * 100, "does not speak HTTP, it says"),
        (b"HT", "closed the connection without an answer"),
        (b"\x15\x03\x01\x00\x02\x02\x16", "speaks TLS: use https:// or wss://"),
        (b"HTTP/1.1 101 Switching Protocols\r\n\r\n", "answered the WebSocket handshake wrongly"),
        (WRONG_KEY, "answered the WebSocket handshake wrongly"),
    ],
)
async def test_a_server_that_speaks_something_else(
    start_raw_server: StartRawServer, words: bytes, expected: str
) -> None:
    async def play(peer: Any) -> None:
        await peer.stream.send_all(words)
        await peer.read_until(b"\r\n\r\n")

    error = await failure_with(start_raw_server, play)
    assert isinstance(error, LinkLost)
    assert expected in str(error)


async def test_a_server_that_babbles_and_stays(
    start_raw_server: StartRawServer, autojump_clock: MockClock
) -> None:
    async def play(peer: Any) -> None:
        await peer.stream.send_all(b"220 mail.example ESMTP\r\n")
        await trio.sleep_forever()

    error = await failure_with(start_raw_server, play)
    assert "does not speak HTTP, it says '220 mail.example ESMTP" in str(error)
    assert trio.current_time() <= 10


@pytest.mark.parametrize(
    "framing", [b"Content-Length: 4\r\n\r\nsorry", b"Content-Length: 0\r\n\r\n", b"\r\nsorry"]
)
@pytest.mark.parametrize(
    ("status", "kind", "expected"),
    [
        (401, AuthRejected, "it wants a token"),
        (403, AuthRejected, "the token is wrong, spent or expired"),
        (404, LinkLost, "there is no such path; check the path in the broker URL"),
        (302, LinkLost, "a redirect"),
        (429, LinkLost, "too many requests"),
        (503, LinkLost, "the broker, or a proxy before it, is in trouble"),
        (200, LinkLost, "instead of a WebSocket"),
        (418, LinkLost, "instead of a WebSocket"),
    ],
)
async def test_a_server_that_refuses_and_keeps_the_connection(
    start_raw_server: StartRawServer,
    autojump_clock: MockClock,
    framing: bytes,
    status: int,
    kind: type[LinkError],
    expected: str,
) -> None:
    async def play(peer: Any) -> None:
        await peer.read_until(b"\r\n\r\n")
        await peer.stream.send_all(b"HTTP/1.1 %d Something\r\nConnection: keep-alive\r\n" % status + framing)
        await trio.sleep_forever()

    error = await failure_with(start_raw_server, play)
    assert type(error) is kind
    assert f"answered {status} to /runners/_ws" in str(error)
    assert expected in str(error)
    assert "id=1" not in str(error)
    if isinstance(error, AuthRejected):
        assert error.status == status


async def test_a_broker_that_upgrades_and_closes_at_once(start_raw_server: StartRawServer) -> None:
    async def play(peer: Any) -> None:
        await peer.accept(extra=peer.frame(8, b"\x0f\xa1Invalid token"))

    async with trio.open_nursery() as nursery:
        port = await start_raw_server(nursery, play)
        async with open_link(f"ws://127.0.0.1:{port}/a", BROKER_TO_RUNNER, bearer="spent") as link:
            with pytest.raises(
                LinkLost, match=rf"^ws://127.0.0.1:{port}/a closed .* code 4001 \(Invalid token\)$"
            ):
                await link.receive()
        nursery.cancel_scope.cancel()


async def test_a_message_in_the_packet_of_the_handshake_is_received(start_raw_server: StartRawServer) -> None:
    async def play(peer: Any) -> None:
        await peer.accept(extra=peer.frame(TEXT, b'{"type":"broker:inforequest"}'))
        await peer.read()

    async with trio.open_nursery() as nursery:
        port = await start_raw_server(nursery, play)
        async with open_link(f"ws://127.0.0.1:{port}/a", BROKER_TO_RUNNER, bearer="") as link:
            assert await link.receive() == m.InfoRequest()
        nursery.cancel_scope.cancel()


# --- the request ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("bearer", "expected"), [("grant-token", b"Bearer grant-token"), ("", None)])
async def test_path_prefix_query_and_token_are_sent(
    start_raw_server: StartRawServer, bearer: str, expected: bytes | None
) -> None:
    requests: list[bytes] = []

    async def play(peer: Any) -> None:
        await peer.accept()
        requests.append(peer.request)

    async with trio.open_nursery() as nursery:
        port = await start_raw_server(nursery, play)
        url = f"http://127.0.0.1:{port}/prefix/runners/_ws?id=a%20b"
        async with open_link(url, BROKER_TO_RUNNER, bearer=bearer) as link:
            assert link.peer == f"http://127.0.0.1:{port}/prefix/runners/_ws"
        nursery.cancel_scope.cancel()
    lines = requests[0].split(b"\r\n")
    assert lines[0] == b"GET /prefix/runners/_ws?id=a%20b HTTP/1.1"
    headers = dict(line.split(b": ", 1) for line in lines[1:-2])
    assert headers[b"Host"] == f"127.0.0.1:{port}".encode()
    assert headers.get(b"Authorization") == expected


@pytest.mark.parametrize("token", ["with\nline", "ünïcode", " padded", "padded "])
async def test_a_token_that_no_header_can_carry(token: str) -> None:
    with pytest.raises(ConfigError, match="the token holds") as caught:
        async with open_link("ws://127.0.0.1:1/", BROKER_TO_RUNNER, bearer=token):
            pytest.fail("the link opened")
    assert token not in str(caught.value)


async def test_a_url_that_is_none() -> None:
    with pytest.raises(ConfigError, match="is not the URL of a broker"):
        async with open_link("localhost:5679", BROKER_TO_RUNNER, bearer=""):
            pytest.fail("the link opened")
