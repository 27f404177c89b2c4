"""The harness itself: its fakes understand each other, and it notices what is wrong."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import trio

from .fake_broker import AUTH_TOKEN, FakeBroker, Session, fresh_id, open_broker
from .fake_peers import FakeRunner, Refused, mint, open_socket, upgrade
from .hosting import hosted
from .http_wire import fetch
from .processes import MARK, marked
from .wire import ConnectionOver, Peer


async def _register(runner: FakeRunner) -> None:
    await runner.register("python", name="Python Task Runner")


async def _run_one(session: Session, runner: FakeRunner) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(session.register)
        await _register(runner)
        runner.offer("python")
        nursery.start_soon(_serve_one, runner)
        assert (await session.run("return 7")).result == 7


async def _serve_one(runner: FakeRunner) -> None:
    task_id = await runner.asked()
    runner.answer("taskaccepted", task_id)
    assert (await runner.settings(task_id))["code"] == "return 7"
    runner.done(task_id, 7)


async def test_the_fakes_run_a_task_together() -> None:
    async with open_broker() as broker, open_socket(broker.port, "/runners", "fake") as peer:
        session = await broker.connected()
        assert session.hit.query == {"id": ["fake"]}
        await _run_one(session, FakeRunner(peer))
        await session.peer.ping()
        await peer.ping()


async def test_the_fake_broker_guards_its_door() -> None:
    async with open_broker() as broker:
        token = await mint(broker.port)
        for header, status in ((None, 401), ("Bearer wrong", 403)):
            with pytest.raises(Refused) as caught:
                await upgrade(broker.port, "/runners/_ws?id=x", header)
            assert caught.value.status == status
        await upgrade_and_leave(broker, token)
        with pytest.raises(Refused) as caught:
            await upgrade(broker.port, "/runners/_ws?id=x", f"Bearer {token}")
        assert caught.value.status == 403
        assert (await fetch(broker.port, "GET", "/healthz")).body == b'{"status":"ok"}'
        assert (await fetch(broker.port, "POST", "/runners/auth", body=b'{"token": "wrong"}')).status == 403


async def upgrade_and_leave(broker: FakeBroker, token: str) -> None:
    """Spend a token."""
    peer = await upgrade(broker.port, "/runners/_ws?id=x", f"Bearer {token}")
    await broker.connected()
    peer.drop()


async def _pair(broker: FakeBroker, peer: Peer) -> tuple[Peer, Peer]:
    return (await broker.connected()).peer, peer


async def test_messages_come_whole_and_in_order() -> None:
    async with open_broker() as broker, open_socket(broker.port, "/runners", "fake") as peer:
        server, client = await _pair(broker, peer)
        server.send_fragments(b'{"type":', b'"one"', b"}")
        server.send({"type": "two", "text": "ü\ud83d" * 500_000}, {"type": "three"})
        assert await client.next() == {"type": "one"}
        assert await client.next("three") == {"type": "three"}
        assert (await client.next())["type"] == "two"
        assert [message["type"] for message in client.seen()] == ["one", "two", "three"]
        await client.nothing(within=0.05)


async def test_a_missing_message_fails_the_test() -> None:
    async with open_broker() as broker, open_socket(broker.port, "/runners", "fake") as peer:
        server, client = await _pair(broker, peer)
        with pytest.raises(AssertionError, match=r"no wanted .* within 0.05 s"):
            await client.next("wanted", limit=0.05)
        server.send({"type": "unwanted"})
        with pytest.raises(AssertionError, match="unexpected"):
            await client.nothing("unwanted", within=30)
        server.close(1001)
        with pytest.raises(ConnectionOver, match="1001"):
            await client.next("wanted")


@pytest.mark.parametrize(
    "text", [b"{", b"[]", b'{"type": 1}', b'{"type": "x", "n": NaN}', b'{"type": "\xff"}']
)
async def test_a_broken_message_is_a_violation(text: bytes) -> None:
    with pytest.raises(AssertionError, match=r"violations|assert"):
        async with open_broker() as broker, open_socket(broker.port, "/runners", "fake") as peer:
            server, client = await _pair(broker, peer)
            server.send_text(text)
            server.send({"type": "after"})
            await client.next("after")
            assert len(client.violations) == 1


@pytest.mark.parametrize("how", ["drop", "hang_up", "close"])
async def test_the_end_of_a_connection_is_seen(how: str) -> None:
    async with open_broker() as broker, open_socket(broker.port, "/runners", "fake") as peer:
        server, client = await _pair(broker, peer)
        getattr(server, how)()
        await client.wait_over()
        assert client.close_code == (1000 if how == "close" else None)


def test_a_marked_process_is_found(tmp_path: Path) -> None:
    marker = fresh_id("harness-marker")
    code = MARK.format(marker=marker) + "print('up', flush=True)\nimport time\ntime.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, cwd=tmp_path) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"up\n"
            assert marked(marker) == [process.pid]
        finally:
            process.kill()
    assert marked(marker) == []


def test_a_host_lends_what_it_holds() -> None:
    async def port_of(broker: FakeBroker) -> int:
        await trio.lowlevel.checkpoint()
        return broker.port

    with hosted(open_broker) as host:
        assert host.run(port_of) == host.value.port > 0


def test_the_auth_token_of_the_harness_is_made_up() -> None:
    assert AUTH_TOKEN not in str(dict(os.environ))
