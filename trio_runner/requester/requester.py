"""The requester: submits tasks over a link, any number of them at once."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import attrs
import trio

from ..errors import LinkLost, LocalProtocolError
from ..protocol import messages as m
from ..protocol.codec import UnknownMessage
from ..protocol.messages import BrokerToRequester
from ..scheduling.observer import MessageIgnored, Observer
from ..transport.link import Link, Malformed
from .book import Book, Reply
from .output import PrintedOutput
from .running import RunningTask
from .settings import Items, Mode, python_settings, raw_settings

__all__ = ["OnPrint", "Requester", "RequesterStatistics"]

PYTHON = "python"

OnPrint = Callable[[PrintedOutput], None]

# Unknown message types that are told per connection: a broker that finds more is no news.
_TYPES_TOLD = 20


@attrs.frozen
class RequesterStatistics:
    """A snapshot of a requester.

    Attributes:
        waiting: tasks that no runner has taken yet.
        running: tasks that a runner works on.
        submitted: tasks requested since the requester was opened.
        abandoned: tasks given up since then before a runner took them.
    """

    waiting: int
    running: int
    submitted: int
    abandoned: int


class Requester:
    """Submits tasks over one connection. Made by `open_requester`; any number of tasks may use it at once.

    Every method that waits may be cancelled at any point: the task is then cancelled at the broker too, and
    nothing of it stays behind. Time limits are the caller's, as cancel scopes:

    ```python
    with trio.move_on_after(5):
        answer = await requester.run(code, items)
    ```
    """

    def __init__(
        self, link: Link[BrokerToRequester], *, max_in_flight: int | None, observer: Observer
    ) -> None:
        self._link = link
        self._observer = observer
        self._book = Book()
        self._in_flight = None if max_in_flight is None else trio.CapacityLimiter(max_in_flight)
        self._lost: LinkLost | None = None
        self._submitted = 0
        self._ignored: set[str] = set()

    async def run(
        self,
        code: str,
        items: Items = (),
        *,
        mode: Mode = "all",
        query: object = None,
        continue_on_fail: bool = False,
        workflow_id: str | None = None,
        workflow_name: str | None = None,
        node_id: str | None = None,
        node_name: str | None = None,
        traceparent: str | None = None,
        on_print: OnPrint | None = None,
        raw: bool = False,
    ) -> Any:
        """Run Python code on some runner and return its result.

        ```python
        rows = await requester.run(
            "return {**_item['json'], 'total': _item['json']['n'] * 2}",
            [{"n": 1}, {"n": 2}],
            mode="each",
            on_print=lambda line: print(line.text),
        )
        ```

        Args:
            code: the body of a function; what it returns is the result.
            items: what it works on: a list of anything JSON can hold (what is no ``{"json": {...}}`` yet is
                wrapped), or a `RawJson` holding a list of items, which is passed on untouched.
            mode: ``all``: the code runs once and sees the list ``_items``; ``each``: once for each ``_item``.
            query: what the code sees as ``_query``: a string, a dict or None.
            continue_on_fail: a failure becomes the result ``[{"json": {"error": message}}]``.
            workflow_id, workflow_name, node_id, node_name: whose task it is, for the runner's logs.
            traceparent: the trace and the span that the task belongs to (W3C Trace Context), for the runner's
                traces.
            on_print: called in this task, not in the background, with each line the code prints, all of them
                before `run` returns. What it raises leaves `run`, and the task is cancelled.
            raw: return the result as `RawJson`, not decoded.

        Raises:
            UserCodeError: the code raised or does not parse.
            PolicyViolation: the code uses what the runner's policy refuses.
            TaskTimedOut: it ran past the runner's or the broker's limit.
            TaskCancelled: somebody else stopped it.
            WorkerDied: its process ended without a result.
            RunnerLost: the runner's connection ended with the task on it.
            RequestExpired: no runner took it.
            TaskError: the family of all of those; itself, when none of them fits.
            LinkLost: the connection to the broker has ended, now or earlier.
            LocalProtocolError: the task is larger than `LinkSettings.max_message`.
            TypeError, ValueError: an argument cannot be written as JSON.

        Cancellation:
            Cancels the task at the broker; never waits for that.
        """
        settings = python_settings(
            code,
            items,
            mode=mode,
            query=query,
            continueOnFail=continue_on_fail,
            workflowId=workflow_id,
            workflowName=workflow_name,
            nodeId=node_id,
            nodeName=node_name,
            traceparent=traceparent,
        )
        return await self.run_task(PYTHON, settings, on_print=on_print, raw=raw)

    async def run_task(
        self, task_type: str, settings: object, *, on_print: OnPrint | None = None, raw: bool = False
    ) -> Any:
        """Run a task of any type, such as one that a runner serves with a handler of its own.

        ```python
        price = await requester.run_task("price", {"article": "bolt", "count": 12})
        ```

        Args:
            task_type: what a runner must serve to take the task.
            settings: what it is told: anything JSON can hold, or `RawJson`.
            on_print: as in `run`.
            raw: as in `run`.

        Raises:
            TaskError, LinkLost, TypeError, ValueError: as in `run`.

        Cancellation:
            As in `run`.
        """
        async with self.start_task(task_type, settings) as running:
            if on_print is not None:
                async for line in running.output:
                    on_print(line)
            return await (running.raw_result() if raw else running.result())

    @asynccontextmanager
    async def start(
        self,
        code: str,
        items: Items = (),
        *,
        mode: Mode = "all",
        query: object = None,
        continue_on_fail: bool = False,
        traceparent: str | None = None,
    ) -> AsyncIterator[RunningTask]:
        """Submit Python code and go on at once, to read its output as a stream.

        ```python
        async with requester.start("for n in range(3): print(n)\\nreturn 'done'") as running:
            async for line in running.output:
                print("it says", line.text)
            print(await running.result())
        ```

        A block is the task's life, as a nursery would be: when it is left before the task has ended, by the
        end of the block, by an exception or by cancellation, the task is cancelled at the broker.

        Args:
            code, items, mode, query, continue_on_fail, traceparent: as in `run`.

        Raises:
            LinkLost, TypeError, ValueError: as in `run`, on entering. How the task ends, `RunningTask.result`
                tells.

        Cancellation:
            Entering waits only when `max_in_flight` tasks are under way; nothing has been sent then.
        """
        settings = python_settings(
            code, items, mode=mode, query=query, continueOnFail=continue_on_fail, traceparent=traceparent
        )
        async with self.start_task(PYTHON, settings) as running:
            yield running

    @asynccontextmanager
    async def start_task(self, task_type: str, settings: object) -> AsyncIterator[RunningTask]:
        """Submit a task of any type and go on at once: `start` for handlers.

        Args:
            task_type, settings: as in `run_task`.

        Raises:
            LinkLost, TypeError, ValueError: as in `start`.

        Cancellation:
            As in `start`.
        """
        running = RunningTask(task_type, raw_settings(settings))
        await trio.lowlevel.checkpoint_if_cancelled()
        if self._in_flight is not None:
            await self._in_flight.acquire_on_behalf_of(running)
        try:
            with self._under_way(running):
                # Others get their turn once the request is on its way.
                await trio.lowlevel.cancel_shielded_checkpoint()
                yield running
        finally:
            if self._in_flight is not None:
                self._in_flight.release_on_behalf_of(running)

    def statistics(self) -> RequesterStatistics:
        """Return a snapshot."""
        book = self._book
        return RequesterStatistics(book.requested, book.running, self._submitted, book.abandoned)

    @contextmanager
    def _under_way(self, running: RunningTask) -> Iterator[None]:
        if self._lost is not None:
            raise LinkLost(str(self._lost)) from self._lost
        self._submitted += 1
        self._send(self._book.submit(running.submission))
        try:
            yield
        finally:
            self._send(self._book.abandon(running.submission))

    def _send(self, replies: tuple[Reply, ...]) -> None:
        for reply in replies:
            try:
                self._link.send(reply)
            except LocalProtocolError as exc:
                self._send(self._book.unsendable(reply, exc))

    async def receive_loop(self) -> None:
        """Take in everything the broker sends until the connection ends; for `open_requester`, which runs it.

        Never waits for anybody but the broker. Ends without an exception when the connection is lost.
        """
        try:
            await self._link.receive_each(self._take_in)
        except LinkLost as exc:
            self.lose(exc)

    def _take_in(self, message: m.BrokerToRequester | UnknownMessage | Malformed) -> None:
        if isinstance(message, Malformed):
            # Whose answer it was cannot be known: rather no task than one that waits for ever.
            self._link.close(1002, "malformed message")
            raise LinkLost(f"{self._link.peer} sent what is no message: {message.reason}")
        if isinstance(message, UnknownMessage):
            self._ignore(message.type)
        else:
            self._send(self._book.receive(message))

    def _ignore(self, wire_type: str) -> None:
        kind = wire_type[:100]
        if kind not in self._ignored and len(self._ignored) < _TYPES_TOLD:
            self._ignored.add(kind)
            self._observer.observe(MessageIgnored(self._link.peer, f"unknown message type {kind!r}"))

    def lose(self, error: LinkLost) -> None:
        """End every task under way with `error`, and refuse later ones with the first one given."""
        self._lost = self._lost or error
        self._book.lose(self._lost)
