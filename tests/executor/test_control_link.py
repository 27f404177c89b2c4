"""The runner's end of the control socket, against a socket held by the test."""

from __future__ import annotations

import os
import socket

import pytest
import trio
import trio.testing

from trio_runner.executor.control_link import ControlLink
from trio_runner.sandbox import control

from .tasks import open_descriptors


async def test_what_the_socket_does_not_take_is_sent_later_and_in_order() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        link = ControlLink(ours)
        texts = [str(number) * 100_000 for number in range(8)]
        for text in texts:
            link.post(control.Approve(text))
        seen: list[str] = []
        async with trio.open_nursery() as nursery:
            nursery.start_soon(link.write)
            decoder = control.ControlDecoder()
            theirs.setblocking(False)
            while len(seen) < len(texts):
                await trio.lowlevel.wait_readable(theirs)
                for message, _ in decoder.feed(*control.receive(theirs)):
                    assert isinstance(message, control.Approve)
                    seen.append(message.digest)
            nursery.cancel_scope.cancel()
        assert seen == texts


def test_descriptors_are_closed_here_sent_or_not() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        before = open_descriptors()
        link = ControlLink(ours)
        link.post(control.Fork((1,)), os.pipe())
        assert open_descriptors() == before
        link.post(control.Approve("x" * 5_000_000))
        link.post(control.Fork((2,)), os.pipe())
        assert open_descriptors() == before + 2
        link.close()
        assert open_descriptors() == before


async def test_reading_ends_with_the_zygote_an_event_or_nonsense() -> None:
    for ending in ("hang up", "event", "nonsense"):
        ours, theirs = socket.socketpair()
        event, seen = trio.Event(), list[control.Message]()

        def handle(
            message: control.Message,
            _: list[int],
            event: trio.Event = event,
            seen: list[control.Message] = seen,
        ) -> None:
            seen.append(message)
            event.set()

        with ours, theirs:
            link = ControlLink(ours)
            theirs.sendall(control.encode(control.Ended(1, 0)))
            if ending == "event":
                await link.read(handle, event)
            elif ending == "hang up":
                theirs.shutdown(socket.SHUT_WR)
                await link.read(handle)
            else:
                theirs.sendall(b"nonsense\n")
                with pytest.raises(ValueError, match="not a control message"):
                    await link.read(handle)
            assert seen == [control.Ended(1, 0)]
            link.hang_up()
            assert theirs.recv(1) == b""
