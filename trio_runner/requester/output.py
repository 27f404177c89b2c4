"""What a task prints, as its requester sees it: a bounded stream that never holds up the connection."""

from __future__ import annotations

import json
from typing import Any

import attrs
import trio

from ..protocol.raw_json import RawJson

__all__ = ["Output", "PrintedOutput"]

# Waiting for a slow reader: n8n's runners send 100 lines of a task at most, ours what its operator allows.
_MAX_LINES = 1_000
_MAX_BYTES = 4 * 1024 * 1024


@attrs.frozen
class PrintedOutput:
    """One ``print()`` of a task.

    Attributes:
        params: the formatted arguments as the runner sent them: a str stands in single quotes.
        text: the same as ``print()`` would show it: the arguments with a space between them, no quotes.
        missed: how many lines were lost directly before this one because the reader was too slow.
    """

    params: list[str]
    text: str
    missed: int = 0

    @classmethod
    def of(cls, params: RawJson, missed: int = 0) -> PrintedOutput:
        """Read the params of a ``logNodeOutput`` call, tolerating what other people's runners send."""
        try:
            decoded = params.decode()
        except ValueError:
            decoded = params.data.decode(errors="replace")
        formatted = [_formatted(entry) for entry in (decoded if isinstance(decoded, list) else [decoded])]
        return cls(formatted, " ".join(map(_unquoted, formatted)), missed)


def _formatted(param: Any) -> str:
    return param if isinstance(param, str) else json.dumps(param, ensure_ascii=False)


def _unquoted(param: str) -> str:
    # Only a str argument begins with a single quote: everything else is a number, a name or JSON.
    return param[1:-1] if len(param) > 1 and param[0] == param[-1] == "'" else param


class Output:
    """The lines that a task prints: an asynchronous iterator that ends when the task has ended.

    Lines come in without anybody waiting. At most 1 000 lines or 4 MiB wait for the reader; what comes on
    top is lost, and the next line that is not lost says how many were (`PrintedOutput.missed`). A reader
    that keeps up loses nothing. Several readers share the lines between them.
    """

    def __init__(self) -> None:
        self._sender, self._receiver = trio.open_memory_channel[tuple[RawJson, int]](_MAX_LINES)
        self._bytes = 0
        self._pending_missed = 0
        self._missed = 0

    @property
    def missed(self) -> int:
        """Lines lost so far, in all."""
        return self._missed

    def __aiter__(self) -> Output:
        return self

    async def __anext__(self) -> PrintedOutput:
        """Return the next line.

        Raises:
            StopAsyncIteration: the task has ended and every line was returned.

        Cancellation:
            Safe: no line is lost.
        """
        try:
            params, missed = await self._receiver.receive()
        except trio.EndOfChannel:
            raise StopAsyncIteration from None
        self._bytes -= len(params)
        return PrintedOutput.of(params, missed)

    def put(self, params: RawJson) -> None:
        """Add a line, or count it as lost. Never waits; for the requester's own use."""
        try:
            if self._bytes and self._bytes + len(params) > _MAX_BYTES:
                raise trio.WouldBlock
            self._sender.send_nowait((params, self._pending_missed))
        except trio.WouldBlock:
            self._pending_missed += 1
            self._missed += 1
        else:
            self._bytes += len(params)
            self._pending_missed = 0

    def end(self) -> None:
        """Tell readers that no more will come. For the requester's own use."""
        self._sender.close()
