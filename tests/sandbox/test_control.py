"""Messages between runner and zygote, with descriptors, however the socket cuts them."""

from __future__ import annotations

import os
import socket

import pytest

from trio_runner.sandbox import control

MESSAGES: list[control.Message] = [
    control.Configure('{"text": "two\\nlines é"}', "{}", "/scratch"),
    control.Fork((1, 2)),
    control.End(1),
    control.Approve("d" * 64, "cHJvZ3JhbQ=="),
    control.Approve("d" * 64, forget="e" * 64),
    control.Hello(7, ()),
    control.Forked((1, 2), (8, 9)),
    control.ForkFailed(2, "no\nroom"),
    control.Ended(1, -9, stuck=2),
]


@pytest.mark.parametrize("size", [1, 7, 100_000])
def test_every_message_in_pieces(size: int) -> None:
    data = b"".join(control.encode(message) for message in MESSAGES)
    decoder, seen = control.ControlDecoder(), list[tuple[control.Message, list[int]]]()
    for position in range(0, len(data), size):
        seen += decoder.feed(data[position : position + size], [])
    assert [message for message, _ in seen if not isinstance(message, control.Hello)] == [
        message for message in MESSAGES if not isinstance(message, control.Hello)
    ]
    assert all(descriptors == [] for _, descriptors in seen)


def test_descriptors_stay_with_their_message() -> None:
    near, far = socket.socketpair()
    with near, far:
        pipes = [os.pipe() for _ in range(3)]
        for number, pipe in enumerate(pipes):
            near.sendmsg([control.encode(control.Fork((number,)), 2)], control.ancillary(pipe))
            near.sendall(control.encode(control.End(number)))
            for descriptor in pipe:
                os.close(descriptor)
        near.close()
        decoder, seen = control.ControlDecoder(), list[tuple[control.Message, list[int]]]()
        while True:
            data, descriptors = control.receive(far)
            if not data:
                break
            assert not any(os.get_inheritable(descriptor) for descriptor in descriptors)
            seen += decoder.feed(data, descriptors)
    assert [message for message, _ in seen] == [
        message for number in range(3) for message in (control.Fork((number,)), control.End(number))
    ]
    for message, descriptors in seen:
        assert len(descriptors) == (2 if isinstance(message, control.Fork) else 0)
    for _, (reader, writer) in seen[::2]:
        assert os.write(writer, b"x") == len(os.read(reader, 5))
        os.close(reader)
        os.close(writer)


@pytest.mark.parametrize(
    "line",
    [
        b"nonsense\n",
        b"{}\n",
        b'["Fork"]\n',
        b'["Nope", 0, []]\n',
        b'["Fork", 1, [[1]]]\n',
        b'["Fork", 0, []]\n',
    ],
)
def test_what_is_no_message(line: bytes) -> None:
    with pytest.raises(ValueError, match="not a control message"):
        list(control.ControlDecoder().feed(line, []))
