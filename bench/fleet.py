"""Many runners in one process, as thin as a runner can be: they offer, accept, and answer at once.

    N8N_RUNNERS_AUTH_TOKEN=... python -m bench.fleet URL RUNNERS SLOTS PREFIX

Each has a connection of its own and keeps its offers renewed as a real one does. Prints ``ready`` when all
of them have made their first offers.
"""

from __future__ import annotations

import heapq
import os
import random
import signal
import sys

import trio

from trio_runner.errors import LinkLost
from trio_runner.protocol import messages as m
from trio_runner.protocol.codec import BROKER_TO_RUNNER
from trio_runner.protocol.ids import new_id
from trio_runner.protocol.raw_json import RawJson
from trio_runner.requester.tokens import mint_grant_token
from trio_runner.transport.dial import open_link
from trio_runner.transport.endpoints import broker_endpoint
from trio_runner.transport.link import Link, LinkSettings

from .probed import die_with_parent

__all__ = ["TASK_TYPE", "main"]

TASK_TYPE = "bench"

_VALIDITY = 5.0
_JITTER = 0.5
# Connections that are made at a time.
_DIALLING = 16
_RESULT = RawJson(b'{"result":[{"json":{"answer":42}}]}')


class _ThinRunner:
    """One runner: its slots are either on offer or busy for a moment."""

    def __init__(self, link: Link[m.BrokerToRunner], slots: int) -> None:
        self._link = link
        self._slots = slots
        self._held: set[str] = set()
        self._open: dict[str, float] = {}
        self._expiries: list[tuple[float, str]] = []
        self._registered = trio.Event()

    async def serve(self, on_ready: trio.Event) -> None:
        """Serve until the connection is lost."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._renew, on_ready)
            try:
                while True:
                    self._hear(await self._link.receive())
            except LinkLost:
                nursery.cancel_scope.cancel()

    def _hear(self, message: object) -> None:
        match message:
            case m.InfoRequest():
                self._link.send(m.RunnerInfo("thin runner", (TASK_TYPE,)))
            case m.RunnerRegistered():
                self._registered.set()
            case m.TaskOfferAccept(task_id, offer_id):
                if self._open.pop(offer_id, None) is None:
                    self._link.send(m.TaskRejected(task_id, "Offer expired"))
                else:
                    self._held.add(task_id)
                    self._link.send(m.TaskAccepted(task_id))
            case m.TaskSettings(task_id):
                self._held.discard(task_id)
                self._link.send(m.TaskDone(task_id, _RESULT))
                self._offer()

    def _offer(self) -> None:
        validity = _VALIDITY + random.uniform(0, _JITTER)  # noqa: S311 - spreads load, hides nothing
        offer = new_id()
        self._open[offer] = trio.current_time() + validity
        heapq.heappush(self._expiries, (self._open[offer], offer))
        self._link.send(m.TaskOffer(offer, TASK_TYPE, int(validity * 1000)))

    async def _renew(self, on_ready: trio.Event) -> None:
        await self._registered.wait()
        while True:
            while len(self._open) + len(self._held) < self._slots:
                self._offer()
            on_ready.set()
            await trio.sleep_until(
                self._expiries[0][0] if self._expiries else trio.current_time() + _VALIDITY
            )
            self._forget_expired(trio.current_time())

    def _forget_expired(self, now: float) -> None:
        while self._expiries and (self._expiries[0][0] <= now or self._expiries[0][1] not in self._open):
            self._open.pop(heapq.heappop(self._expiries)[1], None)


async def _join(url: str, name: str, slots: int, ready: trio.Event, dialling: trio.CapacityLimiter) -> None:
    secret = os.environ["N8N_RUNNERS_AUTH_TOKEN"]
    endpoint = broker_endpoint(url, "/runners/_ws", query={"id": name})
    await dialling.acquire_on_behalf_of(name)
    token = await mint_grant_token(url, "/runners", secret, settings=LinkSettings())
    async with open_link(endpoint, BROKER_TO_RUNNER, bearer=token) as link, trio.open_nursery() as nursery:
        nursery.start_soon(_ThinRunner(link, slots).serve, ready)
        await ready.wait()
        dialling.release_on_behalf_of(name)


async def _main(url: str, runners: int, slots: int, prefix: str) -> None:
    dialling = trio.CapacityLimiter(_DIALLING)
    with trio.open_signal_receiver(signal.SIGTERM) as arriving:
        async with trio.open_nursery() as nursery:
            waiting = [trio.Event() for _ in range(runners)]
            for number, ready in enumerate(waiting):
                nursery.start_soon(_join, url, f"{prefix}{number}", slots, ready, dialling)
            for ready in waiting:
                await ready.wait()
            sys.stdout.write("ready\n")
            sys.stdout.flush()
            await anext(arriving)
            nursery.cancel_scope.cancel()


def main() -> None:
    """Serve until SIGTERM."""
    die_with_parent()
    url, runners, slots, prefix = sys.argv[1:]
    trio.run(_main, url, int(runners), int(slots), prefix)


if __name__ == "__main__":
    main()
