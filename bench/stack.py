"""What is measured: a broker and a runner as processes of their own, and a requester in this one."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import attrs

from trio_runner import Requester, open_requester

from .processes import Process, running

__all__ = ["Stack", "broker_and_requester", "open_stack", "secret_environment"]

_LISTENING = r"broker listening on (http://\S+)"


@attrs.frozen(eq=False)
class Stack:
    """A broker, what serves it, and a connection to submit tasks over.

    Attributes:
        broker, runner: the processes; `runner` may be any that serves tasks.
        requester: submits tasks.
        url: of the broker.
    """

    broker: Process
    requester: Requester
    url: str
    environment: Mapping[str, str]
    runner: Process | None = None

    def check(self) -> None:
        """Make sure that everything still runs.

        Raises:
            ProcessFailed: something does not.
        """
        self.broker.check()
        if self.runner is not None:
            self.runner.check()


def secret_environment() -> dict[str, str]:
    """Return the variable that holds a fresh secret."""
    return {"N8N_RUNNERS_AUTH_TOKEN": secrets.token_urlsafe()}


@asynccontextmanager
async def broker_and_requester(directory: Path, options: Sequence[str] = ()) -> AsyncIterator[Stack]:
    """Start a broker, with default settings but for `options`, and connect to it.

    Args:
        directory: for logs and probes.
        options: further arguments of ``trio-runner broker``.
    """
    environment = secret_environment()
    arguments = ["broker", "--port", "0", *options]
    async with running("broker", "probed", arguments, directory, environment=environment) as broker:
        url = (await broker.said(_LISTENING))[1]
        async with open_requester(url, auth_token=environment["N8N_RUNNERS_AUTH_TOKEN"]) as requester:
            yield Stack(broker, requester, url, environment)


@asynccontextmanager
async def open_stack(
    directory: Path, *, slots: int = 5, runner_options: Sequence[str] = (), broker_options: Sequence[str] = ()
) -> AsyncIterator[Stack]:
    """Start a broker and a runner, with default settings but for these, and connect to the broker.

    A first task has been done when the block begins, so both are ready.

    Args:
        directory: for logs and probes.
        slots: of the runner.
        runner_options: further arguments of ``trio-runner run``.
        broker_options: further arguments of ``trio-runner broker``.
    """
    async with broker_and_requester(directory, broker_options) as stack:
        arguments = ["run", "--broker", stack.url, "--max-concurrency", str(slots), *runner_options]
        async with running("runner", "probed", arguments, directory, environment=stack.environment) as runner:
            await stack.requester.run("return []")
            yield attrs.evolve(stack, runner=runner)
