"""The life of a daemon to its exit code, the same for every command that keeps running."""

from __future__ import annotations

import contextlib
import faulthandler
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import trio

from ...errors import LinkError, SandboxError, TrioRunnerError
from ..exits import ExitCode
from ..logs.logger import LOG
from ..systemd.notify import Notifier
from .signals import watch_signals

__all__ = ["live", "run_to_exit_code"]

_EXPECTED = (TrioRunnerError, KeyboardInterrupt)
# Seconds beyond the grace to kill what is left, to part from the brokers and to write the last lines.
_FAREWELL = 20.0


async def live(
    main: Callable[[], Awaitable[None]],
    wind_down: Callable[[], None],
    *,
    notifier: Notifier | None = None,
    grace: Callable[[], float] = lambda: 0.0,
) -> None:
    """Run `main` until it returns; the first signal winds it down, the second or SIGQUIT cancels it.

    Args:
        main: what the daemon is for.
        wind_down: makes `main` end gracefully; may be called as soon as `main` has been.
        notifier: tells the service manager of the end when it begins.
        grace: seconds that winding down may take.

    Raises:
        Exception: whatever `main` raises, possibly in groups.
    """

    def begin_to_end() -> None:
        if notifier is not None:
            notifier.stopping(grace() + _FAREWELL)
        wind_down()

    async with trio.open_nursery() as nursery:
        scope = nursery.cancel_scope
        await nursery.start(watch_signals, begin_to_end, scope.cancel)
        await main()
        scope.cancel()


def run_to_exit_code(
    daemon: Callable[[], Awaitable[None]], *, on_fault: Callable[[BaseException], None] | None = None
) -> ExitCode:
    """Run a daemon and tell how it ended.

    Whatever can be expected to happen is one line in the log. Only our own faults come with a traceback.

    Args:
        daemon: what to run.
        on_fault: told of our own faults.
    """
    log = LOG
    with contextlib.suppress(OSError, ValueError, AttributeError, RuntimeError):  # there is no standard error
        faulthandler.enable()  # a crash, or SIGABRT from a watchdog, writes where we stood
    try:
        trio.run(daemon)
    except (Exception, KeyboardInterrupt, BaseExceptionGroup) as exc:  # the outermost boundary
        code = _account_for(reasons := list(_leaves(exc)), log)
        if on_fault is not None and not all(isinstance(reason, _EXPECTED) for reason in reasons):
            on_fault(exc)
        return code
    log.info("Stopped")
    return ExitCode.DONE


def _account_for(reasons: list[BaseException], log: Any) -> ExitCode:
    """Write why a daemon ended, and return the exit code for it. Called while the exception is handled."""
    if any(isinstance(reason, KeyboardInterrupt) for reason in reasons):
        log.warning("Interrupted")
        return ExitCode.INTERRUPTED
    if not all(isinstance(reason, TrioRunnerError) for reason in reasons):
        log.exception("A fault of trio-runner; please report it with the lines that follow")
        return ExitCode.FAULT
    for reason in reasons:
        log.error(str(reason))
    if all(isinstance(reason, SandboxError) for reason in reasons):
        return ExitCode.BAD_SETTINGS
    return ExitCode.NO_BROKER if all(isinstance(reason, LinkError) for reason in reasons) else ExitCode.FAULT


def _leaves(exc: BaseException) -> Iterator[BaseException]:
    """Yield the exceptions in a group of groups."""
    if isinstance(exc, BaseExceptionGroup):
        for inner in exc.exceptions:
            yield from _leaves(inner)
    else:
        yield exc
