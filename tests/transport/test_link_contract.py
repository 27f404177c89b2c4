"""What every link must do, whatever it is made of: in memory, the client's end, the server's end."""

from __future__ import annotations

import re
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol

import pytest
import trio
import trio.testing

from trio_runner.errors import LinkLost
from trio_runner.protocol import messages as m
from trio_runner.protocol.codec import UnknownMessage, encode
from trio_runner.protocol.raw_json import RawJson
from trio_runner.transport.link import Link, LinkSettings, Malformed


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


async def receive(link: Link[Any], count: int) -> list[object]:
    return [await link.receive() for _ in range(count)]


async def test_messages_arrive_as_they_were_sent(open_pair: OpenPair) -> None:
    sent = m.TaskSettings("t", RawJson('{"code":"return 1","items":[{"json":{"ä":"😀"}}]}'.encode()))
    async with open_pair() as pair:
        pair.near.send(sent)
        pair.far.send(m.TaskDone("t", RawJson(b'{"result":[1,2]}')))
        assert await pair.far.receive() == sent
        assert await pair.near.receive() == m.TaskDone("t", RawJson(b'{"result":[1,2]}'))


async def test_order_is_kept_within_a_lane(open_pair: OpenPair) -> None:
    async with open_pair() as pair:
        for number in range(50):
            pair.near.send(accept(number))
            pair.near.send(settings_of(number))
        arrived = await receive(pair.far, 100)
    assert [message for message in arrived if isinstance(message, m.TaskOfferAccept)] == [
        accept(number) for number in range(50)
    ]
    assert [message for message in arrived if isinstance(message, m.TaskSettings)] == [
        settings_of(number) for number in range(50)
    ]


async def test_urgent_messages_overtake_bulk_that_waits(open_pair: OpenPair) -> None:
    async with open_pair() as pair:
        pair.near.send(settings_of(1, 5000), more=True)
        pair.near.send(settings_of(2), more=True)
        pair.near.send(accept(3))
        assert await receive(pair.far, 3) == [accept(3), settings_of(1, 5000), settings_of(2)]


async def test_small_payloads_keep_their_place_among_urgent_messages(open_pair: OpenPair) -> None:
    async with open_pair() as pair:
        pair.near.send(settings_of(1), more=True)
        pair.near.send(accept(2))
        assert await receive(pair.far, 2) == [settings_of(1), accept(2)]


async def test_each_message_is_handed_over_in_order_from_the_first_that_waits(open_pair: OpenPair) -> None:
    arrived: list[object] = []
    async with open_pair() as pair, trio.open_nursery() as nursery:
        for number in range(3):
            pair.far.send(accept(number))
        first = await pair.near.receive()
        await trio.testing.wait_all_tasks_blocked(0.01)  # the others wait
        done = trio.Event()

        def handle(message: object) -> None:
            arrived.append(message)
            if len(arrived) == 5:
                done.set()

        nursery.start_soon(pair.near.receive_each, handle)
        for number in range(3, 6):
            pair.far.send(accept(number))
        await done.wait()
        nursery.cancel_scope.cancel()
    assert [first, *arrived] == [accept(number) for number in range(6)]


async def test_the_end_comes_after_everything_that_was_to_be_handed_over(open_pair: OpenPair) -> None:
    arrived: list[object] = []
    async with open_pair() as pair:
        pair.far.send(accept(1))
        pair.far.send(settings_of(2))
        pair.far.close(4001, "enough of this")
        with pytest.raises(LinkLost, match="enough of this"):
            await pair.near.receive_each(arrived.append)
    assert arrived == [accept(1), settings_of(2)]


async def test_what_handling_a_message_raises_leaves_where_it_was_asked_for(open_pair: OpenPair) -> None:
    def handle(message: object) -> None:
        if message == accept(2):
            raise ArithmeticError("a fault of the owner")

    async with open_pair() as pair, trio.open_nursery() as nursery:

        async def fail() -> None:
            with pytest.raises(ArithmeticError):
                await pair.near.receive_each(handle)
            assert await pair.near.receive() == accept(3), "the link lives on"

        nursery.start_soon(fail)
        await trio.testing.wait_all_tasks_blocked(0.01)
        for number in range(1, 4):
            pair.far.send(accept(number))


async def test_cancelled_handing_over_loses_nothing(open_pair: OpenPair) -> None:
    arrived: list[object] = []
    async with open_pair() as pair:
        with trio.CancelScope() as scope:

            def handle(message: object) -> None:
                arrived.append(message)
                scope.cancel()

            pair.far.send(accept(1))
            await pair.near.receive_each(handle)
        pair.far.send(accept(2))
        assert await pair.near.receive() == accept(2)
    assert arrived == [accept(1)]


