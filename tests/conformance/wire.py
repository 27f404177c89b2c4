"""One WebSocket connection seen as raw JSON messages, for both sides of a conversation.

The framing comes from the sans-IO half of the `websockets` library, so that nothing on this side of
the wire is shared with what is tested. Everything received is kept in order, so that a test can ask
both "what comes next?" and "what came at all?".
"""

from __future__ import annotations

import json
import math
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, NoReturn

import attrs
import trio
from websockets.frames import Frame, Opcode
from websockets.protocol import Protocol, State

Message = dict[str, Any]

# How long a test waits for something that the document says comes at once. It ends a test that would hang,
# and measures nothing: the machine may have other work.
PROMPT = 30.0
# One read of the socket. Large, so that a payload of megabytes is not the harness's bottleneck.
READ_SIZE = 256 * 1024


class ConnectionOver(Exception):
    """The other side ended the connection while a test waited for a message on it."""


@attrs.define
class Received:
    """One message as it came in.

    Attributes:
        message: the decoded JSON object.
        at: the clock of trio when it came in, s.
        index: its place among all messages of the connection.
        size: bytes of its text.
        taken: whether a test has already asked for it with `Peer.next`.
    """

    message: Message
    at: float
    index: int
    size: int
    taken: bool = False

    def matches(self, types: tuple[str, ...], fields: Mapping[str, object]) -> bool:
        """Tell whether the message is of one of these types and has these fields."""
        return (not types or self.message["type"] in types) and all(
            name in self.message and self.message[name] == value for name, value in fields.items()
        )


