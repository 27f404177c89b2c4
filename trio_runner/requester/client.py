"""Opening a requester: one connection to a broker, many tasks in flight on it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio

from ..errors import ConfigError, LinkLost
from ..protocol.codec import BROKER_TO_REQUESTER
from ..protocol.ids import new_id
from ..protocol.messages import BrokerToRequester
from ..scheduling.observer import NullObserver, Observer
from ..transport.dial import open_link
from ..transport.endpoints import broker_endpoint
from ..transport.link import Link, LinkSettings
from .requester import Requester, RequesterStatistics
from .tokens import mint_grant_token

__all__ = ["Requester", "RequesterStatistics", "open_requester", "requester_over"]


@asynccontextmanager
async def open_requester(
    url: str,
    *,
    auth_token: str = "",
    grant_token: str = "",
    requester_id: str | None = None,
    path: str = "/requesters",
    link: LinkSettings | None = None,
    max_in_flight: int | None = None,
    observer: Observer | None = None,
) -> AsyncIterator[Requester]:
    """Connect to a broker as a requester.

    ```python
    async with open_requester("http://127.0.0.1:5679", auth_token=secret) as requester:
        print(await requester.run("return 6 * 7"))
    ```

    There is one connection. When it is lost, every task under way and every later one raises `LinkLost`: open
    another requester then. Leaving the block cancels what is still under way and closes the connection.

    Args:
        url: base URL of the broker, a path prefix included.
        auth_token: the broker's shared secret, from which a grant token is minted.
        grant_token: a single-use token instead of that.
        requester_id: what to be called in the broker's logs; random by default.
        path: the broker's path for requesters.
        link: limits of the connection, its heartbeat among them.
        max_in_flight: how many tasks may be under way; more wait here, in order, before the broker hears of
            them. None: no limit.
        observer: is told about messages of an unknown type, once for each type.

    Raises:
        ConfigError: `url` is no URL, no token was given, or `max_in_flight` is less than 1.
        AuthRejected: the broker refused the token.
        LinkLost: the broker cannot be reached.
    """
    if not auth_token and not grant_token:
        raise ConfigError(
            "no token: give auth_token (the broker's shared secret) or grant_token (single use)"
        )
    settings = link or LinkSettings()
    endpoint = broker_endpoint(url, f"{path.rstrip('/')}/_ws", query={"id": requester_id or new_id()})
    token = grant_token or await mint_grant_token(url, path, auth_token, settings=settings)
    async with (
        open_link(endpoint, BROKER_TO_REQUESTER, bearer=token, settings=settings) as opened,
        requester_over(opened, max_in_flight=max_in_flight, observer=observer) as requester,
    ):
        yield requester


@asynccontextmanager
async def requester_over(
    link: Link[BrokerToRequester], *, max_in_flight: int | None = None, observer: Observer | None = None
) -> AsyncIterator[Requester]:
    """Use a link that is already open, such as one in memory, as `open_requester` uses its own.

    Args:
        link: the link; the caller closes it afterwards.
        max_in_flight, observer: as in `open_requester`.

    Raises:
        ConfigError: `max_in_flight` is less than 1.
    """
    if max_in_flight is not None and max_in_flight < 1:
        raise ConfigError(f"max_in_flight must be at least 1, not {max_in_flight}")
    requester = Requester(link, max_in_flight=max_in_flight, observer=observer or NullObserver())
    raised: BaseException | None = None
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(requester.receive_loop)
            try:
                yield requester
            except BaseException as exc:
                raised = exc
                raise
            finally:
                requester.lose(LinkLost("the requester has been closed"))
                nursery.cancel_scope.cancel()
    except BaseExceptionGroup as group:
        # The nursery is ours, not the caller's: what their block raised leaves it as it was raised.
        if raised is not None and group.exceptions == (raised,):
            raise raised from raised.__cause__
        raise
