"""The settings of the logs, the same for every command that keeps running."""

from __future__ import annotations

from typing import Any

from .kinds import Choice, Presence
from .table import setting

__all__ = ["log_format", "log_level", "no_color"]

_GROUP = "Logs"
_LEVELS = {
    "debug": "debug",
    "trace": "debug",
    "verbose": "debug",
    "info": "info",
    "notice": "info",
    "warning": "warning",
    "warn": "warning",
    "error": "error",
    "err": "error",
    "critical": "critical",
    "fatal": "critical",
    "silent": "silent",
    "off": "silent",
    "none": "silent",
}
_FORMATS = {
    "auto": "auto",
    "text": "text",
    "human": "text",
    "json": "json",
    "journal": "journal",
    "journald": "journal",
}


def log_level() -> Any:
    """Declare the setting for the least important lines that are logged."""
    return setting(
        "TRIO_RUNNER_LOG_LEVEL",
        "TRIO_RUNNER_LAUNCHER_LOG_LEVEL",
        "N8N_RUNNERS_LAUNCHER_LOG_LEVEL",
        flag="--log-level",
        kind=Choice(_LEVELS, metavar="LEVEL"),
        default="info",
        about="Least important lines to log: debug, info, warning, error, critical or silent.",
        group=_GROUP,
        live=True,
    )


def log_format() -> Any:
    """Declare the setting for how lines are written."""
    return setting(
        "TRIO_RUNNER_LOG_FORMAT",
        flag="--log-format",
        kind=Choice(_FORMATS, metavar="FORMAT"),
        default="auto",
        about="text, json, journal (systemd's, with fields), or auto: journal under systemd, else text.",
        group=_GROUP,
    )


def no_color() -> Any:
    """Declare the setting that keeps colours out of the logs."""
    return setting(
        "NO_COLOR",
        flag="--no-color",
        kind=Presence(),
        default=False,
        about="No colours. They are used on terminals only.",
        group=_GROUP,
        from_file=False,
    )
