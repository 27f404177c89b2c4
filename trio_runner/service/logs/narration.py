"""From events to log lines: what an operator wants to read, and for each failure what to do about it."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, TypeVar

from ...scheduling import observer as events
from . import remedies
from .logger import LOG
from .repeats import Repeats

__all__ = ["LoggingObserver"]

# What a good day looks like is said at once; a fault that comes in floods is said so many times a minute.
_BURST = 5
# Seconds that a request may wait for a runner before that is worth a line.
_LONG_WAIT = 1.0
_MACHINE = "tasks may fail until this is mended; look at memory, processes and files of this machine"

NarrateT = TypeVar("NarrateT", bound=Callable[..., None])
# By kind of event: what writes its line. A table, because single dispatch costs more than a line does.
_NARRATORS: dict[type, Callable[..., None]] = {}


def _about(kind: type) -> Callable[[NarrateT], NarrateT]:
    """Enter a method for a kind of event."""

    def enter(method: NarrateT) -> NarrateT:
        _NARRATORS[kind] = method
        return method

    return enter


class LoggingObserver:
    """Writes a line for each event that somebody would want to read.

    Make it once logging has been set up.

    Args:
        clock: monotonic time in seconds, for holding back repeats.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._log: Any = LOG  # bound once: it is asked often
        self._clock = clock
        self._repeats = Repeats()
        # By broker and task: whose task it is, in n8n's words, as far as the settings say it.
        self._owners: dict[tuple[str, str], dict[str, str]] = {}
        # By broker: what has been said since it was last there. An outage that has ended is forgotten.
        self._outages: dict[str, Repeats] = {}

    def observe(self, event: events.Event) -> None:
        """Write the line for one event, if it deserves one."""
        narrate = _NARRATORS.get(type(event))
        if narrate is not None:
            narrate(self, event)
        else:
            self._log.debug(type(event).__name__, what=repr(event))

    def _limited(self, level: str, message: str, *, key: object, about: dict[str, object]) -> None:
        """Write a line unless the same has been said often enough of late."""
        held_back = self._repeats.say(key, self._clock(), burst=_BURST)
        if held_back is not None:
            repeated = {"repeated": held_back + 1} if held_back else {}
            getattr(self._log, level)(message, **about, **repeated)

    # --- of a runner ----------------------------------------------------------------------------------

    @_about(events.LinkUp)
    def _link_up(self, event: events.LinkUp) -> None:
        self._limited("info", "Connected to broker", key=("up", event.broker), about={"broker": event.broker})

    @_about(events.Registered)
    def _registered(self, event: events.Registered) -> None:
        self._limited(
            "info", "Registered with broker", key=("in", event.broker), about={"broker": event.broker}
        )
        self._outages.pop(event.broker, None)

    @_about(events.LinkDown)
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

    @_about(events.OfferSent)
    def _offer_sent(self, event: events.OfferSent) -> None:
        self._log.debug("Slot offered", broker=event.broker, offer=event.offer_id, type=event.task_type)

    @_about(events.TaskAcceptedEvent)
    def _task_accepted(self, event: events.TaskAcceptedEvent) -> None:
        self._log.debug("Task accepted", task=event.task_id, type=event.task_type, broker=event.broker)

    @_about(events.AcceptRejected)
    def _accept_rejected(self, event: events.AcceptRejected) -> None:
        key = ("rejected", event.broker, event.reason)
        about: dict[str, object] = {"task": event.task_id, "broker": event.broker}
        about["remedy"] = remedies.rejected(event.reason)
        self._limited("info", f"Task rejected: {event.reason}", key=key, about=about)

    @_about(events.TaskStarted)
    def _task_started(self, event: events.TaskStarted) -> None:
        owner: dict[str, str] = {}
        if workflow := _named(event.workflow_name, event.workflow_id):
            owner["workflow"] = workflow
        if node := _named(event.node_name, event.node_id):
            owner["node"] = node
        self._owners[event.broker, event.task_id] = owner
        self._log.debug("Task started", task=event.task_id, **owner, broker=event.broker)

    @_about(events.TaskPrinted)
    def _task_printed(self, event: events.TaskPrinted) -> None:
        owner = self._owners.get((event.broker, event.task_id), {})
        self._log.info(event.text, origin="user code", task=event.task_id, **owner)

    @_about(events.TaskEnded)
    def _task_ended(self, event: events.TaskEnded) -> None:
        about: dict[str, object] = {"task": event.task_id, "seconds": event.seconds}
        about |= self._owners.pop((event.broker, event.task_id), {})
        about["broker"] = event.broker
        if event.outcome == "completed":
            self._log.info("Task completed", **about, result_bytes=event.result_size)
        elif event.outcome == "cancelled":
            self._log.info("Task cancelled", **about)
        elif event.outcome == "shutdown":
            self._log.warning("Task killed at shutdown", **about, remedy=remedies.task_failed("shutdown"))
        else:
            level = "warning" if event.outcome in remedies.OPERATORS_MATTER else "info"
            remedy = remedies.task_failed(event.outcome, event.cause)
            getattr(self._log, level)(
                f"Task failed: {event.message}", **about, outcome=event.outcome, remedy=remedy
            )

    @_about(events.MessageIgnored)
    def _message_ignored(self, event: events.MessageIgnored) -> None:
        level = "debug" if event.late else "info"
        about: dict[str, object] = {"peer": event.peer}
        about["remedy"] = "harmless; another version of its program may know more messages than this one"
        self._limited(level, f"Message ignored: {event.why}", key=("ignored", event.why), about=about)

    @_about(events.RunnerDraining)
    def _draining(self, event: events.RunnerDraining) -> None:
        if event.broker:
            message = "The broker asks for no more offers; running tasks go on"
            self._log.info(message, broker=event.broker, running=event.running_tasks)
        else:
            self._log.info("Shutting down; running tasks may finish", running=event.running_tasks)

    @_about(events.RunnerSpent)
    def _spent(self, event: events.RunnerSpent) -> None:
        self._log.info(f"Ending by itself: {event.why}")

    @_about(events.RunnerIdle)
    def _idle(self, event: events.RunnerIdle) -> None:
        self._log.info(f"No task for {event.seconds:g} seconds; ending")

    @_about(events.Stalled)
    def _stalled(self, event: events.Stalled) -> None:
        key = ("stalled", event.broker, event.why)
        about: dict[str, object] = {"broker": event.broker}
        about["remedy"] = "if it repeats, look at the log and the load of the broker"
        self._limited("warning", f"No progress: {event.why}; connecting anew", key=key, about=about)

    @_about(events.WallsMissing)
    def _walls_missing(self, event: events.WallsMissing) -> None:
        self._log.warning(f"Sandbox: {event.why}", missing=",".join(event.walls))

    @_about(events.ExecutorTrouble)
    def _executor_trouble(self, event: events.ExecutorTrouble) -> None:
        about: dict[str, object] = {"remedy": _MACHINE}
        self._limited("error", f"Workers: {event.why}", key=("workers", event.why), about=about)

    @_about(events.WorkerGone)
    def _worker_gone(self, event: events.WorkerGone) -> None:
        about = {"start_seconds": event.start_seconds, "peak_bytes": event.peak_memory}
        known = {name: value for name, value in about.items() if value is not None}
        self._log.debug("Worker ended", **known, had_task=event.had_task)

    # --- of a broker ----------------------------------------------------------------------------------

    @_about(events.PeerJoined)
    def _peer_joined(self, event: events.PeerJoined) -> None:
        about = {"id": event.peer_id, "name": event.name, "types": ",".join(event.task_types)}
        self._log.info(
            f"{event.role.capitalize()} connected", **{key: value for key, value in about.items() if value}
        )

    @_about(events.PeerLeft)
    def _peer_left(self, event: events.PeerLeft) -> None:
        message, about = f"{event.role.capitalize()} gone: {event.why}", {"id": event.peer_id}
        if event.tasks_failed:
            remedy = remedies.lost_runner(event.role)
            self._log.warning(message, **about, tasks_failed=event.tasks_failed, remedy=remedy)
        else:
            self._log.info(message, **about, tasks_failed=0)

    @_about(events.PeerRefused)
    def _peer_refused(self, event: events.PeerRefused) -> None:
        key = ("refused", event.status, event.why)
        about: dict[str, object] = {"address": event.address, "status": event.status}
        self._limited("warning", f"Refused: {event.why}", key=key, about=about)

    @_about(events.RequestEnqueued)
    def _request_enqueued(self, event: events.RequestEnqueued) -> None:
        about: dict[str, object] = {"request": event.request_id, "type": event.task_type}
        about |= {"waiting": event.waiting, "runners": event.runners, "running": event.running}
        if event.runners:
            self._log.debug("Request waits for a free runner", **about)
            return
        about["remedy"] = remedies.given_up("no-runner")
        message = "A request waits: no connected runner serves its type"
        self._limited("warning", message, key=("unserved", event.task_type), about=about)

    @_about(events.RequestMatched)
    def _request_matched(self, event: events.RequestMatched) -> None:
        about = {"task": event.task_id, "request": event.request_id, "runner": event.runner_id}
        self._log.debug("Request matched", **about, type=event.task_type, waited=event.waited)

    @_about(events.RequestAccepted)
    def _request_accepted(self, event: events.RequestAccepted) -> None:
        about: dict[str, object] = {"task": event.task_id, "request": event.request_id}
        about |= {"runner": event.runner_id, "type": event.task_type, "waited": event.waited}
        if event.waited < _LONG_WAIT:
            self._log.debug("Request taken", **about)
        else:
            about["remedy"] = "if it is frequent, start more runners of this type, or raise their concurrency"
            self._limited("info", "A request had to wait", key=("waited", event.task_type), about=about)

    @_about(events.MatchDeclined)
    def _match_declined(self, event: events.MatchDeclined) -> None:
        about: dict[str, object] = {"task": event.task_id, "request": event.request_id}
        about |= {"runner": event.runner_id, "type": event.task_type, "waited": event.waited}
        about |= {"reason": event.reason} if event.reason and event.how == "rejected" else {}
        about["remedy"] = remedies.declined(event.how)
        level = "debug" if event.how == "deferred" else "info"
        key = ("declined", event.runner_id, event.how)
        self._limited(level, f"A runner did not take a task: {event.how}", key=key, about=about)

    @_about(events.RequestGivenUp)
    def _request_given_up(self, event: events.RequestGivenUp) -> None:
        about: dict[str, object] = {"request": event.request_id, "type": event.task_type}
        about |= {"reason": event.reason, "waited": event.waited}
        about |= {"runners": event.runners, "running": event.running}
        about |= {"declines": event.declines, "last_decline": event.last_decline} if event.declines else {}
        remedy = remedies.given_up(event.reason, event.last_decline)
        if not remedy:  # whoever asked wants it no more
            self._log.debug("A request was withdrawn", **about)
            return
        key = ("given up", event.task_type, event.reason)
        self._limited("warning", "A request found no runner", key=key, about=about | {"remedy": remedy})

    @_about(events.BrokerTaskEnded)
    def _broker_task_ended(self, event: events.BrokerTaskEnded) -> None:
        about: dict[str, object] = {"task": event.task_id, "type": event.task_type, "seconds": event.seconds}
        remedy = remedies.lost_task(event.outcome)
        if remedy:
            self._log.warning(f"Task ended: {event.outcome}", **about, remedy=remedy)
        else:
            self._log.info(f"Task ended: {event.outcome}", **about)


def _named(name: str, identifier: str) -> str:
    """Return a name with its id, or the one of them that is known, or nothing."""
    if name == "Unknown":
        name = ""
    if not identifier or identifier == "Unknown":
        return name
    return f"{name} ({identifier})" if name else identifier
