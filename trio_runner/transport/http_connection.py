"""One connection to the HTTP server, from its first byte to its last."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import h11
import trio
import trio_websocket

from ..errors import LinkLost
from .conduit import Conduit
from .http_messages import HttpRequest, HttpResponse, Route, Upgrade
from .websocket_link import RECEIVE_SIZE, HandshakeFailed, ShakeHands, WebSocketLink, hosted

__all__ = ["HttpConnection", "blame"]

_MAX_HEAD = 64 * 1024
"""Bytes of request line and headers."""
_MAX_BODY = 64 * 1024
"""Bytes of body: what is posted here is a token."""
_READ_SIZE = 16 * 1024
_REQUEST_TIME = 10.0
"""Seconds for a request from its first byte to its last, and for an answer: a slow client must not last."""
_IDLE_TIME = 75.0
"""Seconds that a connection may wait for its next request."""
_LINGER_TIME = 1.0
_LINGER_BYTES = 1024 * 1024
"""How long, and how much, a refused client may go on talking, so that it gets to read the refusal."""


class _Refused(Exception):
    """The request cannot be answered as asked: `status` and `text` go back, then the connection ends."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(status, text)
        self.status = status
        self.text = text


class HttpConnection:
    """Serves the requests of one connection, one after the other.

    Args:
        stream: the connection; whoever made it closes it.
        route: decides what to answer.
        on_trouble: told about exceptions out of routes and of `Upgrade.serve`, one line each.

    Raises:
        trio.BrokenResourceError: the client is gone already.
    """

    def __init__(self, stream: trio.SocketStream, route: Route, on_trouble: Callable[[str], None]) -> None:
        self._stream = stream
        self._route = route
        self._on_trouble = on_trouble
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=_MAX_HEAD)
        try:
            self._client, self._client_port, *_ = stream.socket.getpeername()
        except OSError as exc:
            raise trio.BrokenResourceError("the client has reset the connection") from exc
        self._requests = 0
        self._head_only = False

    async def run(self) -> None:
        """Serve until the client or HTTP says that it is over.

        Raises:
            trio.BrokenResourceError: the client is gone.

        Cancellation:
            Stops at once; an open WebSocket is told that the server goes away, see `hosted`.
        """
        try:
            while await self._serve_one():
                self._http.start_next_cycle()
        except _Refused as refused:
            await self._refuse(refused)

    async def _serve_one(self) -> bool:
        """Serve one request; return whether another may follow."""
        head = await self._read_head()
        if head is None:
            return False
        body = await self._read_body()
        try:
            request = HttpRequest.from_event(head, body, self._client)
        except ValueError as exc:
            raise _Refused(400, f"Bad request: {exc}") from exc
        answer = self._ask(request)
        if isinstance(answer, Upgrade):
            if request.wants_upgrade:
                await self._hand_over(head, request, answer)
                return False
            answer = HttpResponse(
                426, b"This path speaks WebSocket only\n", headers=(("Upgrade", "websocket"),)
            )
        await self._send(answer)
        return self._http.our_state is h11.DONE and self._http.their_state is h11.DONE

    # --- reading ------------------------------------------------------------------------------------

    async def _read_head(self) -> h11.Request | None:
        """Return the head of the next request, None if there is none."""
        begun = bool(self._http.trailing_data[0])
        may_idle = self._requests > 0 and not begun
        with trio.move_on_after(_IDLE_TIME if may_idle else _REQUEST_TIME) as limit:
            while True:
                event = self._next_event()
                if isinstance(event, h11.Request):
                    self._requests += 1
                    self._head_only = event.method == b"HEAD"
                    return event
                if isinstance(event, h11.ConnectionClosed):
                    return None
                await self._receive()
                if not begun:
                    begun = True
                    limit.deadline = trio.current_time() + _REQUEST_TIME
        if begun:
            raise _Refused(408, f"The request was not complete within {_REQUEST_TIME:g} s")
        return None

    async def _read_body(self) -> bytes:
        body = bytearray()
        with trio.move_on_after(_REQUEST_TIME):
            while True:
                event = self._next_event()
                if isinstance(event, h11.EndOfMessage):
                    return bytes(body)
                if isinstance(event, h11.Data):
                    body += event.data
                    if len(body) > _MAX_BODY:
                        raise _Refused(413, f"The body is larger than {_MAX_BODY} bytes")
                else:
                    await self._continue()
                    await self._receive()
        raise _Refused(408, f"The request was not complete within {_REQUEST_TIME:g} s")

    async def _continue(self) -> None:
        """Ask for the body if the client waits to be asked."""
        if self._http.they_are_waiting_for_100_continue:
            event = h11.InformationalResponse(status_code=100, headers=[])
            await self._stream.send_all(self._http.send(event) or b"")

    def _next_event(self) -> object:
        try:
            return self._http.next_event()
        except h11.RemoteProtocolError as exc:
            raise _Refused(exc.error_status_hint, f"Bad request: {exc}") from exc

    async def _receive(self) -> None:
        self._http.receive_data(bytes(await self._stream.receive_some(_READ_SIZE)))

    # --- answering ----------------------------------------------------------------------------------

    def _ask(self, request: HttpRequest) -> HttpResponse | Upgrade[Any]:
        try:
            return self._route(request)
        except Exception as exc:  # a task boundary: one bad request must not end the server
            self._on_trouble(f"{request.method} {request.path} from {self._client} failed: {blame(exc)}")
            return HttpResponse(500, b"Internal server error\n")

    async def _send(self, answer: HttpResponse) -> None:
        headers = [
            ("Content-Type", answer.content_type),
            ("Content-Length", str(len(answer.body))),
            *answer.headers,
        ]
        data = self._http.send(h11.Response(status_code=answer.status, headers=headers)) or b""
        if not self._head_only:
            data += self._http.send(h11.Data(data=answer.body)) or b""
        data += self._http.send(h11.EndOfMessage()) or b""
        with trio.move_on_after(_REQUEST_TIME):
            await self._stream.send_all(data)
            return
        raise trio.BrokenResourceError("the client does not read")

    async def _refuse(self, refused: _Refused) -> None:
        """Answer a request that was not read whole, and let the client read that."""
        if self._http.our_state not in (h11.IDLE, h11.SEND_RESPONSE):
            return
        text = f"{refused.text}\n".encode()
        await self._send(HttpResponse(refused.status, text, headers=(("Connection", "close"),)))
        await self._stream.send_eof()
        read = 0
        with trio.move_on_after(_LINGER_TIME):
            while read < _LINGER_BYTES and (data := await self._stream.receive_some(_READ_SIZE)):
                read += len(data)

    # --- WebSockets ---------------------------------------------------------------------------------

    async def _hand_over(self, head: h11.Request, request: HttpRequest, upgrade: Upgrade[Any]) -> None:
        """Let trio_websocket shake hands on what was read, and serve the link."""
        if self._http.trailing_data[0]:
            raise _Refused(400, "Bad request: data before the handshake was answered")
        replay = _write_head(head)
        peer = f"{self._client}:{self._client_port}"
        link = WebSocketLink(self._stream, upgrade.codec, upgrade.settings, peer, client=False, replay=replay)
        deadline = trio.current_time() + _REQUEST_TIME
        try:
            async with hosted(link, _server_handshake(upgrade.settings.max_message), deadline):
                await upgrade.serve(link)
        except HandshakeFailed:
            pass  # trio_websocket has told the client what was wrong
        except Exception as exc:  # a task boundary: one bad connection must not end the server
            if not _is_link_lost(exc):
                self._on_trouble(f"serving {peer} on {request.path} failed: {blame(exc)}")


