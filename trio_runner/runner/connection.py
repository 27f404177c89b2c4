"""Keeping one broker connected: token, dial, session, and again after a loss, with backoff."""

from __future__ import annotations

import itertools

import trio

from ..errors import LinkError
from ..scheduling import observer as events
from ..scheduling.backoff import Backoff
from ..transport.endpoints import broker_endpoint
from .session import Session
from .shared import Shared
from .tokens import TokenSource

__all__ = ["keep_connected"]

# A session that lasted this long was a good one: the next attempt after it comes soon. A shorter one counts
# as one more failure, or two runners with one id would replace each other as fast as they can. Seconds.
_GOOD_SESSION = 5.0


async def keep_connected(broker: str, shared: Shared) -> None:
    """Serve one broker, over as many connections as it takes, until the runner drains.

    Args:
        broker: base URI of the broker.
        shared: what the runner's sessions have in common.

    Raises:
        LinkError: the connection was lost or could not be had, and there is no token for another one.

    Cancellation:
        Stops the session and its tasks.
    """
    tokens = TokenSource(shared.config, broker, shared.dialer)
    backoff = Backoff()
    for attempt in itertools.count(1):
        began = trio.current_time()
        loss, tasks_stopped = await _one_connection(f"{broker}#{attempt}", broker, tokens, shared)
        if shared.ledger.draining:
            return
        if trio.current_time() - began >= _GOOD_SESSION:
            backoff.reset()
        delay = backoff.next_delay() if tokens.renewable else None
        shared.observe(events.LinkDown(broker, str(loss), delay, tasks_stopped))
        if delay is None:
            raise loss
        await trio.sleep(delay)


async def _one_connection(
    name: str, broker: str, tokens: TokenSource, shared: Shared
) -> tuple[LinkError, int]:
    """Make one connection and serve it to its end; return how it ended and how many tasks that stopped."""
    config = shared.config
    url = broker_endpoint(broker, f"{config.runners_path}/_ws", query={"id": config.runner_id})
    session: Session | None = None
    try:
        bearer = await tokens.fresh()
        async with shared.dialer.open_link(url, bearer=bearer, settings=config.link) as link:
            shared.observe(events.LinkUp(broker))
            session = Session(name, broker, link, shared)
            loss: LinkError = await session.run()
    except LinkError as exc:
        loss = exc
    return loss, session.tasks_stopped if session is not None else 0
