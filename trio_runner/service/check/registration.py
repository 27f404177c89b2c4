"""The talk of a runner with its broker, up to the first offer, by a real session that takes no task."""

from __future__ import annotations

import attrs
import trio

from ...errors import LinkLost
from ...executor.contract import ExecutorStatistics, Job, OnEvent
from ...protocol import messages as m
from ...runner.config import RunnerConfig
from ...runner.dialer import Dialer
from ...runner.session import Session
from ...runner.shared import Shared
from ...scheduling import observer as events
from ...scheduling.ledger import Ledger
from ...scheduling.offers import OfferPolicy
from ...scheduling.outcome import Completed, Failed, WorkerDied
from ...transport.link import Link
from .findings import Report

__all__ = ["try_registration"]

# Seconds that the one offer is good for: long enough to arrive, too short to be in anybody's way.
_OFFER = OfferPolicy(validity=0.5, jitter=0.0)


async def try_registration(
    broker: str, config: RunnerConfig, dialer: Dialer, link: Link[m.BrokerToRunner], report: Report
) -> None:
    """Be registered by a broker, make one offer, and hang up.

    Args:
        broker: base URI of the broker.
        config: the runner's settings; `LinkSettings.connect_timeout` limits the wait for the broker.
        dialer: for the session, which does not use it.
        link: the open connection.
        report: takes the findings about the registration and the offer.
    """
    ledger = Ledger(1, policy=_OFFER)
    progress = _Progress(ledger)
    shared = Shared(config, ledger, _NoExecutor(), dialer, progress, lambda: None)
    session = Session("check", broker, link, shared)
    limit = config.link.connect_timeout
    async with trio.open_nursery() as nursery:
        nursery.start_soon(progress.follow, session)
        with trio.move_on_after(limit):
            await progress.registered.wait()
        if progress.loss is not None and not progress.is_registered:
            report.fail(f"the broker hung up: {progress.loss}", "see the broker's log for the reason")
        elif not progress.is_registered:
            report.fail(
                f"the broker did not register the runner within {limit:g} s",
                "restart the broker; if it is n8n, see whether its main process is overloaded",
            )
        else:
            report.ok(f"as {config.runner_id}, types python")
            await _tell_of_offer(progress, session, limit, report)
        session.close()
        nursery.cancel_scope.cancel()


async def _tell_of_offer(progress: _Progress, session: Session, limit: float, report: Report) -> None:
    with trio.move_on_after(limit):
        await progress.offered.wait()
        await session.flush()
        if progress.is_offered and progress.loss is None:
            report.ok("sent, and withdrawn at once")
            return
    why = f"the broker hung up: {progress.loss}" if progress.loss else f"it was not sent within {limit:g} s"
    report.fail(why, "see the broker's log for the reason")


class _Progress:
    """An observer that lets somebody wait for what a session comes to."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self.registered = trio.Event()
        self.offered = trio.Event()
        self.is_registered = False
        self.is_offered = False
        self.loss: LinkLost | None = None

    async def follow(self, session: Session) -> None:
        """Run a session to its end."""
        self.loss = await session.run()
        self.registered.set()
        self.offered.set()

    def observe(self, event: events.Event) -> None:
        """Take note of a step; after the offer nothing more is offered, and no task is taken."""
        if isinstance(event, events.Registered):
            self.is_registered = True
            self.registered.set()
        elif isinstance(event, events.OfferSent):
            self.is_offered = True
            self._ledger.drain()
            self.offered.set()


@attrs.frozen
class _NoExecutor:
    """Claims to run Python tasks and is never given one."""

    task_types: tuple[str, ...] = ("python",)

    async def run(self, job: Job, on_event: OnEvent) -> Completed | Failed | WorkerDied:
        """Refuse; see `Executor.run`."""
        await trio.lowlevel.checkpoint()
        return Failed(f"task {job.task_id} came to a check", kind="runner")

    async def reload(self) -> None:
        """Do nothing."""
        await trio.lowlevel.checkpoint()

    def available(self, task_type: str) -> bool:
        """Whether it claims to run it."""
        return task_type in self.task_types

    async def wait_available(self) -> None:
        """Wait forever; see `Executor.wait_available`."""
        await trio.sleep_forever()

    def statistics(self) -> ExecutorStatistics:
        """Return a snapshot."""
        return ExecutorStatistics()
