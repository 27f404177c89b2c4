"""One request, one answer, and every way in which there is none."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from trio.testing import MockClock

from trio_runner.errors import ConfigError, LinkLost
from trio_runner.protocol.raw_json import RawJson
from trio_runner.transport.http_client import HttpAnswer, get, post_json
from trio_runner.transport.link import LinkSettings

BODY = RawJson(b'{"token":"secret"}')


async def ask(start_raw_server: Any, play: Any, path: str = "/runners/auth") -> HttpAnswer:
    answer: HttpAnswer | LinkLost
    async with trio.open_nursery() as nursery:
        url = f"http://127.0.0.1:{await start_raw_server(nursery, play)}{path}"
        try:
            answer = await post_json(url, BODY, settings=LinkSettings(connect_timeout=5))
        except LinkLost as exc:
            answer = exc
        nursery.cancel_scope.cancel()
    if isinstance(answer, LinkLost):
        raise answer
    return answer


def answering(*parts: bytes, stay: bool = True) -> Any:
    async def play(peer: Any) -> None:
        await peer.read_until(BODY.data)
        for part in parts:
            await peer.stream.send_all(part)
        if stay:
            await trio.sleep_forever()

    return play


async def test_the_request(start_raw_server: Any) -> None:
    seen: list[bytes] = []

    async def play(peer: Any) -> None:
        seen.append(await peer.read_until(BODY.data))
        await peer.stream.send_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")

    assert await ask(start_raw_server, play, "/prefix/runners/auth?x=1") == HttpAnswer(200, b"{}")
    lines = seen[0].split(b"\r\n")
    assert lines[0] == b"POST /prefix/runners/auth?x=1 HTTP/1.1"
    assert b"Content-Type: application/json" in lines
    assert b"Content-Length: %d" % len(BODY) in lines
    assert lines[-1] == BODY.data


async def test_a_get_has_no_body_and_tells_the_date(start_raw_server: Any) -> None:
    seen: list[bytes] = []

    async def play(peer: Any) -> None:
        seen.append(await peer.read_until(b"\r\n\r\n"))
        date = b"Date: Wed, 25 Nov 2026 22:00:00 GMT\r\n"
        await peer.stream.send_all(b"HTTP/1.1 200 OK\r\n" + date + b"Content-Length: 2\r\n\r\n{}")

    async with trio.open_nursery() as nursery:
        answer = await get(f"http://127.0.0.1:{await start_raw_server(nursery, play)}/healthz")
        nursery.cancel_scope.cancel()
    assert answer == HttpAnswer(200, b"{}", "Wed, 25 Nov 2026 22:00:00 GMT")
    lines = seen[0].split(b"\r\n")
    assert lines[0] == b"GET /healthz HTTP/1.1"
    assert not any(line.lower().startswith((b"content-", b"transfer-")) for line in lines)


@pytest.mark.parametrize(
    "parts",
    [
        (b"HTTP/1.1 403 Forbidden\r\nContent-Length: 4\r\n\r\nnope",),
        (b"HTTP/1.1 403 Forbidden\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nno\r\n", b"2\r\npe\r\n0\r\n\r\n"),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 403 Forbidden\r\nContent-Length: 4\r\n\r\n", b"nope"),
    ],
)
async def test_any_status_is_an_answer(start_raw_server: Any, parts: tuple[bytes, ...]) -> None:
    assert await ask(start_raw_server, answering(*parts)) == HttpAnswer(403, b"nope")


async def test_an_answer_that_ends_with_the_connection(start_raw_server: Any) -> None:
    play = answering(b"HTTP/1.0 200 OK\r\n\r\nhello", stay=False)
    assert await ask(start_raw_server, play) == HttpAnswer(200, b"hello")


@pytest.mark.parametrize(
    ("play", "expected"),
    [
        (answering(), "accepted the connection but did not answer within 5 s"),
        (answering(stay=False), "closed the connection without an answer"),
        (answering(b"SSH-2.0-x\r\n"), "does not speak HTTP, it says"),
        (answering(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx"), "did not finish its answer within 5 s"),
        (answering(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx", stay=False), "broke off its answer"),
        (
            answering(b"HTTP/1.1 200 OK\r\nContent-Length: 2000000\r\n\r\n" + b"x" * 1_100_000),
            "answered with more than 1048576 bytes",
        ),
        (answering(b"HTTP/1.1 200 OK\r\nX: " + b"x" * 1_000_000), "broke off its answer"),
    ],
)
async def test_no_answer(start_raw_server: Any, autojump_clock: MockClock, play: Any, expected: str) -> None:
    with pytest.raises(LinkLost) as caught:
        await ask(start_raw_server, play)
    assert expected in str(caught.value)
    assert "127.0.0.1:" in str(caught.value)
    assert "secret" not in str(caught.value)


async def test_a_websocket_url_is_as_good(start_raw_server: Any) -> None:
    async with trio.open_nursery() as nursery:
        port = await start_raw_server(nursery, answering(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"))
        assert await post_json(f"ws://127.0.0.1:{port}/", BODY) == HttpAnswer(200, b"")
        nursery.cancel_scope.cancel()


async def test_a_url_that_is_none() -> None:
    with pytest.raises(ConfigError, match="is not the URL of a broker"):
        await post_json("127.0.0.1", BODY)


def test_the_repr_of_an_answer_hides_the_token() -> None:
    assert "token" not in repr(HttpAnswer(200, b'{"data":{"token":"x"}}'))
