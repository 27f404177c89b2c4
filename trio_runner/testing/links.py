"""Two ends of one connection in memory."""

from __future__ import annotations

from typing import Any, TypeVar

import trio

from ..protocol.codec import Codec
from ..transport.link import LinkSettings, Malformed
from ..transport.queued_link import QueuedLink

__all__ = ["MemoryLink", "memory_link_pair"]

MessageT = TypeVar("MessageT")
MessageA = TypeVar("MessageA")
MessageB = TypeVar("MessageB")


class MemoryLink(QueuedLink[MessageT]):
    """One end of a connection in memory, a `trio_runner.transport.link.Link`. `memory_link_pair` makes both.

    A message that is sent reaches the other end's queue once the sender has given trio a chance to run, so
    messages queued in one go overtake each other between the lanes as they do on a real link.

    Attributes:
        partner: the other end.
    """

    def __init__(self, codec: Codec[MessageT], settings: LinkSettings, peer: str) -> None:
        super().__init__(codec, settings, peer)
        self.partner: MemoryLink[Any] = self
        self._stalled = False
        self._pump_is_due = False

    @property
    def ended(self) -> str | None:
        """Why the connection is over for this end, None while it is open."""
        return self._ended

    def drop(self, reason: str = "") -> None:
        """Break the connection, as a cut cable does for both ends: what is on its way is lost.

        Args:
            reason: replaces ``connection to … lost`` in the `LinkLost` of both ends.
        """
        self.lose(reason)
        self.partner.lose(reason)

    def lose(self, reason: str = "") -> None:
        """Let this end alone find that the connection is lost; the other end knows nothing of it."""
        self._end(reason or f"connection to {self._peer} lost")

    def stall(self) -> None:
        """Stop writing, as if the other end did not read: what is sent waits in the queue."""
        self._stalled = True

    def resume(self) -> None:
        """Write what has waited since `stall`, and go on."""
        self._stalled = False
        self._wake()

    def deliver(self, frame: str | bytes) -> None:
        """Let this end receive one raw text frame, whatever is in it, as if the other end had sent it."""
        payload = frame.encode("utf-8", "surrogatepass") if isinstance(frame, str) else frame
        limit = self._settings.max_message
        if self._ended is not None:
            return
        if len(payload) > limit:
            self._end(f"{self._peer} sent more than the limit of {limit} bytes; closed with code 1009")
            self.partner.hang_up(1009, f"Exceeded maximum message size: {limit} bytes")
        else:
            self._arrived(payload)

    def deliver_binary(self) -> None:
        """Let this end receive a binary frame, which is never a message."""
        self._admit(Malformed("binary frame; every message is a text frame"))

    def hang_up(self, code: int, reason: str = "") -> None:
        """Let this end find that the other end has closed, with this code and reason."""
        self._end(f"{self._peer} closed the connection: code {code}" + (f" ({reason})" if reason else ""))

    def _wake(self, *, more: bool = False) -> None:
        if not self._pump_is_due:
            self._pump_is_due = True
            trio.lowlevel.current_trio_token().run_sync_soon(self._pump)

    def _pump(self) -> None:
        """Move everything queued to the other end, then close if that was asked for."""
        self._pump_is_due = False
        while not self._stalled and self._ended is None:
            outgoing = self._outbox.take()
            if outgoing is None:
                if self._closing is not None:
                    self.partner.hang_up(*self._closing)
                    self._end(f"connection to {self._peer} closed on this side")
                return
            self._written()
            self.partner.deliver(outgoing.payload)

    def _break(self, reason: str) -> None:
        self._end(reason)
        self.partner.lose()


def memory_link_pair(
    codec_a: Codec[MessageA],
    codec_b: Codec[MessageB],
    *,
    settings: LinkSettings = LinkSettings(),  # noqa: B008 - frozen
) -> tuple[MemoryLink[MessageA], MemoryLink[MessageB]]:
    """Make the two ends of one connection in memory.

    Args:
        codec_a: decodes what the first link receives, such as `codec.BROKER_TO_RUNNER` for a runner's end.
        codec_b: decodes what the second link receives.
        settings: limits of both ends; the times in it do not matter here.

    Returns:
        The first and the second end. Both are open at once and hold nothing that must be released.
    """
    first = MemoryLink(codec_a, settings, "memory:b")
    second = MemoryLink(codec_b, settings, "memory:a")
    first.partner, second.partner = second, first
    return first, second
