"""Keeping one broker connected: token, dial, session, and again after a loss, with backoff."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import attrs
import trio

from ..errors import LinkError
from ..scheduling import observer as events
from ..scheduling.backoff import Backoff
from ..transport.endpoints import broker_endpoint
from .session import Session
from .shared import Shared
from .tokens import TokenSource

__all__ = ["keep_connected"]

# What an attempt to connect may take beyond its time limits, and a pause beyond its end, before it counts as
# stuck: a busy machine is late by seconds, not by this. Seconds.
_MARGIN = 30.0
# A session that lasted this long was a good one: the next attempt after it comes soon. A shorter one counts
# as one more failure, or two runners with one id would replace each other as fast as they can. Seconds.
_GOOD_SESSION = 5.0


@attrs.frozen
class _Ended:
    """How a connection ended, seconds that its session lasted, and how many tasks its end stopped."""

    loss: LinkError
    lasted: float = 0.0
    tasks_stopped: int = 0


async def keep_connected(broker: str, shared: Shared, *, leaving: Callable[[], bool] = lambda: False) -> None:
    """Serve one broker, over as many connections as it takes, until the runner drains or leaves the broker.

    Args:
        broker: base URI of the broker.
        shared: what the runner's sessions have in common.
        leaving: whether the broker is wanted no more: then a connection that has ended was the last.

    Raises:
        LinkError: the connection was lost or could not be had, and there is no token for another one.

    Cancellation:
        Stops the session and its tasks.
    """
    try:
        await _connect_again_and_again(broker, shared, leaving)
    finally:
        shared.expectations.settle(broker)


async def _connect_again_and_again(broker: str, shared: Shared, leaving: Callable[[], bool]) -> None:
    tokens = TokenSource(shared.config, broker, shared.dialer)
    backoff = Backoff()
    for attempt in itertools.count(1):
        tokens.follow(shared.config)
        ended = await _one_connection(f"{broker}#{attempt}", broker, tokens, shared)
        if shared.ledger.draining or leaving():
            return
        if ended.lasted >= _GOOD_SESSION:
            backoff.reset()
        delay = backoff.next_delay() if tokens.renewable else None
        shared.observe(events.LinkDown(broker, str(ended.loss), delay, ended.tasks_stopped))
        if delay is None:
            raise ended.loss
        due = trio.current_time() + delay
        shared.expectations.expect(broker, "the next attempt to connect", due + _MARGIN)
        await shared.token_changed.wait_until(due)


async def _one_connection(name: str, broker: str, tokens: TokenSource, shared: Shared) -> _Ended:
    """Make one connection and serve it to its end."""
    config = shared.config
    url = broker_endpoint(broker, f"{config.runners_path}/_ws", query={"id": config.runner_id})
    # A token, a connection, and the end of it.
    limit = 2 * config.link.connect_timeout + config.link.close_timeout + _MARGIN
    shared.expectations.expect(
        broker, "a connection, or the failure to get one,", trio.current_time() + limit
    )
    try:
        bearer = await tokens.fresh()
        async with shared.dialer.open_link(url, bearer=bearer, settings=config.link) as link:
            shared.observe(events.LinkUp(broker))
            session = Session(name, broker, link, shared)
            shared.expectations.settle(broker)  # from here on the session looks after itself
            loss = await session.run()
            shared.expectations.expect(broker, "the end of a lost connection", trio.current_time() + limit)
            return _Ended(loss, session.statistics().age, session.tasks_stopped)
    except LinkError as exc:
        return _Ended(exc)
