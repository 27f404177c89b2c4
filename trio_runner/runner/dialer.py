"""How a runner reaches its brokers: the network, or what an embedding application or a test puts there."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from typing import Protocol

from ..protocol.codec import BROKER_TO_RUNNER
from ..protocol.messages import BrokerToRunner
from ..protocol.raw_json import RawJson
from ..transport.dial import open_link
from ..transport.http_client import HttpAnswer, post_json
from ..transport.link import Link, LinkSettings

__all__ = ["Dialer", "NetworkDialer"]


class Dialer(Protocol):
    """Makes a runner's connections."""

    def open_link(
        self, url: str, *, bearer: str, settings: LinkSettings
    ) -> AbstractAsyncContextManager[Link[BrokerToRunner]]:
        """Open a link to a broker, as `trio_runner.transport.dial.open_link` does.

        Raises:
            LinkError: on entering: the link could not be opened.
        """
        ...

    async def post_json(self, url: str, body: RawJson, *, settings: LinkSettings) -> HttpAnswer:
        """Post a JSON value over HTTP and return the answer.

        Raises:
            LinkLost: there was no answer.
        """
        ...


class NetworkDialer:
    """Connects over TCP, with TLS where the URL says so."""

    def open_link(
        self, url: str, *, bearer: str, settings: LinkSettings
    ) -> AbstractAsyncContextManager[Link[BrokerToRunner]]:
        """See `Dialer.open_link`."""
        return open_link(url, BROKER_TO_RUNNER, bearer=bearer, settings=settings)

    async def post_json(self, url: str, body: RawJson, *, settings: LinkSettings) -> HttpAnswer:
        """See `Dialer.post_json`."""
        return await post_json(url, body, settings=settings)