async def test_what_arrived_before_the_peer_closed_is_received_first(open_pair: OpenPair) -> None:
    async with open_pair() as pair:
        pair.far.send(accept(1))
        pair.far.send(settings_of(2))
        pair.far.close(4001, "enough of this")
        assert await receive(pair.near, 2) == [accept(1), settings_of(2)]
        for _ in range(2):
            with pytest.raises(
                LinkLost, match=r"closed the connection: code 4001 \(enough of this\)$"
            ) as caught:
                await pair.near.receive()
            assert pair.near.peer in str(caught.value)


async def test_what_arrived_before_our_own_close_is_received_first(open_pair: OpenPair) -> None:
    async with open_pair() as pair:
        pair.far.send(accept(1))
        pair.far.send(accept(2))
        assert await pair.near.receive() == accept(1)
        pair.near.close()
        assert await pair.near.receive() == accept(2)
        with pytest.raises(LinkLost, match="closed on this side"):
            await pair.near.receive()


async def test_close_writes_the_queue_first(open_pair: OpenPair) -> None:
    async with open_pair() as pair:
        for number in range(20):
            pair.near.send(settings_of(number, 100_000))
        pair.near.close(1000, "done")
        assert await receive(pair.far, 20) == [settings_of(number, 100_000) for number in range(20)]
        with pytest.raises(LinkLost, match=r"code 1000 \(done\)"):
            await pair.far.receive()


async def test_a_cut_connection_is_lost_on_both_sides(open_pair: OpenPair) -> None:
    async with open_pair() as pair:
        pair.cut()
        for link in (pair.near, pair.far):
            with pytest.raises(LinkLost) as caught:
                await link.receive()
            assert str(caught.value) == f"connection to {link.peer} lost"


async def test_send_after_the_loss_is_silent(open_pair: OpenPair) -> None:
    async with open_pair() as pair:
        pair.cut()
        with pytest.raises(LinkLost):
            await pair.near.receive()
        pair.near.send(accept(1))
        pair.near.close()
        assert pair.near.statistics().queued_messages == 0
        await pair.near.flush()


async def test_send_after_close_is_silent_and_only_the_first_close_counts(open_pair: OpenPair) -> None:
    async with open_pair() as pair:
        pair.near.send(accept(1))
        pair.near.close(4002, "first")
        pair.near.send(accept(2))
        pair.near.close(4003, "second")
        assert await pair.far.receive() == accept(1)
        with pytest.raises(LinkLost, match=r"code 4002 \(first\)"):
            await pair.far.receive()


@pytest.mark.parametrize("code", [0, 999, 1005, 1006, 1015, 5000])
async def test_a_close_code_that_no_frame_may_carry_is_refused(open_pair: OpenPair, code: int) -> None:
    async with open_pair() as pair:
        with pytest.raises(ValueError, match=f"{code} is no WebSocket close code"):
            pair.near.close(code)
        pair.near.send(accept(1))
        assert await pair.far.receive() == accept(1)


async def test_a_close_reason_that_is_too_long_is_cut(open_pair: OpenPair) -> None:
    async with open_pair() as pair:
        pair.near.close(4000, "ä" * 200)
        with pytest.raises(LinkLost, match=r"\(ä{61}\)$"):
            await pair.far.receive()


async def test_flush_waits_until_everything_is_written(open_pair: OpenPair) -> None:
    async with open_pair() as pair:
        pair.near.send(settings_of(1, 3_000_000))
        pair.near.send(accept(2))
        assert pair.near.statistics().queued_messages == 2
        await pair.near.flush()
        assert pair.near.statistics().queued_messages == 0
        assert pair.near.statistics().messages_sent == 2
        await pair.near.flush()


async def test_flush_ends_when_the_link_is_lost(open_pair: OpenPair) -> None:
    async with open_pair() as pair, trio.open_nursery() as nursery:
        pair.stall()
        for number in range(64):
            pair.near.send(settings_of(number, 1_000_000))
        nursery.start_soon(pair.near.flush)
        await trio.testing.wait_all_tasks_blocked(0.05)
        assert pair.near.statistics().queued_messages > 0
        pair.cut()


