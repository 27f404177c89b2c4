"""What a daemon answers to those who ask after its health over HTTP: whether it lives, whether work may come.

``/`` and ``/healthz`` are what n8n's launcher asks for: the process answers, whatever the brokers do.
``/livez`` says whether the event loop makes progress, ``/readyz`` whether a task could come, each with the
reason as JSON, and 503 if not.
"""

from __future__ import annotations

import msgspec

from ...transport.http_server import HttpResponse
from ..status.document import Document

__all__ = ["healthz", "livez", "readyz"]

# Seconds that the event loop may lag, at the moment it is asked, for the daemon to count as alive.
_LAG_LIMIT = 10.0
_NO_STORE = (("Cache-Control", "no-store"),)


def healthz() -> HttpResponse:
    """Answer that the process is there."""
    return HttpResponse(200, b"OK")


def livez(document: Document, stalled: str | None) -> HttpResponse:
    """Answer whether the daemon makes progress.

    Args:
        document: its snapshot.
        stalled: why it makes none for a fault of its own, or None.
    """
    loop = document.loop
    facts = {} if loop is None else {"lag_seconds": loop.lag, "worst_lag_seconds_of_last_minute": loop.worst}
    if loop is not None and loop.lag >= _LAG_LIMIT:
        return _verdict(False, "lagging", f"the event loop is {loop.lag:.1f} s late", **facts)
    if stalled is not None:
        return _verdict(False, "stalled", stalled, **facts)
    return _verdict(True, "alive", "the event loop turns", **facts)


def readyz(document: Document) -> HttpResponse:
    """Answer whether a task could come now."""
    if document.runner is not None:
        readiness = document.runner.readiness
        return _verdict(readiness.ready, readiness.state, readiness.reason)
    if document.broker is not None and document.broker.draining:
        return _verdict(False, "draining", "the broker takes no more requests and ends")
    return _verdict(True, "serving", "the broker takes requests")


def _verdict(good: bool, state: str, reason: str, **facts: object) -> HttpResponse:
    body = msgspec.json.encode({"ok": good, "state": state, "reason": reason, **facts}) + b"\n"
    return HttpResponse(200 if good else 503, body, "application/json; charset=utf-8", _NO_STORE)
