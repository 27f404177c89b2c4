"""One runner or requester on its link, from the first message to the last."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import trio

from ..errors import LinkLost
from ..protocol import messages as m
from ..protocol.codec import UnknownMessage, wire_type
from ..scheduling.observer import Observer, PeerRefused
from ..transport.link import Link, Malformed
from .exchange import Exchange

__all__ = ["Peers"]

_GOING_AWAY = 1001
_POLICY_VIOLATION = 1008
_SHUTTING_DOWN = "broker is shutting down"


class Peers:
    """Serves links of runners and requesters.

    Args:
        exchange: where what they say goes.
        observer: is told of runners that do not say who they are.
        info_timeout: seconds in which a new runner must say who it is.
    """

    def __init__(self, exchange: Exchange, observer: Observer, *, info_timeout: float) -> None:
        self._exchange = exchange
        self._observer = observer
        self._info_timeout = info_timeout

    async def serve_runner(self, runner_id: str, link: Link[m.RunnerToBroker]) -> None:
        """Serve a runner until its connection ends.

        Args:
            runner_id: what it calls itself.
            link: its link; it is to be closed when this returns.

        Cancellation:
            The link is told that the broker goes away; the runner's tasks are failed.
        """
        with self._attached(link, f"runner {runner_id}") as number:
            link.send(m.InfoRequest())
            info = await self._learn_info(number, link)
            if info is None:
                self._turn_away(link)
                return
            self._exchange.runner_joined(number, runner_id, info)
            await link.receive_each(partial(self._exchange.runner_said, number))

    async def serve_requester(self, requester_id: str, link: Link[m.RequesterToBroker]) -> None:
        """Serve a requester until its connection ends.

        Args:
            requester_id: what it calls itself.
            link: its link; it is to be closed when this returns.

        Cancellation:
            The link is told that the broker goes away; the requester's tasks are cancelled.
        """
        with self._attached(link, f"requester {requester_id}") as number:
            self._exchange.requester_joined(number, requester_id)
            await link.receive_each(partial(self._exchange.requester_said, number))

    @contextmanager
    def _attached(self, link: Link[Any], peer: str) -> Iterator[int]:
        """Keep a link entered with the exchange for the time of a block, which a lost link ends quietly."""
        number = self._exchange.attach(link, peer)
        why = _SHUTTING_DOWN
        try:
            yield number
        except LinkLost as lost:
            why = str(lost)
        except trio.Cancelled:
            # All of them, before the first is detached: or its peer's tasks would be blamed on its leaving.
            self._exchange.close(_GOING_AWAY, _SHUTTING_DOWN)
            raise
        finally:
            self._exchange.detach(number, why)

    async def _learn_info(self, number: int, link: Link[m.RunnerToBroker]) -> m.RunnerInfo | None:
        """Wait until a runner says who it is; None: it does not."""
        with trio.move_on_after(self._info_timeout):
            while not isinstance(message := await link.receive(), m.RunnerInfo):
                if isinstance(message, UnknownMessage | Malformed):
                    self._exchange.ignore(number, message)
                else:
                    too_early = f"{wire_type(type(message))} before the runner is registered"
                    self._exchange.ignore(number, too_early)
            return message
        return None

    def _turn_away(self, link: Link[m.RunnerToBroker]) -> None:
        why = f"the runner did not answer broker:inforequest within {self._info_timeout:g} s"
        self._observer.observe(PeerRefused(link.peer, _POLICY_VIOLATION, why))
        link.close(_POLICY_VIOLATION, why)
