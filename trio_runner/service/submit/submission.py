"""Carrying out ``trio-runner submit``: connect, send the tasks, show what they print, write the result.

Theory of operation. Whatever happens becomes an exit code. A signal or the time limit cancels a scope around
the work, inside the connection: so the tasks are cancelled at the broker before the connection is closed in
good order. Only as long as nothing is connected the connecting itself is cancelled.
"""

from __future__ import annotations

import enum
import math
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, contextmanager
from functools import partial

import trio

from ...errors import ConfigError, LinkError, RequestExpired, TaskError, TaskTimedOut
from ...protocol.raw_json import RawJson
from ...requester.client import Requester, open_requester
from ...transport.link import LinkSettings
from ..settings.submit import ConnectionSettings
from ..terminal import open_console
from .plan import Piece, SubmitPlan
from .results import write_result
from .screen import Screen

__all__ = ["Connect", "Submission", "SubmitCode", "submit"]

Connect = Callable[[], AbstractAsyncContextManager[Requester]]


class SubmitCode(enum.IntEnum):
    """How ``trio-runner submit`` ended, for scripts."""

    DONE = 0
    TASK_FAILED = 1
    USAGE = 2
    NO_BROKER = 3
    REQUEST_EXPIRED = 4
    TIMED_OUT = 5
    NOT_WRITTEN = 6
    INTERRUPTED = 130
    READER_GONE = 141
    TERMINATED = 143


def submit(plan: SubmitPlan, connection: ConnectionSettings) -> int:
    """Carry out a plan and return the exit code of the command.

    Args:
        plan: what to do.
        connection: how to reach the broker.

    Raises:
        ConfigError: no token was given, or there is no standard output.
    """
    if not connection.auth_token and not connection.grant_token:
        raise ConfigError(
            "no token: set N8N_RUNNERS_AUTH_TOKEN (or its _FILE) to the secret that the broker knows"
        )
    if sys.stdout is None:
        raise ConfigError("standard output is closed: there is nowhere to write the result to")
    code, results = trio.run(_submit_until_signal, plan, connection)
    return _write(results, plan) if code is SubmitCode.DONE else code


async def _submit_until_signal(
    plan: SubmitPlan, connection: ConnectionSettings
) -> tuple[SubmitCode, list[RawJson]]:
    screen = Screen(open_console(), plan)
    submission = Submission(plan, screen)
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_stop_on_signal, signals, submission)
            with screen.progress(nursery):
                code = await submission.perform(partial(_connect, connection))
            nursery.cancel_scope.cancel()
    if code is SubmitCode.DONE:
        screen.done()
    return code, submission.results


def _connect(connection: ConnectionSettings) -> AbstractAsyncContextManager[Requester]:
    return open_requester(
        connection.brokers[0],
        auth_token=connection.auth_token,
        grant_token=connection.grant_token,
        path=connection.requesters_path,
        link=LinkSettings(max_message=connection.max_payload, ca_file=connection.ca_file or None),
    )


async def _stop_on_signal(signals: AsyncIterator[int], submission: Submission) -> None:
    async for number in signals:
        submission.interrupt(SubmitCode.INTERRUPTED if number == signal.SIGINT else SubmitCode.TERMINATED)


def _write(results: list[RawJson], plan: SubmitPlan) -> SubmitCode:
    stream = sys.stdout.buffer
    try:
        write_result(
            stream,
            results,
            lines=plan.output == "jsonl",
            split=plan.split is not None,
            indent=sys.stdout.isatty(),
            items_each=plan.split if plan.split and plan.mode == "each" else 0,
        )
        stream.flush()
    except OSError as exc:
        # What is still in the buffer goes nowhere: Python would fail once more when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if isinstance(exc, BrokenPipeError):
            return SubmitCode.READER_GONE
        open_console().line(f"Error: the result cannot be written: {exc.strerror}", "bold red")
        return SubmitCode.NOT_WRITTEN
    return SubmitCode.DONE


class Submission:
    """The work of one call, until it is done or the first thing goes wrong.

    Args:
        plan: what to do.
        screen: where to show it.

    Attributes:
        results: of the tasks, in order; complete when `perform` says DONE.
    """

    def __init__(self, plan: SubmitPlan, screen: Screen) -> None:
        self.results: list[RawJson] = [RawJson.NULL] * plan.pieces_in_all
        self._plan = plan
        self._screen = screen
        self._code: SubmitCode | None = None
        self._scope = trio.CancelScope()

    async def perform(self, connect: Connect) -> SubmitCode:
        """Do all of it, and show what goes wrong.

        Args:
            connect: opens the requester.
        """
        deadline = trio.current_time() + (self._plan.timeout or math.inf)
        try:
            with self._stoppable(deadline) as connecting:
                async with connect() as requester:
                    connecting.deadline = math.inf
                    with self._stoppable(deadline):
                        await self._run_all(requester)
        except ConfigError as exc:
            self._end(SubmitCode.USAGE, str(exc))
        except LinkError as exc:
            self._end(SubmitCode.NO_BROKER, str(exc))
        return SubmitCode.DONE if self._code is None else self._code

    def interrupt(self, code: SubmitCode) -> None:
        """Stop: cancel what is under way."""
        if self._stop(code):
            self._screen.interrupted()

    def _end(self, code: SubmitCode, message: str) -> None:
        if self._stop(code):
            self._screen.error(message)

    def _task_failed(self, piece: Piece, error: TaskError) -> None:
        if self._stop(_code_for(error)):
            self._screen.task_failed(piece, error)

    def _stop(self, code: SubmitCode) -> bool:
        """Stop what is under way; return whether this was the first reason to, the one that counts."""
        first = self._code is None
        if first:
            self._code = code
        self._scope.cancel()
        return first

    @contextmanager
    def _stoppable(self, deadline: float) -> Iterator[trio.CancelScope]:
        """Make the block what a signal, a failure or the time limit stops."""
        with trio.CancelScope(deadline=deadline) as scope:
            self._scope = scope
            if self._code is not None:
                scope.cancel()
            yield scope
        if scope.cancelled_caught and self._code is None:
            self._end(SubmitCode.TIMED_OUT, f"not done within {self._plan.timeout:g} s, so it was cancelled")

    async def _run_all(self, requester: Requester) -> None:
        pieces = self._plan.pieces()
        async with trio.open_nursery() as nursery:
            for _ in range(min(self._plan.parallel, self._plan.pieces_in_all)):
                nursery.start_soon(self._run_some, requester, pieces)

    async def _run_some(self, requester: Requester, pieces: Iterator[Piece]) -> None:
        """Run one piece after the other; several of these share the pieces."""
        for piece in pieces:
            try:
                await self._run(requester, piece)
            except TaskError as exc:
                self._task_failed(piece, exc)
            except LinkError as exc:
                self._end(SubmitCode.NO_BROKER, str(exc))

    async def _run(self, requester: Requester, piece: Piece) -> None:
        async with requester.start_task(self._plan.task_type, piece.settings) as running:
            self._screen.watch(running)
            async for line in running.output:
                self._screen.printed(piece, line)
            self.results[piece.number - 1] = await running.raw_result()
            self._screen.finished(piece)


def _code_for(error: TaskError) -> SubmitCode:
    if isinstance(error, RequestExpired):
        return SubmitCode.REQUEST_EXPIRED
    return SubmitCode.TIMED_OUT if isinstance(error, TaskTimedOut) else SubmitCode.TASK_FAILED
