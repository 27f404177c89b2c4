"""The runner: one nursery that supervises a connection per broker, the idle exit and the shutdown."""

from __future__ import annotations

import contextlib
import math
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import partial

import trio

from ..errors import ConfigError, LinkError, LocalProtocolError
from ..executor.contract import Executor
from ..executor.handlers import CombinedExecutor, Handler, HandlerExecutor
from ..executor.pool import ProcessExecutor, ProcessExecutorConfig, open_process_executor
from ..scheduling import observer as events
from ..scheduling.ledger import Ledger
from ..scheduling.observer import NullObserver, Observer
from .broker_lines import BrokerLines
from .changes import ReconfigureReport, changes_to
from .config import RunnerConfig
from .dialer import Dialer, NetworkDialer
from .exit_rules import wait_for_exit_rule
from .records import Records
from .shared import Shared
from .snapshot import take_snapshot
from .statistics import RunnerPhase, RunnerStatistics

__all__ = ["Runner", "serve_runner"]

# What a `taskdone` holds around the result: type, task id and braces, generously.
_ENVELOPE = 4096


class Runner:
    """Serves tasks of one or several brokers, at most `RunnerConfig.max_concurrency` at a time.

    Args:
        config: the settings.
        handlers: async functions for task types of the embedding application, served beside Python tasks.
        executor: what runs tasks instead of the built-in worker processes; give `HandlerExecutor` to
            serve handlers only.
        observer: who is told what happens.
        dialer: reaches the brokers; None: over the network.

    Raises:
        ConfigError: a handler is registered for a task type that is served already.
    """

    def __init__(
        self,
        config: RunnerConfig,
        *,
        handlers: Mapping[str, Handler] | None = None,
        executor: Executor | None = None,
        observer: Observer | None = None,
        dialer: Dialer | None = None,
    ) -> None:
        self.config = config
        self._handlers = handlers
        self._given_executor = executor
        self._records = Records(observer or NullObserver())
        self._observer: Observer = self._records
        self._began: float | None = None
        self._dialer = dialer or NetworkDialer()
        self._phase = RunnerPhase.NEW
        self._ledger = Ledger(
            config.max_concurrency, policy=config.offers, settings_timeout=config.settings_timeout
        )
        self._shared: Shared | None = None
        self._processes: ProcessExecutor | None = None
        self._lines: BrokerLines | None = None
        self._set_up = trio.Event()  # there is everything that can be reconfigured, or there will never be
        self._ending = trio.Event()
        self._shutdown = trio.Event()
        self._hurry = trio.CancelScope()
        self._registered = trio.Event()
        self._fatal: ConfigError | LinkError | None = None

    async def run(self, *, task_status: trio.TaskStatus[Runner] = trio.TASK_STATUS_IGNORED) -> None:
        """Serve until shut down, idle for too long, or cut off for good.

        Args:
            task_status: started with the runner itself once a broker has registered it; never, if it is
                shut down before, upon which `trio.Nursery.start` raises RuntimeError.

        Raises:
            LinkError: the connection cannot be had again, because there was only a grant token.
            ConfigError: the grant token or the `ca_file` cannot be used, or a handler is registered for a
                task type that is served already.
            LocalProtocolError: this runner has run already.

        Cancellation:
            Stops everything at once: tasks are killed, nothing of them is left. For a graceful end call
            `shut_down`.
        """
        if self._phase is not RunnerPhase.NEW:
            raise LocalProtocolError("a Runner runs once: make a new one")
        self._phase = RunnerPhase.SERVING
        self._began = trio.current_time()
        self._records.begin()
        try:
            async with self._open_executor() as executor:
                await self._supervise(executor, task_status)
        finally:
            self._phase = RunnerPhase.ENDED
            self._set_up.set()
        if self._fatal is not None:
            raise self._fatal

    def shut_down(self) -> None:
        """Begin a graceful end: stop offering, let running tasks finish within the grace, kill the rest.

        May be called at any time, from the event loop's thread, more than once; `run` returns when done.
        """
        self._shutdown.set()
        self._ending.set()

    def drain(self) -> None:
        """Begin to end without hurry: stop offering, and let running tasks take their time.

        Each has its own time limit. `shut_down` may follow, to end those that are left within the grace.
        """
        self._ending.set()

    async def reconfigure(self, config: RunnerConfig, *, afresh: bool = False) -> ReconfigureReport:
        """Work by other settings from now on, as far as they can change while the runner runs.

        More slots are offered at once; of fewer, no running task is stopped. New brokers are connected to;
        those that are left get no more offers, and their running tasks finish within the grace. Rules,
        modules and walls are those of later tasks, time limits too. An auth token is for later connections.

        Args:
            config: the settings, all of them.
            afresh: later tasks also use the modules that are on disk now, as after `reload`.

        Returns:
            What has changed, and what needs a restart. The brokers that are left may still be draining.

        Raises:
            ConfigError: the settings cannot be used; everything stays as it is.
            LocalProtocolError: the runner does not run, or is shutting down.

        Cancellation:
            Some of the changes may have been made.
        """
        if self._phase is RunnerPhase.SERVING:
            await self._set_up.wait()
        lines, shared = self._lines, self._shared
        if self._phase is not RunnerPhase.SERVING or lines is None or shared is None:
            raise LocalProtocolError("the runner is not serving: it has not started, or is ending")
        report = changes_to(self.config, config, own_workers=self._processes is not None)
        if self._processes is not None:
            await self._processes.reconfigure(self._process_config(report.config), afresh=afresh)
        elif afresh:
            await shared.executor.reload()
        self._ledger.resize(report.config.max_concurrency)
        self.config = shared.config = report.config
        if "auth_token" in report.applied:
            shared.token_changed.ring()
        lines.serve(report.config.brokers)
        shared.slots_changed()
        return report

    async def reload(self) -> None:
        """Have later tasks use what is on disk now, such as new versions of packages.

        Running tasks are not touched and none is lost. Returns when the first task could use it; at once if
        the runner does not run.

        Raises:
            ConfigError: that is impossible; everything stays as it is.
        """
        if self._shared is None or self._phase is RunnerPhase.ENDED:
            await trio.lowlevel.checkpoint()
        else:
            with contextlib.suppress(trio.ClosedResourceError):  # it has ended meanwhile
                await self._shared.executor.reload()

    async def wait_registered(self) -> None:
        """Wait until a broker has registered the runner for the first time."""
        await self._registered.wait()

    def stalled(self) -> str | None:
        """Return why the runner makes no progress, one line, or None: it does, or it does not run.

        A runner whose brokers cannot be reached makes progress as long as it tries again. What is told here
        is a fault of the runner itself, for which the remedy is a new process.
        """
        if self._shared is None or self._phase is RunnerPhase.ENDED:
            return None
        now = trio.current_time()
        late = (session.overdue(now) for session in self._shared.sessions)
        return self._shared.expectations.overdue(now) or next(filter(None, late), None)

    def statistics(self) -> RunnerStatistics:
        """Return a snapshot. It may be asked for at any time, before and after the run too."""
        return take_snapshot(self.config, self._phase, self._began, self._ledger, self._records, self._shared)

    @asynccontextmanager
    async def _open_executor(self) -> AsyncIterator[Executor]:
        handlers = [HandlerExecutor(self._handlers)] if self._handlers else []
        if self._given_executor is not None:
            yield CombinedExecutor([self._given_executor, *handlers]) if handlers else self._given_executor
            return
        config = self._process_config(self.config)
        async with open_process_executor(config, observer=self._observer) as processes:
            self._processes = processes
            yield CombinedExecutor([processes, *handlers]) if handlers else processes

    def _process_config(self, config: RunnerConfig) -> ProcessExecutorConfig:
        return ProcessExecutorConfig(
            policy=config.policy,
            sandbox=config.sandbox,
            preload=config.preload,
            reuse=config.reuse,
            workers=config.max_concurrency,
            max_payload=max(1, config.link.max_message - _ENVELOPE),
        )

    async def _supervise(self, executor: Executor, task_status: trio.TaskStatus[Runner]) -> None:
        shared = Shared(
            self.config, self._ledger, executor, self._dialer, self._observer, self._on_registered
        )
        self._shared = shared
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._announce, task_status)
            nursery.start_soon(self._end_by_rule, shared)
            nursery.start_soon(self._offer_again, shared)
            self._lines = BrokerLines(shared, nursery, partial(self._give_up, nursery.cancel_scope))
            self._lines.serve(self.config.brokers)
            self._set_up.set()
            await self._ending.wait()
            nursery.start_soon(self._keep_grace, shared)
            await self._drain(shared)
            nursery.cancel_scope.cancel()

    def _give_up(self, scope: trio.CancelScope, error: ConfigError | LinkError) -> None:
        self._fatal = error  # raised by `run`, where no nursery wraps it in a group
        scope.cancel()

    def _on_registered(self) -> None:
        self._registered.set()
        if self._shared is not None and math.isinf(self._shared.idle_since):
            self._shared.idle_since = trio.current_time()
            self._shared.changed.ring()

    async def _announce(self, task_status: trio.TaskStatus[Runner]) -> None:
        await self._registered.wait()
        task_status.started(self)

    async def _offer_again(self, shared: Shared) -> None:
        """Offer what was held back as soon as the executor can begin tasks again."""
        while True:
            await shared.executor.wait_available()
            shared.slots_changed()

    async def _end_by_rule(self, shared: Shared) -> None:
        event = await wait_for_exit_rule(shared, trio.current_time())
        self._observer.observe(event)
        self.drain()

    async def _drain(self, shared: Shared) -> None:
        """Stop offering, wait for the tasks and their replies, and hang up."""
        self._phase = RunnerPhase.DRAINING
        self._ledger.drain()
        self._observer.observe(events.RunnerDraining("", self._ledger.held))
        for session in shared.sessions:
            session.drain(math.inf)
        while self._ledger.held:
            await shared.changed.wait_until(math.inf)
        with self._hurry:
            # Closing leaves little time for what is queued, and the last result may be large.
            for session in tuple(shared.sessions):
                await session.flush()
        for session in shared.sessions:
            session.close()
        with trio.move_on_after(self.config.link.close_timeout):
            while shared.sessions:
                await shared.changed.wait_until(math.inf)

    async def _keep_grace(self, shared: Shared) -> None:
        """Once the end is asked for with hurry, end the tasks that are left when the grace is over."""
        await self._shutdown.wait()
        self._hurry.deadline = trio.current_time() + self.config.grace
        for session in shared.sessions:
            session.drain(self._hurry.deadline)


async def serve_runner(
    config: RunnerConfig,
    *,
    handlers: Mapping[str, Handler] | None = None,
    executor: Executor | None = None,
    observer: Observer | None = None,
    task_status: trio.TaskStatus[Runner] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve tasks until cancelled, shut down or idle for too long.

    Args:
        config: the settings.
        handlers: async functions for task types of the embedding application.
        executor: what runs tasks instead of the built-in worker processes.
        observer: who is told what happens.
        task_status: started with the `Runner` once a broker has registered it; its `Runner.shut_down` ends
            it gracefully, its `Runner.statistics` tells how it does.

    Raises:
        LinkError: the connection cannot be had again, because there was only a grant token.
        ConfigError: the grant token or the `ca_file` cannot be used, or a handler is registered for a task
            type that is served already.

    Cancellation:
        Stops everything at once; nothing of any task is left.
    """
    runner = Runner(config, handlers=handlers, executor=executor, observer=observer)
    await runner.run(task_status=task_status)
