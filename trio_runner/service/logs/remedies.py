"""What to do about each failure that a log line reports: the tables, and the words for what has none."""

from __future__ import annotations

__all__ = ["OPERATORS_MATTER", "declined", "given_up", "lost_runner", "lost_task", "rejected", "task_failed"]

_TASK_FAILED = {
    "user-code": "the fault is in the task's code; its author has been told",
    "policy": "change the code, or allow what it needs: N8N_RUNNERS_STDLIB_ALLOW, N8N_RUNNERS_EXTERNAL_ALLOW",
    "settings": "whoever asked for the task sent settings that describe none",
    "result": "return less, or what JSON can hold; the size limit is N8N_RUNNERS_MAX_PAYLOAD",
    "timeout": "split the work, or raise N8N_RUNNERS_TASK_TIMEOUT",
    "worker-died": "most often memory: give the runner more, or lower N8N_RUNNERS_MAX_CONCURRENCY",
    "link-lost": "the broker fails the tasks of a lost connection; whoever asked may ask again",
    "no-settings": "the broker sent no settings in time; whoever asked for the task may be gone",
    "shutdown": "run it again; to give running tasks longer raise N8N_RUNNERS_GRACEFUL_SHUTDOWN_TIMEOUT",
    "runner": "a fault of the runner or its machine; the line before this one tells more",
}
_LIMIT_REACHED = {
    "memory": "let the code work on less at a time, or raise TRIO_RUNNER_TASK_MEMORY",
    "cpu": "let the code do less, or raise TRIO_RUNNER_TASK_CPU",
}
OPERATORS_MATTER = frozenset({"timeout", "worker-died", "no-settings", "shutdown", "runner"})
"""Ends of tasks that concern the operator: the rest is for the author of the code."""

_REJECTED = {
    "Offer expired": "the accept came late: look at the network and the load of the broker",
    "No open task slots": "usual with several brokers, who share the slots; if it is frequent, add slots",
    "Runner is shutting down": "the broker offers the task to another runner",
}
_GIVEN_UP = {
    "timeout": "all runners of this type were busy: start more of them, or raise their concurrency",
    "no-runner": "no runner of this type is connected: start one, and check the task type",
    "draining": "this broker is shutting down: ask another one",
    "queue-full": "more requests wait than are allowed: start more runners, or raise --max-waiting",
}
_DECLINED = {
    "expired": "the accept came after the runner's offer had run out: look at its round trip and load",
    "full": "usual for a runner that serves several brokers; if it is frequent, add slots",
    "draining": "the runner is shutting down; another one gets the task",
    "rejected": "see the log of the runner",
    "missed": "the runner did not answer in time: is it stopped, overloaded or cut off?",
    "runner-lost": "its connection ended before it answered; another runner gets the task",
}
_LOST_TASK = {
    "runner-lost": "ask again; if it repeats, look at the log of the runner",
    "timeout": "split the work, or raise --execution-timeout",
    "no-settings": "the requester sent no settings in time: is it gone, or its connection slow?",
}


def task_failed(outcome: str, cause: str = "") -> str:
    """Return what to do about the end of a task, by the names of `TaskEnded.outcome` and its cause."""
    return _LIMIT_REACHED.get(cause) or _TASK_FAILED.get(outcome, "")


def rejected(reason: str) -> str:
    """Return what to do about a rejected accept."""
    return next((remedy for start, remedy in _REJECTED.items() if reason.startswith(start)), "")


def given_up(reason: str, last_decline: str = "") -> str:
    """Return what to do about a request that no runner took.

    Args:
        reason: by the names of `RequestGivenUp.reason`.
        last_decline: if it was matched in vain, how that ended, by the names of `MatchDeclined.how`.

    Returns:
        Empty where nobody needs to do anything: whoever asked has changed their mind, or is gone.
    """
    if reason == "timeout" and last_decline not in ("", "full", "deferred"):
        return f"it was offered to runners, and the last did not take it: {declined(last_decline)}"
    return _GIVEN_UP.get(reason, "")


def declined(how: str) -> str:
    """Return what to do about a match that came to nothing, by the names of `MatchDeclined.how`."""
    return _DECLINED.get(how, "")


def lost_task(outcome: str) -> str:
    """Return what to do about a task of a broker, by the names of `BrokerTaskEnded.outcome`."""
    return _LOST_TASK.get(outcome, "")


def lost_runner(role: str) -> str:
    """Return what to do about a peer that left while tasks of it ran."""
    if role == "runner":
        return "its tasks were failed: whoever asked may ask again; look at the log of the runner"
    return "its tasks were cancelled: nobody waits for them"
