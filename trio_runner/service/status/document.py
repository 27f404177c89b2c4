"""The snapshot of a daemon as one JSON document: what ``status``, ``top`` and the web page are all made from.

Its fields are those of the `statistics()` of runner and broker, by the same names; so it needs no description
of its own. Whoever reads it must allow for fields it does not know: a daemon may be newer than who asks.
"""

from __future__ import annotations

import os
import time

import attrs
import msgspec

from ... import __version__
from ...runner.statistics import RunnerStatistics
from ...scheduling.matching.statistics import BrokerStatistics

__all__ = ["Document", "LoopStatistics", "decode", "encode"]


@attrs.frozen(kw_only=True)
class LoopStatistics:
    """How promptly the event loop turns.

    Attributes:
        lag: seconds that a timer was late when it was looked at last.
        worst: the most that it was late within the last minute.
        checked: seconds since it was looked at last.
    """

    lag: float
    worst: float
    checked: float


@attrs.frozen(kw_only=True)
class Document:
    """What a daemon tells of itself at one moment.

    Attributes:
        version: of the program.
        pid: of the daemon.
        time: seconds since 1970 by its wall clock; ages in it are seconds before that.
        loop: how promptly its event loop turns.
        runner: the runner, if it is one.
        broker: the broker, if it is one.
        url: where the broker listens.
    """

    version: str = __version__
    pid: int = attrs.field(factory=os.getpid)
    time: float = attrs.field(factory=time.time)
    loop: LoopStatistics | None = None
    runner: RunnerStatistics | None = None
    broker: BrokerStatistics | None = None
    url: str = ""

    @property
    def kind(self) -> str:
        """``runner`` or ``broker``."""
        return "broker" if self.runner is None else "runner"


def encode(document: Document) -> bytes:
    """Return a document as JSON."""
    return msgspec.json.encode(document)


def decode(data: bytes) -> Document:
    """Return the document in a JSON text.

    Raises:
        ValueError: it is none, or that of another version which has changed too much.
    """
    try:
        return msgspec.json.decode(data, type=Document)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as exc:
        raise ValueError(f"not the status of a trio-runner daemon of this version: {exc}") from exc
