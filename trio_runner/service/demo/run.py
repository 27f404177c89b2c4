"""The demo: a broker, a runner and a requester in one process, started, given work and stopped."""

from __future__ import annotations

import secrets
import signal
import sys
from collections.abc import AsyncIterator
from functools import partial

import trio

from ...broker.config import BrokerConfig
from ...broker.serve import BrokerHandle, serve_broker
from ...errors import TrioRunnerError
from ...requester.client import open_requester
from ...runner.config import RunnerConfig
from ...runner.serve import Runner, serve_runner
from ...sandbox.policy import Policy
from ..terminal import open_console
from .data import load_orders
from .process_tree import Process, descendants, still_alive
from .screen import DemoScreen
from .tasks import MODULES, plain_totals
from .work import DemoWork

__all__ = ["run_demo", "verdict"]

# All of it takes a few seconds on any machine: whoever waits longer looks at a fault, not at work.
_START_SECONDS = 20
_WORK_SECONDS = 60


def run_demo(slots: int) -> int:
    """Run the demo and return the exit code of the command: 0 if everything was as it should be.

    SIGINT and SIGTERM stop everything that was started; the code is then 128 and the signal's number.

    Args:
        slots: tasks that the runner works on at once.
    """
    screen = DemoScreen(open_console(sys.stdout))
    faults: list[str] = []
    try:
        return trio.run(_demo_until_signal, screen, slots)
    except* TrioRunnerError as group:
        faults = [str(error) for error in _leaves(group)]
    except* trio.TooSlowError:
        faults = [f"it did not start within {_START_SECONDS} s, or not end within {_WORK_SECONDS} s"]
    for fault in faults:
        screen.say(f"The demo was stopped: {fault}", "bold red")
    return 1


async def _demo_until_signal(screen: DemoScreen, slots: int) -> int:
    code = 1
    caught: list[int] = []
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_note_signal, signals, caught, nursery.cancel_scope)
            code = await _demo(screen, slots)
            nursery.cancel_scope.cancel()
    if caught:
        screen.say("Interrupted; everything that was started has been stopped.", "bold")
        return 128 + caught[0]
    return code


async def _note_signal(signals: AsyncIterator[int], caught: list[int], scope: trio.CancelScope) -> None:
    async for number in signals:
        caught.append(number)
        scope.cancel()


async def _demo(screen: DemoScreen, slots: int) -> int:
    started = trio.current_time()
    work = DemoWork(screen, load_orders())
    screen.say("trio-runner demo: real work through a broker and a runner on this machine", "bold")
    screen.say()
    processes = await _with_services(screen, work, slots)
    screen.tasks(work.tasks)
    screen.answer(work.totals)
    left = still_alive(processes)
    return verdict(
        screen, work, processes=len(processes), left=len(left), seconds=trio.current_time() - started
    )


async def _with_services(screen: DemoScreen, work: DemoWork, slots: int) -> set[Process]:
    """Start everything, do the work, stop everything; return the processes that there were."""
    token = secrets.token_urlsafe()
    async with trio.open_nursery() as services:
        with trio.fail_after(_START_SECONDS):
            broker: BrokerHandle = await services.start(serve_broker, BrokerConfig(port=0, auth_token=token))
        async with trio.open_nursery() as runner_life:
            config = RunnerConfig(
                brokers=(broker.url,),
                auth_token=token,
                max_concurrency=slots,
                policy=Policy(stdlib_allow=MODULES),
            )
            with trio.fail_after(_START_SECONDS):
                runner: Runner = await runner_life.start(partial(serve_runner, config, observer=work))
            screen.facts(_facts(broker, work, slots))
            async with open_requester(broker.url, auth_token=token, max_in_flight=slots) as requester:
                with trio.fail_after(_WORK_SECONDS):
                    await work.do(requester)
            processes = descendants()
            runner.shut_down()
        services.cancel_scope.cancel()
    return processes


def _facts(broker: BrokerHandle, work: DemoWork, slots: int) -> dict[str, str]:
    return {
        "Broker": broker.url,
        "Runner": f"{slots} slots; every task in a process of its own",
        "Data": f"{work.orders.source}, {len(work.orders.rows)} rows",
    }


def verdict(screen: DemoScreen, work: DemoWork, *, processes: int, left: int, seconds: float) -> int:
    """Say whether everything was as it should be, and return the exit code.

    Args:
        screen: where to say it.
        work: what was done.
        processes: how many there were before everything was stopped.
        left: how many of them are still there.
        seconds: that it took.
    """
    unplanned = sum(not task.as_planned for task in work.tasks)
    right = work.totals == plain_totals(work.orders.rows)
    screen.say()
    screen.say(f"Left out: {work.unusable} rows beyond repair, {work.doubled} that were there twice.")
    screen.check(
        right, "The same answer as a plain loop over the rows here.", "A plain loop over the rows differs!"
    )
    screen.check(
        not unplanned,
        f"All {len(work.tasks)} tasks ended as planned.",
        f"{unplanned} tasks did not end as planned!",
    )
    screen.check(
        not left,
        f"Nothing is left of the runner's {processes} processes.",
        f"{left} of the runner's {processes} processes are still there!",
    )
    passed = right and not unplanned and not left
    screen.say()
    screen.say(f"Done in {seconds:.1f} s." if passed else f"Failed after {seconds:.1f} s.", "bold")
    return 0 if passed else 1


def _leaves(group: BaseExceptionGroup[TrioRunnerError]) -> list[TrioRunnerError]:
    leaves: list[TrioRunnerError] = []
    for error in group.exceptions:
        leaves.extend(_leaves(error) if isinstance(error, BaseExceptionGroup) else [error])
    return leaves
