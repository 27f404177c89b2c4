"""The queue of what a link still has to write."""

from __future__ import annotations

import math

from trio_runner.protocol import messages as m
from trio_runner.protocol.raw_json import RawJson
from trio_runner.transport.outbox import Outbox, Outgoing

URGENT = m.Drain()
BULK = m.TaskDone("t", RawJson.NULL)


def test_urgent_goes_first_and_order_is_kept_within_a_lane() -> None:
    outbox = Outbox()
    for number, message in enumerate([BULK, URGENT, BULK, URGENT]):
        outbox.put(message, b"%d" % number)
    assert [outbox.take() for _ in range(5)] == [
        Outgoing(1, b"1"),
        Outgoing(3, b"3"),
        Outgoing(0, b"0"),
        Outgoing(2, b"2"),
        None,
    ]


def test_a_message_counts_until_it_is_written() -> None:
    outbox = Outbox()
    outbox.put(BULK, b"12345")
    outbox.put(URGENT, b"123")
    outbox.take()
    assert (outbox.messages, outbox.size, outbox.oldest()) == (2, 8, 0)
    assert outbox.written() == Outgoing(1, b"123")
    assert (outbox.messages, outbox.size, outbox.oldest()) == (1, 5, 0)
    outbox.take()
    assert outbox.oldest() == 0
    outbox.written()
    assert (outbox.messages, outbox.size, outbox.oldest(), outbox.count) == (0, 0, math.inf, 2)


def test_discard_keeps_what_is_being_written_and_clear_keeps_nothing() -> None:
    outbox = Outbox()
    outbox.put(BULK, b"12345")
    outbox.put(BULK, b"123")
    outbox.take()
    outbox.discard()
    assert (outbox.messages, outbox.size, outbox.oldest()) == (1, 5, 0)
    assert outbox.take() is None
    outbox.clear()
    assert (outbox.messages, outbox.size, outbox.oldest()) == (0, 0, math.inf)
