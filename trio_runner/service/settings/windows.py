"""The settings of what lets one look into a daemon: the health port and the local socket."""

from __future__ import annotations

from typing import Any

from .entry import setting
from .kinds import Boolean, Choice, Text

__all__ = ["control_socket", "metrics", "web_page"]

_GROUP = "Health endpoint"
_WORDS = {
    "auto": "auto",
    "true": "true",
    "yes": "true",
    "1": "true",
    "false": "false",
    "no": "false",
    "0": "false",
}


def metrics() -> Any:
    """Declare the setting for metrics on the health port."""
    return setting(
        "TRIO_RUNNER_METRICS",
        flag="--metrics",
        kind=Boolean(),
        default=True,
        about="Answer GET /metrics there, for Prometheus.",
        group=_GROUP,
    )


def web_page() -> Any:
    """Declare the setting for the web page on the health port."""
    return setting(
        "TRIO_RUNNER_WEB_PAGE",
        flag="--web-page",
        kind=Choice(_WORDS, metavar="auto|true|false"),
        default="auto",
        about="Show a page at /ui there, with the names of workflows; auto: only if it listens on loopback.",
        group=_GROUP,
    )


def control_socket() -> Any:
    """Declare the setting for the local socket."""
    return setting(
        "TRIO_RUNNER_CONTROL_SOCKET",
        flag="--control-socket",
        kind=Text("PATH"),
        default="auto",
        about="Local socket for status, top and drain, for this user alone; auto: in the user's runtime"
        " directory or /run/trio-runner; none: no socket.",
        group=_GROUP,
    )
