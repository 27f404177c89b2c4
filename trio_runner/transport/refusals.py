"""Why a connection could not be made, told as errors with a remedy. No I/O.

Each function returns the error for one way to fail; the text names host and port and says what to do.
"""

from __future__ import annotations

import errno
import re
import socket
import ssl
from collections.abc import Iterator

from ..errors import AuthRejected, LinkError, LinkLost
from .endpoints import Endpoint

__all__ = [
    "connect_failed",
    "connect_timed_out",
    "resolve_timed_out",
    "status_of",
    "tls_failed",
    "tls_timed_out",
    "unexpected_answer",
    "unreadable_answer",
    "upgrade_failed",
]

_STATUS_LINE = re.compile(rb"HTTP/\d(?:\.\d)? (\d{3})(?:\D|$)")
_TLS_RECORD = (b"\x15\x03", b"\x16\x03")
"""How a TLS alert or handshake record begins: what a TLS server says to a client that speaks plain HTTP."""
_SHOWN = 40
"""Bytes of an answer that an error shows."""


def connect_failed(endpoint: Endpoint, error: Exception) -> LinkLost:
    """TCP could not be opened: the name is unknown, or every address failed."""
    where = endpoint.authority
    causes = list(_causes(error))
    if any(isinstance(cause, socket.gaierror | UnicodeError) for cause in causes):
        return LinkLost(
            f"cannot resolve {endpoint.host} (for {where}): check the host name in the URL and DNS"
        )
    if any(isinstance(cause, ConnectionRefusedError) for cause in causes):
        return LinkLost(f"{where} refused the connection: is the broker running, and is the port right?")
    codes = [cause.errno for cause in causes if isinstance(cause, OSError) and cause.errno]
    why = f"{errno.errorcode.get(codes[-1], codes[-1])}" if codes else str(error)
    return LinkLost(f"cannot connect to {where}: {why}; check the address, the route and firewalls")


def connect_timed_out(endpoint: Endpoint, seconds: float) -> LinkLost:
    """No TCP connection within the time."""
    return LinkLost(
        f"{endpoint.authority} did not accept a connection within {seconds:g} s:"
        " check the address, the route and firewalls"
    )


def resolve_timed_out(endpoint: Endpoint, seconds: float) -> LinkLost:
    """No address within the time."""
    return LinkLost(
        f"no answer about the address of {endpoint.host} within {seconds:g} s: check DNS and its servers"
    )


def tls_failed(endpoint: Endpoint, error: BaseException) -> LinkLost:
    """The TLS handshake ended without a secure connection."""
    where = endpoint.authority
    for cause in _causes(error):
        if isinstance(cause, ssl.SSLCertVerificationError):
            return LinkLost(
                f"the certificate of {where} is not trusted: {cause.verify_message}; if a CA of your own"
                " signed it, name that CA's PEM file in the setting ca_file (TRIO_RUNNER_CA_FILE)"
            )
        if isinstance(cause, ssl.SSLError) and cause.reason in ("WRONG_VERSION_NUMBER", "HTTP_REQUEST"):
            return LinkLost(f"{where} does not speak TLS: use http:// or ws:// in the URL, or another port")
        if isinstance(cause, ssl.SSLError) and cause.reason not in (None, "UNEXPECTED_EOF_WHILE_READING"):
            return LinkLost(f"no TLS connection with {where}: {cause.reason}; check its TLS set-up")
    return LinkLost(f"{where} ended the connection during the TLS handshake: does that port speak TLS?")


def tls_timed_out(endpoint: Endpoint, seconds: float) -> LinkLost:
    """The server accepted TCP and did not finish the TLS handshake."""
    return LinkLost(
        f"{endpoint.authority} accepted the connection but finished no TLS handshake within {seconds:g} s:"
        " does that port speak TLS?"
    )


def upgrade_failed(endpoint: Endpoint, head: bytes, *, timed_out: bool, seconds: float) -> LinkError:
    """The WebSocket handshake did not come about. `head` is the beginning of what the server said."""
    status = status_of(head)
    if status is None:
        return unreadable_answer(endpoint, head, timed_out=timed_out, seconds=seconds)
    if status == 101:
        return LinkLost(
            f"{endpoint.authority} answered the WebSocket handshake wrongly: is there a proxy in between that"
            " does not pass WebSockets on?"
        )
    return unexpected_answer(endpoint, status, wanted="a WebSocket")


def unreadable_answer(endpoint: Endpoint, head: bytes, *, timed_out: bool, seconds: float) -> LinkLost:
    """The server said nothing, or something that is not HTTP."""
    where = endpoint.authority
    if head.startswith(_TLS_RECORD):
        return LinkLost(f"{where} speaks TLS: use https:// or wss:// in the URL")
    if head and not b"HTTP/".startswith(head[:5]):
        shown = ascii(head[:_SHOWN].decode("latin-1"))
        return LinkLost(f"{where} does not speak HTTP, it says {shown}: is the port right?")
    if timed_out:
        return LinkLost(
            f"{where} accepted the connection but did not answer within {seconds:g} s:"
            " is that the broker's port, and is the broker healthy?"
        )
    return LinkLost(f"{where} closed the connection without an answer: is that the broker's port?")


def unexpected_answer(endpoint: Endpoint, status: int, *, wanted: str) -> LinkError:
    """The server answered in HTTP, but not with what was wanted."""
    said = f"{endpoint.authority} answered {status} to {endpoint.target.partition('?')[0]}"
    if status == 401:
        return AuthRejected(f"{said}: it wants a token; set the auth token or a grant token", status=status)
    if status == 403:
        return AuthRejected(
            f"{said}: the token is wrong, spent or expired; check the auth token", status=status
        )
    if status == 404:
        return LinkLost(f"{said}: there is no such path; check the path in the broker URL")
    if status == 429:
        return LinkLost(f"{said}: too many requests; try again in a moment")
    if 300 <= status < 400:
        return LinkLost(f"{said}, a redirect: put the address it leads to into the broker URL")
    if status >= 500:
        return LinkLost(f"{said}: the broker, or a proxy before it, is in trouble; see its log")
    return LinkLost(f"{said} instead of {wanted}: is that a task broker, and is the path right?")


def status_of(head: bytes) -> int | None:
    """Return the HTTP status that the beginning of an answer holds, None if it holds none."""
    match = _STATUS_LINE.match(head)
    return int(match[1]) if match else None


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and all that led to it: members of groups, causes and contexts."""
    yield error
    if isinstance(error, BaseExceptionGroup):
        for member in error.exceptions:
            yield from _causes(member)
    following = error.__cause__ or error.__context__
    if following is not None:
        yield from _causes(following)
