"""The errors that a broker itself reports to a requester, as the JSON that goes onto the wire."""

from __future__ import annotations

from ...protocol.raw_json import RawJson

__all__ = ["broker_stopped", "execution_timed_out", "no_settings", "runner_lost"]


def broker_stopped() -> RawJson:
    """The broker was told to end, and the task had not finished when its time for that was up."""
    return _error(
        "cancelled",
        "Task was cancelled",
        "The broker was shut down before the task ended. A task that may run twice can be submitted again.",
    )


def execution_timed_out(seconds: float) -> RawJson:
    """The task ran past the broker's limit of that many seconds."""
    return _error(
        "timeout",
        f"Task execution timed out after {_in_words(seconds)}",
        "It ran longer than the broker allows. Split the work, or raise the broker's execution timeout.",
    )


def no_settings(seconds: float) -> RawJson:
    """The requester was told that its task is ready, and sent no settings for that many seconds."""
    return _error(
        "no-settings",
        f"No settings came for the task within {_in_words(seconds)}",
        "The requester must send them when the broker says that the task is ready. It was cancelled.",
    )


def runner_lost(name: str, runner_id: str, why: str) -> RawJson:
    """The connection of the task's runner is gone."""
    return _error(
        "runner-lost",
        "The runner was lost while it held the task",
        f"Runner {name!r} ({runner_id}): {why}. A task that may run twice can be submitted again.",
    )


def _in_words(seconds: float) -> str:
    return f"{seconds:g} second" if seconds == 1 else f"{seconds:g} seconds"


def _error(kind: str, message: str, description: str) -> RawJson:
    return RawJson.of({"message": message, "description": description, "kind": kind})
