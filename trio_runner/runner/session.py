"""A session: what happens on one connection to one broker.

Theory of operation. The session's nursery supervises the receive loop, the offer loop, the progress watch
and one task scope per accepted task. The receive loop is synchronous apart from waiting for the next
message: every decision is the ledger's and every answer is queued at once, so nothing that a broker sends
waits behind a task. When the connection ends, the nursery is cancelled: the tasks die with it, their slots
become free, and the offers are void. The link outlives the nursery, so that replies queued by the last
task scope are still written.
"""

from __future__ import annotations

import trio

from ..errors import LinkLost, LocalProtocolError
from ..executor.contract import ExecutorEvent, Printed
from ..protocol import messages as m
from ..protocol.codec import UnknownMessage
from ..protocol.ids import new_id
from ..protocol.raw_json import RawJson
from ..scheduling import observer as events
from ..scheduling.ledger import Accepted
from ..scheduling.outcome import (
    Completed,
    Failed,
    Outcome,
    WorkerDied,
    death_cause,
    describe,
    error_kind,
    reply,
)
from ..scheduling.progress import ProgressWatch
from ..transport.link import Link, Malformed
from .shared import Shared
from .statistics import ConnectionStatistics, HeldTask
from .task_scope import NO_SETTINGS, TaskScope
from .wakeup import Alarm

__all__ = ["MOST_QUEUED", "Session"]

MOST_QUEUED = 32 * 1024 * 1024
"""Bytes that may wait to be written while slots of tasks whose replies are among them are free already: with
more, results that come faster than the connection carries them would fill the memory."""

# How long a watch may be late before it counts as dead itself, and what the death of the tasks of a lost
# connection may take: the executor kills what does not answer much sooner. Seconds.
_LATE_WATCH = 10.0
_DYING = 90.0
# How a task ends whose session does: name and message.
_LINK_LOST = ("link-lost", "The connection to the broker was lost")
_STOPPED = ("shutdown", "The runner was stopped")
# Kinds of strange messages that are told per connection: a broker that finds more is no news.
_COMPLAINTS = 20
# Bytes of JSON. A longer task id, and none is, could leave no room for an answer that names it: see
# `RunnerConfig.link`, whose smallest message holds an error and such an id.
_LONGEST_TASK_ID = 500


