"""One HTTP request to a broker: a JSON body posted or nothing sent, a small answer read."""

from __future__ import annotations

import attrs
import h11
import trio

from ..errors import LinkError, LinkLost
from ..protocol.raw_json import RawJson
from . import refusals
from .connect import ClientStream, connect
from .endpoints import Endpoint, parse_endpoint
from .link import LinkSettings

__all__ = ["HttpAnswer", "get", "post_json"]

_MAX_ANSWER = 1024 * 1024
"""Bytes of body that an answer may have: it is a token, or an error page."""
_READ_SIZE = 16 * 1024


@attrs.frozen
class HttpAnswer:
    """What the server answered, whatever the status. The body may hold a token: it is not in the repr.

    Attributes:
        status: the HTTP status code.
        body: what came after the headers.
        date: the Date header as it came; empty if there is none.
    """

    status: int
    body: bytes = attrs.field(repr=False)
    date: str = ""


async def post_json(
    url: str,
    body: RawJson,
    *,
    settings: LinkSettings = LinkSettings(),  # noqa: B008 - frozen
) -> HttpAnswer:
    """Post a JSON body on a connection of its own and return the answer.

    Args:
        url: ``http``, ``https``, ``ws`` or ``wss`` URL.
        body: what to post.
        settings: `connect_timeout` covers all from name resolution to the end of the answer; `ca_file`.

    Raises:
        LinkLost: there was no answer; the message says why, with host, port and remedy.
        ConfigError: the URL or `ca_file` cannot be used.

    Cancellation:
        The connection is closed at once; the server may or may not have acted.
    """
    return await _ask(url, body, settings)


async def get(
    url: str,
    *,
    settings: LinkSettings = LinkSettings(),  # noqa: B008 - frozen
) -> HttpAnswer:
    """Ask for a URL on a connection of its own and return the answer. Everything else as in `post_json`."""
    return await _ask(url, None, settings)


async def _ask(url: str, body: RawJson | None, settings: LinkSettings) -> HttpAnswer:
    endpoint = parse_endpoint(url)
    deadline = trio.current_time() + settings.connect_timeout
    stream = await connect(endpoint, settings, deadline)
    exchange = _Exchange(endpoint, stream)
    try:
        with trio.move_on_at(deadline):
            return await exchange.run(body)
    except (h11.RemoteProtocolError, trio.BrokenResourceError) as exc:
        raise exchange.failure(settings, timed_out=False) from exc
    finally:
        with trio.CancelScope(shield=True):
            await trio.aclose_forcefully(stream)
    raise exchange.failure(settings, timed_out=True)


class _Exchange:
    """One request and its answer."""

    def __init__(self, endpoint: Endpoint, stream: ClientStream) -> None:
        self._endpoint = endpoint
        self._stream = stream
        self._http = h11.Connection(h11.CLIENT)
        self._head = b""

    async def run(self, body: RawJson | None) -> HttpAnswer:
        """Send the request, a GET if there is no body, and read the answer."""
        headers = [
            ("Host", self._endpoint.host_header),
            ("Accept", "application/json"),
            ("Connection", "close"),
        ]
        if body is not None:
            headers += [("Content-Type", "application/json"), ("Content-Length", str(len(body)))]
        method = "GET" if body is None else "POST"
        request = h11.Request(method=method, target=self._endpoint.target, headers=headers)
        events = (request, *([] if body is None else [h11.Data(data=body.data)]), h11.EndOfMessage())
        await self._stream.send_all(b"".join(self._http.send(event) or b"" for event in events))
        return await self._read_answer()

    async def _read_answer(self) -> HttpAnswer:
        status, date = 0, ""
        body = bytearray()
        while True:
            event = await self._next_event()
            if isinstance(event, h11.Response):
                status = event.status_code
                date = next((value.decode("latin-1") for name, value in event.headers if name == b"date"), "")
            elif isinstance(event, h11.Data):
                body += event.data
                if len(body) > _MAX_ANSWER:
                    raise self._too_long()
            elif isinstance(event, h11.EndOfMessage):
                return HttpAnswer(status, bytes(body), date)

    async def _next_event(self) -> object:
        while True:
            event = self._http.next_event()
            if event is not h11.NEED_DATA:
                return event
            received = await self._stream.receive_some(_READ_SIZE)
            self._head = self._head or bytes(received)
            self._http.receive_data(bytes(received))

    def failure(self, settings: LinkSettings, *, timed_out: bool) -> LinkError:
        """Explain why there is no answer, from what little was read."""
        if refusals.status_of(self._head) is not None:
            rest = f"did not finish its answer within {settings.connect_timeout:g} s"
            broken = "broke off its answer" if not timed_out else rest
            return LinkLost(f"{self._endpoint.authority} {broken}: try again; see the broker's log")
        return refusals.unreadable_answer(
            self._endpoint, self._head, timed_out=timed_out, seconds=settings.connect_timeout
        )

    def _too_long(self) -> LinkLost:
        return LinkLost(
            f"{self._endpoint.authority} answered with more than {_MAX_ANSWER} bytes: is that a task broker?"
        )
