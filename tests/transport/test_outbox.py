"""The queue of what a link still has to write."""

from __future__ import annotations

import math

from trio_runner.protocol import messages as m
from trio_runner.protocol.raw_json import RawJson
from trio_runner.transport.outbox import Outbox, Outgoing

URGENT = m.Drain()
BULK = m.TaskDone("t", RawJson.NULL)
SMALL, LARGE = 4096, 4097


def numbers_taken(outbox: Outbox) -> list[int]:
    taken = []
    while (outgoing := outbox.take()) is not None:
        taken.append(outgoing.number)
    return taken


def test_urgent_goes_first_and_order_is_kept_within_a_lane() -> None:
    outbox = Outbox()
    for message in (BULK, URGENT, BULK, URGENT):
        outbox.put(message, bytes(LARGE))
    assert outbox.take() == Outgoing(1, bytes(LARGE))
    assert numbers_taken(outbox) == [3, 0, 2]
    assert outbox.take() is None


def test_a_small_payload_keeps_its_place_among_short_answers() -> None:
    outbox = Outbox()
    for message in (URGENT, BULK, URGENT):
        outbox.put(message, bytes(SMALL))
    assert numbers_taken(outbox) == [0, 1, 2]


def test_a_small_payload_never_overtakes_a_large_one() -> None:
    outbox = Outbox()
    for message, size in ((BULK, LARGE), (BULK, SMALL), (URGENT, SMALL)):
        outbox.put(message, bytes(size))
    assert numbers_taken(outbox) == [2, 0, 1]


def test_a_message_counts_until_it_is_written() -> None:
    outbox = Outbox()
    outbox.put(BULK, bytes(LARGE))
    outbox.put(URGENT, b"123")
    outbox.take()
    assert (outbox.messages, outbox.size, outbox.oldest()) == (2, LARGE + 3, 0)
    assert outbox.written() == Outgoing(1, b"123")
    assert (outbox.messages, outbox.size, outbox.oldest()) == (1, LARGE, 0)
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