class Session:
    """One connection to one broker, from the first message to the last.

    Args:
        name: unique among the open sessions of the runner.
        broker: base URI of the broker, for events.
        link: the open connection; whoever opened it closes it after `run`.
        shared: what the runner's sessions have in common.
    """

    def __init__(self, name: str, broker: str, link: Link[m.BrokerToRunner], shared: Shared) -> None:
        self.name = name
        self.broker = broker
        self._link = link
        self._shared = shared
        self._began = trio.current_time()
        self._tasks: dict[str, TaskScope] = {}
        self._watch = ProgressWatch(self._began, policy=shared.config.offers)
        self._renewal = Alarm()  # when an offer expires
        self._verdict = Alarm()  # when the session would count as stalled
        self._receive_scope = trio.CancelScope()
        self._registered = False
        self._lost = False
        self._complained: set[str] = set()
        self.tasks_stopped = 0

    async def run(self) -> LinkLost:
        """Serve the broker until the connection ends, and return how it ended.

        Cancellation:
            Stops the session's tasks and waits until nothing of them is left.
        """
        loss = LinkLost("the session was stopped")
        self._shared.ledger.open_session(self.name, self._shared.executor.task_types)
        self._shared.sessions.append(self)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._offer_loop)
            nursery.start_soon(self._watch_progress)
            try:
                loss = await self._receive_loop(nursery)
                self._lost = True
            finally:
                self._leave()
            nursery.cancel_scope.cancel()
        return loss

    async def flush(self) -> None:
        """Wait until everything queued so far has been written, or the connection is lost."""
        await self._link.flush()

    def drain(self, deadline: float) -> None:
        """Take part in a shutdown: no more offers, and the running tasks end by `deadline` at the latest.

        Args:
            deadline: end of the grace, `trio.current_time()`.
        """
        self._watch.draining()
        for scope in self._tasks.values():
            scope.end_by(deadline)

    def leave(self, deadline: float) -> None:
        """Offer no more, because this broker is wanted no more; its tasks end by `deadline` at the latest.

        Args:
            deadline: end of the grace, `trio.current_time()`.
        """
        self._shared.ledger.drain(self.name)
        self.drain(deadline)

    def close(self) -> None:
        """Begin to close the connection, after everything that is queued."""
        self._link.close(1000, "runner shut down")

    def overdue(self, now: float) -> str | None:
        """Return why the session should have been given up by itself long ago, or None."""
        return self._watch.stalled(now - _LATE_WATCH)

    def statistics(self) -> ConnectionStatistics:
        """Return a snapshot."""
        return ConnectionStatistics(
            broker=self.broker,
            session=self.name,
            registered=self._registered,
            age=trio.current_time() - self._began,
            running_tasks=len(self._tasks),
            link=self._link.statistics(),
        )

    def tasks(self) -> tuple[HeldTask, ...]:
        """Return a snapshot of the tasks that hold a slot, the oldest first."""
        now = trio.current_time()
        return tuple(scope.snapshot(self.broker, now) for scope in self._tasks.values())

    # --- offers ---------------------------------------------------------------------------------------

    def offer_free_slots(self) -> None:
        """Offer every free slot that is not on offer yet, now."""
        now = trio.current_time()
        for offer in self._shared.offers_due(self.name, now):
            self._link.send(m.TaskOffer(offer.offer_id, offer.task_type, offer.valid_for_ms))
            self._watch.offered(now)
            self._shared.observe(events.OfferSent(self.broker, offer.offer_id, offer.task_type))
        self._watch.capacity(self._shared.can_offer, now)
        self._renewal.bring_forward(self._shared.ledger.next_deadline(self.name))
        self._verdict.bring_forward(self._watch.next_deadline())

    async def _offer_loop(self) -> None:
        """Renew offers when they expire; everything else offers by itself, when it frees a slot."""
        while True:
            self.offer_free_slots()
            await self._renewal.sleep_until(self._shared.ledger.next_deadline(self.name))

    async def _watch_progress(self) -> None:
        """Give the connection up when the session is alive but gets nowhere."""
        while (why := self._watch.stalled(trio.current_time())) is None:
            await self._verdict.sleep_until(self._watch.next_deadline())
            # After the process was stopped, every deadline has passed at once: the offer loop goes first.
            await trio.lowlevel.checkpoint()
        if self._registered:  # else it is the broker that gets nowhere
            self._shared.expectations.stalled()
        self._shared.observe(events.Stalled(self.broker, why))
        self._receive_scope.cancel()

    # --- messages -------------------------------------------------------------------------------------

    async def _receive_loop(self, nursery: trio.Nursery) -> LinkLost:
        with self._receive_scope:
            try:
                await self._link.receive_each(lambda message: self._handle(message, nursery))
            except LinkLost as loss:
                return loss
        return LinkLost("the session made no progress")

    def _handle(self, message: m.BrokerToRunner | UnknownMessage | Malformed, nursery: trio.Nursery) -> None:
        match message:
            case m.TaskOfferAccept():
                self._on_accept(message, nursery)
            case m.TaskSettings():
                self._on_settings(message)
            case m.TaskCancel(task_id):
                if self._shared.ledger.cancel(self.name, task_id):
                    self._tasks[task_id].cancel()
            case m.InfoRequest():
                self._link.send(m.RunnerInfo(self._shared.config.name, self._shared.executor.task_types))
            case m.RunnerRegistered():
                self._on_registered()
            case m.Drain():
                self._on_drain()
            case UnknownMessage(type=kind):
                self._ignore(kind[:100], f"unknown message type {kind[:100]!r}")
            case Malformed(reason):
                self._ignore("malformed", f"not a message: {reason[:500]}")
            case m.RpcResponse() | m.TaskDataResponse() | m.NodeTypes():
                pass  # nothing here waits for these: prints need no answer

    def _on_registered(self) -> None:
        if self._registered:
            return
        self._registered = True
        self._shared.ledger.register(self.name)
        if self._shared.ledger.draining:
            self._watch.draining()
        else:
            self._watch.registered(trio.current_time())
        self._shared.observe(events.Registered(self.broker))
        self._shared.on_registered()
        self.offer_free_slots()

    def _on_drain(self) -> None:
        self._shared.ledger.drain(self.name)
        self._watch.draining()
        self._shared.observe(events.RunnerDraining(self.broker, len(self._tasks)))

    def _on_accept(self, message: m.TaskOfferAccept, nursery: trio.Nursery) -> None:
        size = len(RawJson.of(message.task_id))
        if size > _LONGEST_TASK_ID:
            self._ignore("task id", f"an accept with a task id of {size} bytes, over {_LONGEST_TASK_ID}")
            return
        now = trio.current_time()
        decision = self._shared.ledger.accept(self.name, message.offer_id, message.task_id, now)
        if isinstance(decision, Accepted):
            scope = TaskScope(decision.task_id, decision.task_type, now, decision.settings_deadline)
            self._tasks[decision.task_id] = scope
            self._link.send(m.TaskAccepted(decision.task_id))
            self._shared.observe(events.TaskAcceptedEvent(self.broker, decision.task_id, decision.task_type))
            self._shared.took_task(self)
            nursery.start_soon(self._serve_task, scope)
        else:
            self._link.send(m.TaskRejected(decision.task_id, decision.reason))
            self._shared.observe(events.AcceptRejected(self.broker, decision.task_id, decision.reason))
        self.offer_free_slots()

    def _on_settings(self, message: m.TaskSettings) -> None:
        if self._shared.ledger.start(self.name, message.task_id):
            self._tasks[message.task_id].begin(
                message.settings, now=trio.current_time(), timeout=self._shared.config.task_timeout
            )

    def _ignore(self, kind: str, why: str) -> None:
        if kind not in self._complained and len(self._complained) < _COMPLAINTS:
            self._complained.add(kind)
            self._shared.observe(events.MessageIgnored(self.broker, why))

    def _leave(self) -> None:
        """Void the offers; from here on the ledger knows the session only by the tasks it still holds."""
        died_by = trio.current_time() + _DYING
        self._shared.expectations.expect(self.broker, "the end of the tasks of a lost connection", died_by)
        self._shared.sessions.remove(self)
        self.tasks_stopped = len(self._shared.ledger.close_session(self.name))
        self._shared.changed.ring()

    # --- tasks ----------------------------------------------------------------------------------------

    async def _serve_task(self, scope: TaskScope) -> None:
        """Run one accepted task to its end, report it and free its slot."""

        def on_event(event: ExecutorEvent) -> None:
            self._on_executor_event(scope, event)

        try:
            outcome = await scope.run(self._shared.executor, on_event, receiving=lambda: self._link.receiving)
            outcome = self._send_reply(scope, outcome)
            if self._link.statistics().queued_bytes > MOST_QUEUED:
                await scope.linger(self._link.flush)
        except BaseException:  # Cancelled, which comes in groups from an executor that has nurseries
            self._task_over(scope, *(_LINK_LOST if self._lost else _STOPPED))
            raise
        kind = "no-settings" if outcome is NO_SETTINGS else error_kind(outcome)
        size = len(outcome.result) if isinstance(outcome, Completed) else 0
        cause = death_cause(outcome) if isinstance(outcome, WorkerDied) else ""
        self._task_over(scope, kind, describe(outcome)[0], size, cause)

    def _on_executor_event(self, scope: TaskScope, event: ExecutorEvent) -> None:
        if isinstance(event, Printed):
            self._send_print(scope, event.params)
            self._shared.observe(events.TaskPrinted(self.broker, scope.task_id, event.text))
            return
        scope.started(event, trio.current_time())
        self._shared.observe(
            events.TaskStarted(
                self.broker,
                scope.task_id,
                event.workflow_id,
                event.workflow_name,
                event.node_id,
                event.node_name,
                event.traceparent,
            )
        )

    def _send_print(self, scope: TaskScope, params: RawJson) -> None:
        """Queue what a task printed; of what the connection cannot carry, only the reason why not."""
        try:
            self._link.send(m.RpcRequest(new_id(), scope.task_id, "logNodeOutput", params), more=True)
        except LocalProtocolError as exc:
            instead = RawJson.of([f"[print() left out: {exc}]"])
            self._link.send(m.RpcRequest(new_id(), scope.task_id, "logNodeOutput", instead))

    def _send_reply(self, scope: TaskScope, outcome: Outcome) -> Outcome:
        """Queue the reply; a result that the connection cannot carry becomes the error that says so."""
        answer = reply(scope.task_id, outcome, continue_on_fail=scope.continue_on_fail)
        try:
            self._link.send(answer, more=True)  # the offer of its slot
        except LocalProtocolError as exc:
            outcome = Failed("The result is too large", str(exc), kind="result")
            self._link.send(reply(scope.task_id, outcome, continue_on_fail=scope.continue_on_fail))
        return outcome

    def _task_over(
        self, scope: TaskScope, kind: str, message: str, result_size: int = 0, cause: str = ""
    ) -> None:
        del self._tasks[scope.task_id]
        self._shared.ledger.finish(self.name, scope.task_id)
        self._shared.task_over(kind)  # its slot is offered, and the reply goes out with that, before all else
        if scope.trouble:
            self._shared.observe(events.ExecutorTrouble(scope.trouble))
        began, settings_at, started_at = scope.accepted_at, scope.settings_at, scope.started_at
        self._shared.observe(
            events.TaskEnded(
                self.broker,
                scope.task_id,
                kind,
                message,
                trio.current_time() - began,
                result_size,
                scope.task_type,
                None if settings_at is None else settings_at - began,
                None if started_at is None else started_at - began,
                cause,
            )
        )
