"""Something asynchronous that outlives single tests: it lives in a trio loop in a thread of its own."""

from __future__ import annotations

import queue
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, contextmanager
from functools import partial
from typing import Generic, TypeVar

import trio

T = TypeVar("T")
R = TypeVar("R")


class Hosted(Generic[T]):
    """What the thread holds, and the way in.

    Attributes:
        value: what the context manager gave; use it through `run` unless it is plain data.
    """

    def __init__(self, value: T, token: trio.lowlevel.TrioToken, stop: trio.Event) -> None:
        self.value = value
        self._token = token
        self._stop = stop

    def run(self, scenario: Callable[[T], Awaitable[R]]) -> R:
        """Run something in the loop of the thread and wait for it."""
        result: R = trio.from_thread.run(scenario, self.value, trio_token=self._token)
        return result

    def end(self) -> None:
        """Let the context manager be left."""
        trio.from_thread.run_sync(self._stop.set, trio_token=self._token)


@contextmanager
def hosted(open_value: Callable[[], AbstractAsyncContextManager[T]]) -> Iterator[Hosted[T]]:
    """Hold an asynchronous context manager open in a thread of its own."""
    ready: queue.SimpleQueue[Hosted[T] | Exception] = queue.SimpleQueue()
    thread = threading.Thread(target=_live, args=(open_value, ready), name="host")
    thread.start()
    host = ready.get()
    if isinstance(host, Exception):
        thread.join()
        raise host
    try:
        yield host
    finally:
        host.end()
        thread.join()


def _live(
    open_value: Callable[[], AbstractAsyncContextManager[T]],
    ready: queue.SimpleQueue[Hosted[T] | Exception],
) -> None:
    try:
        trio.run(partial(_hold, open_value, ready))
    except Exception as error:  # goes into the thread of the tests, which waits for an answer
        ready.put(error)


async def _hold(
    open_value: Callable[[], AbstractAsyncContextManager[T]],
    ready: queue.SimpleQueue[Hosted[T] | Exception],
) -> None:
    stop = trio.Event()
    async with open_value() as value:
        ready.put(Hosted(value, trio.lowlevel.current_trio_token(), stop))
        await stop.wait()
