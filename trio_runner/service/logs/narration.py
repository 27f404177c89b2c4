"""From events to log lines: what an operator wants to read, and for each failure what to do about it."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import singledispatchmethod
from typing import Any

import structlog

from ...scheduling import observer as events
from .repeats import Repeats

__all__ = ["LoggingObserver"]

# What a good day looks like is said at once; a fault that comes in floods is said so many times a minute.
_BURST = 5
# How a task failed, and what the operator can do; nothing is said where it is the author's matter alone.
_REMEDIES = {
    "user-code": "the fault is in the task's code; its author has been told",
    "policy": "change the code, or allow what it needs: N8N_RUNNERS_STDLIB_ALLOW, N8N_RUNNERS_EXTERNAL_ALLOW",
    "settings": "whoever asked for the task sent settings that describe none",
    "result": "return less, or what JSON can hold; the size limit is N8N_RUNNERS_MAX_PAYLOAD",
    "timeout": "split the work, or raise N8N_RUNNERS_TASK_TIMEOUT",
    "worker-died": "most often memory: give the runner more, or lower N8N_RUNNERS_MAX_CONCURRENCY",
    "link-lost": "the broker fails the tasks of a lost connection; whoever asked may ask again",
    "no-settings": "the broker sent no settings in time; whoever asked for the task may be gone",
    "runner": "a fault of the runner or its machine; the line before this one tells more",
}
# Ends of tasks that concern the operator: the rest is for the author of the code.
_OPERATORS_MATTER = frozenset({"timeout", "worker-died", "no-settings", "runner"})


class LoggingObserver:
    """Writes a line for each event that somebody would want to read.

    Args:
        clock: monotonic time in seconds, for holding back repeats.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._log: Any = structlog.get_logger("trio_runner")
        self._clock = clock
        self._repeats = Repeats()
        # By broker and task: whose task it is, in n8n's words, as far as the settings say it.
        self._owners: dict[tuple[str, str], dict[str, str]] = {}
        # By broker: what has been said since it was last there. An outage that has ended is forgotten.
        self._outages: dict[str, Repeats] = {}

    def observe(self, event: events.Event) -> None:
        """Write the line for one event, if it deserves one."""
        self._narrate(event)

    @singledispatchmethod
    def _narrate(self, event: object) -> None:
        """Write the line for an event of a kind that is not known here."""
        self._log.debug(type(event).__name__, what=repr(event))

    def _limited(self, level: str, message: str, *, key: object, about: dict[str, object]) -> None:
        """Write a line unless the same has been said often enough of late."""
        held_back = self._repeats.say(key, self._clock(), burst=_BURST)
        if held_back is not None:
            repeated = {"repeated": held_back + 1} if held_back else {}
            getattr(self._log, level)(message, **about, **repeated)

    # --- of a runner ----------------------------------------------------------------------------------

    @_narrate.register
    def _link_up(self, event: events.LinkUp) -> None:
        self._limited("info", "Connected to broker", key=("up", event.broker), about={"broker": event.broker})

    @_narrate.register
    def _registered(self, event: events.Registered) -> None:
        self._limited(
            "info", "Registered with broker", key=("in", event.broker), about={"broker": event.broker}
        )
        self._outages.pop(event.broker, None)

    @_narrate.register
    def _link_down(self, event: events.LinkDown) -> None:
        if event.retry_in is None:
            return  # the end of the runner: the daemon says so itself
        outage = self._outages.setdefault(event.broker, Repeats())
        held_back = outage.say(event.error, self._clock())
        if held_back is None:
            return
        # The text may differ each time, or the broker come and go: a second limit counts everything.
        if self._repeats.say(("down", event.broker), self._clock(), burst=_BURST) is None:
            return
        about: dict[str, object] = {"broker": event.broker, "retry_in": event.retry_in}
        about |= {"tasks_stopped": event.tasks_stopped} if event.tasks_stopped else {}
        about |= {"repeated": held_back + 1} if held_back else {}
        self._log.warning(f"No connection to broker: {event.error}", **about)

    @_narrate.register
    def _offer_sent(self, event: events.OfferSent) -> None:
        self._log.debug("Slot offered", broker=event.broker, offer=event.offer_id, type=event.task_type)

    @_narrate.register
    def _task_accepted(self, event: events.TaskAcceptedEvent) -> None:
        self._log.debug("Task accepted", task=event.task_id, type=event.task_type, broker=event.broker)

    @_narrate.register
    def _accept_rejected(self, event: events.AcceptRejected) -> None:
        key = ("rejected", event.broker, event.reason)
        about: dict[str, object] = {"task": event.task_id, "broker": event.broker}
        self._limited("info", f"Task rejected: {event.reason}", key=key, about=about)

    @_narrate.register
    def _task_started(self, event: events.TaskStarted) -> None:
        named = {
            "workflow": _named(event.workflow_name, event.workflow_id),
            "node": _named(event.node_name, event.node_id),
        }
        owner = {key: name for key, name in named.items() if name}
        self._owners[event.broker, event.task_id] = owner
        self._log.debug("Task started", task=event.task_id, **owner)

    @_narrate.register
    def _task_printed(self, event: events.TaskPrinted) -> None:
        self._log.info(f"[user code] {event.text}", task=event.task_id)

    @_narrate.register
    def _task_ended(self, event: events.TaskEnded) -> None:
        about: dict[str, object] = {"task": event.task_id, "seconds": event.seconds}
        about |= self._owners.pop((event.broker, event.task_id), {})
        if event.outcome == "completed":
            self._log.info("Task completed", **about, result_bytes=event.result_size)
        elif event.outcome == "cancelled":
            self._log.info("Task cancelled", **about)
        else:
            level = "warning" if event.outcome in _OPERATORS_MATTER else "info"
            remedy = _REMEDIES.get(event.outcome, "")
            getattr(self._log, level)(
                f"Task failed: {event.message}", **about, outcome=event.outcome, remedy=remedy
            )

    @_narrate.register
    def _message_ignored(self, event: events.MessageIgnored) -> None:
        level = "debug" if event.late else "info"
        self._limited(
            level, f"Message ignored: {event.why}", key=("ignored", event.why), about={"peer": event.peer}
        )

    @_narrate.register
    def _draining(self, event: events.RunnerDraining) -> None:
        if event.broker:
            message = "The broker asks for no more offers; running tasks go on"
            self._log.info(message, broker=event.broker, running=event.running_tasks)
        else:
            self._log.info("Shutting down; running tasks may finish", running=event.running_tasks)

    @_narrate.register
    def _idle(self, event: events.RunnerIdle) -> None:
        self._log.info(f"No task for {event.seconds:g} seconds; ending")

    @_narrate.register
    def _stalled(self, event: events.Stalled) -> None:
        key = ("stalled", event.broker, event.why)
        self._limited(
            "warning", f"No progress: {event.why}; connecting anew", key=key, about={"broker": event.broker}
        )

    @_narrate.register
    def _executor_trouble(self, event: events.ExecutorTrouble) -> None:
        remedy = "tasks may fail until this is mended; look at memory, processes and files of this machine"
        self._limited("error", f"Workers: {event.why}", key=("workers", event.why), about={"remedy": remedy})

    # --- of a broker ----------------------------------------------------------------------------------

    @_narrate.register
    def _peer_joined(self, event: events.PeerJoined) -> None:
        about = {"id": event.peer_id, "name": event.name, "types": ",".join(event.task_types)}
        self._log.info(
            f"{event.role.capitalize()} connected", **{key: value for key, value in about.items() if value}
        )

    @_narrate.register
    def _peer_left(self, event: events.PeerLeft) -> None:
        level = "warning" if event.tasks_failed else "info"
        getattr(self._log, level)(
            f"{event.role.capitalize()} gone: {event.why}", id=event.peer_id, tasks_failed=event.tasks_failed
        )

    @_narrate.register
    def _peer_refused(self, event: events.PeerRefused) -> None:
        key = ("refused", event.status, event.why)
        self._limited(
            "warning",
            f"Refused: {event.why}",
            key=key,
            about={"address": event.address, "status": event.status},
        )

    @_narrate.register
    def _request_enqueued(self, event: events.RequestEnqueued) -> None:
        about = {"request": event.request_id, "type": event.task_type, "waiting": event.waiting}
        self._log.debug("Request waits for a runner", **about)

    @_narrate.register
    def _request_matched(self, event: events.RequestMatched) -> None:
        about = {"task": event.task_id, "request": event.request_id, "runner": event.runner_id}
        self._log.debug("Request matched", **about, type=event.task_type, waited=event.waited)

    @_narrate.register
    def _request_given_up(self, event: events.RequestGivenUp) -> None:
        remedy = "start more runners of this type, or raise their concurrency"
        key = ("given up", event.task_type, event.reason)
        about: dict[str, object] = {"request": event.request_id, "type": event.task_type}
        about |= {"reason": event.reason, "remedy": remedy}
        self._limited("warning", "A request found no runner", key=key, about=about)

    @_narrate.register
    def _broker_task_ended(self, event: events.BrokerTaskEnded) -> None:
        level = "warning" if event.outcome in ("runner-lost", "timeout") else "info"
        getattr(self._log, level)(
            f"Task ended: {event.outcome}", task=event.task_id, type=event.task_type, seconds=event.seconds
        )


def _named(name: str, identifier: str) -> str:
    """Return a name with its id, or the one of them that is known, or nothing."""
    known = [text for text in (name, identifier) if text and text != "Unknown"]
    return f"{known[0]} ({known[1]})" if len(known) == 2 else "".join(known)