class Peer:
    """One end of a WebSocket, already upgraded. `run` moves its bytes until the connection is over.

    Attributes:
        received: every JSON message that came in, in order.
        violations: what came in that the protocol does not allow: binary frames, text that is no JSON object.
        close_code: the code of the other side's close frame, once there was one.
        over: set once the connection has ended, whoever ended it.
        bytes_in: bytes read from the socket so far.
        deaf: set it to let everything that comes in from now on pass unheard, pings and closes included.
    """

    def __init__(self, stream: trio.SocketStream, protocol: Protocol) -> None:
        self.received: list[Received] = []
        self.violations: list[str] = []
        self.close_code: int | None = None
        self.over = trio.Event()
        self.bytes_in = 0
        self.deaf = False
        self._stream = stream
        self._protocol = protocol
        self._news = trio.Event()
        self._pongs: dict[bytes, trio.Event] = {}
        self._fragments: list[bytes] = []
        self._fragments_are_text = True
        self._queue, self._outbox = trio.open_memory_channel[bytes](100_000)
        self._full_at = math.inf
        self._hungry = trio.Event()

    # --- moving bytes -------------------------------------------------------------------------------

    async def run(self) -> None:
        """Read and write until the connection is over, then close the socket."""
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._write)
                await self._read()
                nursery.cancel_scope.cancel()
        finally:
            self.over.set()
            self._announce()
            with trio.CancelScope(shield=True):
                await trio.aclose_forcefully(self._stream)

    async def _read(self) -> None:
        self._collect()  # what came together with the handshake
        while True:
            while self.bytes_in >= self._full_at:
                await self._hungry.wait()
            try:
                data = await self._stream.receive_some(READ_SIZE)
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                return
            if not data:
                return
            self.bytes_in += len(data)
            if self.deaf:
                continue
            self._protocol.receive_data(data)
            self._collect()

    async def _write(self) -> None:
        async for data in self._outbox:
            try:
                if data:
                    await self._stream.send_all(data)
                else:
                    await self._stream.send_eof()
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                return

    def _flush(self) -> None:
        for data in self._protocol.data_to_send():
            self._queue.send_nowait(data)

    def _collect(self) -> None:
        self.take(self._protocol.events_received())

    def take(self, events: Sequence[object]) -> None:
        """Take in what the protocol has parsed: the frames among it."""
        for event in events:
            if isinstance(event, Frame):
                self._take_frame(event)
        self._flush()
        self._announce()

    def _announce(self) -> None:
        self._news.set()
        self._news = trio.Event()

    def _take_frame(self, frame: Frame) -> None:
        if frame.opcode is Opcode.PONG:
            waiting = self._pongs.pop(bytes(frame.data), None)
            if waiting is not None:
                waiting.set()
        elif frame.opcode is Opcode.CLOSE:
            close = self._protocol.close_rcvd
            self.close_code = close.code if close is not None else None
        elif frame.opcode in (Opcode.TEXT, Opcode.BINARY, Opcode.CONT):
            if frame.opcode is not Opcode.CONT:
                self._fragments_are_text = frame.opcode is Opcode.TEXT
            self._fragments.append(bytes(frame.data))
            if frame.fin:
                data, self._fragments = b"".join(self._fragments), []
                self._take_message(data)

    def _take_message(self, data: bytes) -> None:
        if not self._fragments_are_text:
            self.violations.append(f"a binary frame of {len(data)} bytes")
            return
        try:
            message = json.loads(data.decode(), parse_constant=_refuse_constant)
        except ValueError as error:
            self.violations.append(f"text that is no JSON ({error}): {data[:200]!r}")
            return
        if not isinstance(message, dict) or not isinstance(message.get("type"), str):
            self.violations.append(f"no object with a type: {data[:200]!r}")
            return
        self.received.append(Received(message, trio.current_time(), len(self.received), len(data)))

    def stop_reading_after(self, count: int) -> None:
        """Read no more once `count` further bytes have come in: the rest waits on the sender's side."""
        self._full_at = self.bytes_in + count

    def read_on(self) -> None:
        """Read again."""
        self._full_at = math.inf
        self._hungry.set()
        self._hungry = trio.Event()

    # --- sending ------------------------------------------------------------------------------------

    def send(self, *messages: Message) -> None:
        """Send messages, in one go: nothing of ours comes between them on the wire."""
        for message in messages:
            self.send_text(json.dumps(message).encode())

    def send_text(self, data: bytes) -> None:
        """Send one text frame of any content."""
        if self._protocol.state is State.OPEN:
            self._protocol.send_text(data)
            self._flush()

    def send_fragments(self, *parts: bytes) -> None:
        """Send one text message in several frames."""
        self._protocol.send_text(parts[0], fin=len(parts) == 1)
        for number, part in enumerate(parts[1:], 2):
            self._protocol.send_continuation(part, fin=number == len(parts))
        self._flush()

    def send_binary(self, data: bytes) -> None:
        """Send one binary frame."""
        self._protocol.send_binary(data)
        self._flush()

    def send_raw(self, data: bytes) -> None:
        """Send bytes past the protocol."""
        self._queue.send_nowait(data)

    def close(self, code: int = 1000) -> None:
        """Begin the closing handshake."""
        if self._protocol.state is State.OPEN:
            self._protocol.send_close(code)
            self._flush()

    def drop(self) -> None:
        """Break the connection off, with a reset, as a crash or a cut cable would."""
        self._stream.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._stream.socket.close()

    def hang_up(self) -> None:
        """End our half of the stream without a close frame."""
        self.send_raw(b"")

    async def ping(self, limit: float = PROMPT) -> float:
        """Send a ping and return how long its pong took, s."""
        payload = f"ping {id(object())} {trio.current_time()}".encode()
        pong = self._pongs[payload] = trio.Event()
        begun = trio.current_time()
        self._protocol.send_ping(payload)
        self._flush()
        with trio.fail_after(limit):
            await pong.wait()
        return trio.current_time() - begun

    # --- receiving ----------------------------------------------------------------------------------

    async def next(self, *types: str, limit: float = PROMPT, **fields: object) -> Message:
        """Return the first message not yet taken that has one of the types and all the fields.

        Raises:
            AssertionError: nothing like it came within `limit` seconds.
            ConnectionOver: the connection ended first.
        """
        return (await self.next_received(*types, limit=limit, **fields)).message

    async def next_received(self, *types: str, limit: float = PROMPT, **fields: object) -> Received:
        """Do as `next`, and tell when the message came."""
        with trio.move_on_after(limit):
            while (entry := self._find(types, fields)) is None:
                if self.over.is_set():
                    raise ConnectionOver(
                        f"connection over (close code {self.close_code}) while waiting for {types} {fields}"
                    )
                await self._news.wait()
            entry.taken = True
            return entry
        return self._fail(f"no {' or '.join(types) or 'message'} {fields or ''} within {limit} s")

    async def wait_for(self, *types: str, limit: float = PROMPT, **fields: object) -> None:
        """Wait until such a message has come, and leave it for `next`."""
        (await self.next_received(*types, limit=limit, **fields)).taken = False

    def _find(self, types: tuple[str, ...], fields: Mapping[str, object]) -> Received | None:
        return next(
            (entry for entry in self.received if not entry.taken and entry.matches(types, fields)), None
        )

    async def nothing(self, *types: str, within: float, **fields: object) -> None:
        """Assert that no (further) such message comes within `within` seconds."""
        try:
            entry = await self.next_received(*types, limit=within, **fields)
        except (AssertionError, ConnectionOver):
            return
        raise AssertionError(f"unexpected: {entry.message}")

    def seen(self, *types: str, **fields: object) -> list[Message]:
        """Return every message so far with one of the types and all the fields, in order."""
        return [entry.message for entry in self.received if entry.matches(types, fields)]

    async def wait_bytes(self, count: int, limit: float = PROMPT) -> None:
        """Wait until `count` further bytes have come in, be it in the middle of a message."""
        goal = self.bytes_in + count
        with trio.fail_after(limit):
            while self.bytes_in < goal and not self.over.is_set():
                await self._news.wait()

    async def wait_over(self, limit: float = PROMPT) -> None:
        """Wait until the connection has ended."""
        with trio.move_on_after(limit):
            await self.over.wait()
            return
        self._fail(f"the connection was still open after {limit} s")

    def _fail(self, what: str) -> NoReturn:
        tail = "\n".join(f"  {str(entry.message)[:300]}" for entry in self.received[-15:])
        raise AssertionError(
            f"{what}; the last messages were:\n{tail or '  none'}\nviolations: {self.violations}"
        )


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


@asynccontextmanager
async def background(run: Callable[[], Awaitable[None]]) -> AsyncIterator[None]:
    """Run something for the length of a block, and let the block's own error out as it is, in no group."""
    failure: Exception | None = None
    async with trio.open_nursery() as nursery:
        nursery.start_soon(run)
        try:
            yield
        except Exception as error:
            failure = error
        nursery.cancel_scope.cancel()
    if failure is not None:
        raise failure


@asynccontextmanager
async def running(peer: Peer) -> AsyncIterator[Peer]:
    """Run a connection for the length of a block; afterwards it is gone, and has kept the protocol."""
    async with background(peer.run):
        yield peer
    assert peer.violations == [], f"violations: {peer.violations}"
