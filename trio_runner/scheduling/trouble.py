"""What went wrong of late, kept for whoever asks how a runner or a broker does. No clock."""

from __future__ import annotations

from collections import OrderedDict

import attrs

__all__ = ["Trouble", "TroubleLog"]

# Different troubles that are kept; a person looks at the newest few.
_KEPT = 20
# Characters of one message: it may quote what a peer or a task has said.
_LONGEST = 500


@attrs.frozen
class Trouble:
    """One thing that went wrong, as often as it did in the same words.

    Attributes:
        age: seconds since it happened last.
        source: where: ``broker``, ``workers``, ``task``, ``runner``, ``request`` or ``refused``.
        subject: which of them: a URI, an id, a task type; may be empty.
        message: what, one line.
        times: how often since the first time.
        first_age: seconds since the first time.
    """

    age: float
    source: str
    subject: str
    message: str
    times: int = 1
    first_age: float = 0.0


@attrs.define
class _Entry:
    first: float
    last: float
    times: int = 1


class TroubleLog:
    """The newest troubles; what repeats itself takes up one place."""

    def __init__(self) -> None:
        self._entries: OrderedDict[tuple[str, str, str], _Entry] = OrderedDict()

    def note(self, source: str, subject: str, message: str, now: float) -> None:
        """Take note of a trouble.

        Args:
            source: see `Trouble.source`.
            subject: see `Trouble.subject`.
            message: one line; cut if it is long.
            now: current time on a monotonic clock, seconds; the same clock for every call.
        """
        key = (source, subject[:_LONGEST], message[:_LONGEST])
        entry = self._entries.pop(key, None)
        if entry is None:
            entry = _Entry(now, now)
        else:
            entry.last = now
            entry.times += 1
        self._entries[key] = entry
        if len(self._entries) > _KEPT:
            self._entries.popitem(last=False)

    def recent(self, now: float) -> tuple[Trouble, ...]:
        """Return what is kept, the newest first."""
        return tuple(
            Trouble(now - entry.last, *key, entry.times, now - entry.first)
            for key, entry in reversed(self._entries.items())
        )
