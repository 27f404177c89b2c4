"""The limits that every link keeps, whatever it is made of."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol

import pytest
import trio

from trio_runner.errors import LinkLost, LocalProtocolError
from trio_runner.protocol import messages as m
from trio_runner.protocol.codec import encode
from trio_runner.protocol.raw_json import RawJson
from trio_runner.transport.link import Link, LinkSettings


class Pair(Protocol):
    near: Link[Any]
    far: Link[Any]

    def cut(self) -> None: ...
    def stall(self) -> None: ...
    def send_raw(self, text: str) -> None: ...


class OpenPair(Protocol):
    def __call__(
        self, near: LinkSettings = ..., far: LinkSettings = ...
    ) -> AbstractAsyncContextManager[Pair]: ...


def accept(number: int) -> m.TaskOfferAccept:
    return m.TaskOfferAccept(str(number), "offer")


def settings_of(number: int, size: int = 1) -> m.TaskSettings:
    return m.TaskSettings(str(number), RawJson(b'"' + b"x" * size + b'"'))


async def test_a_message_that_is_too_large_is_refused_before_it_is_sent(open_pair: OpenPair) -> None:
    async with open_pair(near=LinkSettings(max_message=1000)) as pair:
        with pytest.raises(LocalProtocolError, match=r"TaskSettings of 10\d\d bytes.*limit of 1000 bytes"):
            pair.near.send(settings_of(1, 1000))
        assert pair.near.statistics().queued_messages == 0
        pair.near.send(accept(2))
        assert await pair.far.receive() == accept(2)


async def test_a_message_of_exactly_the_limit_passes_both_ways(open_pair: OpenPair) -> None:
    exact = LinkSettings(max_message=len(encode(settings_of(1, 1000))))
    async with open_pair(near=exact, far=exact) as pair:
        pair.near.send(settings_of(1, 1000))
        pair.far.send(settings_of(1, 1000))
        assert await pair.far.receive() == settings_of(1, 1000)
        assert await pair.near.receive() == settings_of(1, 1000)


@pytest.mark.parametrize("character", ["x", "😀"])
async def test_a_message_that_is_too_large_ends_the_link_with_1009(
    open_pair: OpenPair, character: str
) -> None:
    size = 1200 // len(character.encode())
    async with open_pair(near=LinkSettings(max_message=1000)) as pair:
        pair.far.send(accept(1))
        await pair.far.flush()
        pair.far.send(m.TaskSettings("t", RawJson(f'"{character * size}"'.encode())))
        assert await pair.near.receive() == accept(1)
        with pytest.raises(LinkLost, match=r"sent more than the limit of 1000 bytes; closed with code 1009$"):
            await pair.near.receive()
        with pytest.raises(
            LinkLost, match=r"closed the connection: code 1009 \(Exceeded maximum message size"
        ):
            await pair.far.receive()


async def test_a_peer_that_does_not_read_is_given_up(open_pair: OpenPair) -> None:
    async with open_pair(near=LinkSettings(max_queued=20_000_000)) as pair:
        pair.stall()
        for number in range(40):
            pair.near.send(settings_of(number, 1_000_000))
            await trio.lowlevel.checkpoint()
        with pytest.raises(
            LinkLost, match=r"does not read: \d+ bytes wait to be sent, the limit is 20000000"
        ):
            await pair.near.receive()
        pair.near.send(accept(1))


async def test_one_message_may_be_larger_than_the_queue(open_pair: OpenPair) -> None:
    async with open_pair(near=LinkSettings(max_queued=1000)) as pair:
        pair.near.send(settings_of(1, 100_000))
        assert await pair.far.receive() == settings_of(1, 100_000)