async def test_flush_does_not_wait_for_what_is_sent_later(open_pair: OpenPair) -> None:
    async with open_pair() as pair, trio.open_nursery() as nursery:
        pair.near.send(accept(0))
        finished = trio.Event()

        async def flush() -> None:
            await pair.near.flush()
            finished.set()

        async def chatter() -> None:
            number = 1
            while not finished.is_set():
                pair.near.send(accept(number))
                await pair.far.receive()
                number += 1

        nursery.start_soon(flush)
        nursery.start_soon(chatter)


async def test_cancelling_receive_loses_nothing(open_pair: OpenPair) -> None:
    async with open_pair() as pair:
        arrived: list[object] = []
        for number in range(50):
            with trio.CancelScope() as scope:
                pair.far.send(accept(number))
                if number % 2:
                    await trio.lowlevel.checkpoint()
                scope.cancel()
                arrived.append(await pair.near.receive())
            assert scope.cancelled_caught
        arrived += await receive(pair.near, 50 - len(arrived))
    assert arrived == [accept(number) for number in range(50)]


async def test_cancelling_a_waiting_receive_loses_nothing(open_pair: OpenPair) -> None:
    async with open_pair() as pair:
        for number in range(20):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(pair.near.receive)
                await trio.testing.wait_all_tasks_blocked(0.001)
                nursery.cancel_scope.cancel()
                pair.far.send(accept(number))
            assert await pair.near.receive() == accept(number)


async def test_receive_always_lets_others_run(open_pair: OpenPair) -> None:
    async with open_pair() as pair:
        pair.far.send(accept(1))
        await pair.far.flush()
        await trio.testing.wait_all_tasks_blocked(0.05)
        with trio.testing.assert_checkpoints():
            await pair.near.receive()


async def test_a_sender_may_be_cancelled(open_pair: OpenPair) -> None:
    async with open_pair() as pair:
        with trio.CancelScope() as scope:
            scope.cancel()
            pair.near.send(settings_of(1, 1_000_000))
            pair.near.send(settings_of(2, 1_000_000))
            await pair.near.flush()
        assert scope.cancelled_caught
        assert await receive(pair.far, 2) == [settings_of(1, 1_000_000), settings_of(2, 1_000_000)]


async def test_statistics_count_whole_messages_and_their_bytes(open_pair: OpenPair) -> None:
    sizes = len(encode(accept(1))) + len(encode(settings_of(2, 1000)))
    async with open_pair() as pair:
        pair.near.send(accept(1), more=True)
        pair.near.send(settings_of(2, 1000), more=True)
        queued = pair.near.statistics()
        assert (queued.queued_messages, queued.queued_bytes) == (2, sizes)
        assert (queued.messages_sent, queued.bytes_sent) == (0, 0)
        await receive(pair.far, 2)
        await pair.near.flush()
        near, far = pair.near.statistics(), pair.far.statistics()
    assert (near.messages_sent, near.bytes_sent) == (2, sizes)
    assert (near.queued_messages, near.queued_bytes) == (0, 0)
    assert (far.messages_received, far.bytes_received) == (2, sizes)
    assert (far.messages_sent, near.messages_received) == (0, 0)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("hello", "not a JSON object"),
        ("", "not a JSON object"),
        ("[1]", "not a JSON object"),
        ("{}", "message has no field 'type'"),
        (
            '{"type":"broker:taskofferaccept","taskId":7,"offerId":"o"}',
            "broker:taskofferaccept: field 'taskId'",
        ),
        ('{"type":"broker:tasksettings","taskId":"t"}', "broker:tasksettings: field 'settings' is missing"),
        ("[" * 100_000, "not a JSON object|too deeply"),
    ],
)
async def test_what_is_no_message_is_a_value(open_pair: OpenPair, text: str, reason: str) -> None:
    async with open_pair() as pair:
        pair.send_raw(text)
        malformed = await pair.near.receive()
        assert isinstance(malformed, Malformed)
        assert re.search(reason, malformed.reason)
        pair.far.send(accept(1))
        assert await pair.near.receive() == accept(1)


async def test_a_message_nobody_knows_is_a_value(open_pair: OpenPair) -> None:
    async with open_pair() as pair:
        pair.send_raw('{"type":"broker:news","taskId":"t"}')
        assert await pair.near.receive() == UnknownMessage("broker:news")


async def test_what_is_no_message_cannot_be_sent(open_pair: OpenPair) -> None:
    async with open_pair() as pair:
        with pytest.raises(KeyError):
            pair.near.send(object())
        pair.near.send(accept(1))
        assert await pair.far.receive() == accept(1)
