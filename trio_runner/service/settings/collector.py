"""Where traces are sent to: the kind of that setting, and the variables that hold its secrets."""

from __future__ import annotations

from urllib.parse import urlsplit

import attrs

from .kinds import Kind, quoted

__all__ = ["COLLECTOR_HEADERS", "CollectorUrl"]

COLLECTOR_HEADERS = ("OTEL_EXPORTER_OTLP_TRACES_HEADERS", "OTEL_EXPORTER_OTLP_HEADERS")
"""Variables of OpenTelemetry with the headers for the collector, such as its key; the first one wins."""

_TRACES = "/v1/traces"


@attrs.frozen
class CollectorUrl(Kind):
    """The URL of a collector that speaks OTLP over HTTP; without a path it gets the usual one."""

    metavar: str = "URL"

    def parse(self, text: str) -> str:
        remedy = "write it as http://host:4318 or https://host/path"
        if not text.isprintable() or any(map(str.isspace, text)):
            raise ValueError(f"{quoted(text)} is no URL of a collector; {remedy}")
        try:
            parts = urlsplit(text)
            host, _ = parts.hostname, parts.port
        except ValueError as exc:
            raise ValueError(f"{quoted(text)} is no URL of a collector ({exc}); {remedy}") from None
        if "@" in parts.netloc:
            raise ValueError(
                f"the URL holds a user name or password; take it out, and set {COLLECTOR_HEADERS[-1]}"
            )
        if parts.scheme not in ("http", "https") or not host:
            raise ValueError(f"{quoted(text)} is no URL of a collector; {remedy}")
        if parts.query or parts.fragment:
            raise ValueError(
                f"the URL has a query or a fragment; take it out, and set {COLLECTOR_HEADERS[-1]} for keys"
            )
        return text if parts.path.strip("/") else f"{parts.scheme}://{parts.netloc}{_TRACES}"