def _server_handshake(max_message: int) -> ShakeHands:
    async def shake_hands(nursery: trio.Nursery, conduit: Conduit) -> trio_websocket.WebSocketConnection:
        request = await trio_websocket.wrap_server_stream(
            nursery, conduit, max_message_size=max_message, receive_buffer_size=RECEIVE_SIZE
        )
        return await request.accept()

    return shake_hands


def _write_head(head: h11.Request) -> bytes:
    """Write a request head as it came, to be read again by somebody else."""
    lines = [b"%s %s HTTP/%s" % (head.method, head.target, head.http_version)]
    lines += [b"%s: %s" % (name, value) for name, value in head.headers.raw_items()]
    return b"\r\n".join(lines) + b"\r\n\r\n"


def _is_link_lost(error: BaseException) -> bool:
    """Whether an error says nothing but that the link was lost."""
    if isinstance(error, BaseExceptionGroup):
        return all(_is_link_lost(member) for member in error.exceptions)
    return isinstance(error, LinkLost)


def blame(error: BaseException) -> str:
    """Return one line about an unexpected error: what it is, and where it was raised."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    traceback = error.__traceback__
    while traceback is not None and traceback.tb_next is not None:
        traceback = traceback.tb_next
    where = "" if traceback is None else f" ({traceback.tb_frame.f_code.co_filename}:{traceback.tb_lineno})"
    return f"{error!r}{where}".replace("\n", " ")
