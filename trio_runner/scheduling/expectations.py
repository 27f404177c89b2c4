"""What must happen next, and by when: the proof of life of a whole runner. No I/O and no clock.

Theory of operation. Whatever a runner waits for has a time limit of its own: an attempt to connect, the pause
before the next one, the end of the tasks of a lost connection. Each such wait is entered here with the time
at which it must be over, well beyond that limit, and taken out when it is. So in a runner that works nothing
here is ever overdue, whether its brokers are there or not; and what is overdue is a fault of the runner, for
which the remedy is a new process. Sessions that get nowhere by a fault of their own are counted for the same
reason: a new connection is the remedy for the first of them, and no remedy for the third in a row.
"""

from __future__ import annotations

__all__ = ["Expectations"]

# Sessions in a row that had a free slot and sent no offer, after which new connections do not help.
_MOST_STALLS = 3


class Expectations:
    """What a runner waits for."""

    def __init__(self) -> None:
        self._expected: dict[str, tuple[str, float]] = {}
        self._stalls = 0

    def expect(self, subject: str, what: str, by: float) -> None:
        """Enter what must happen next; it replaces what was expected of the same subject.

        Args:
            subject: whose matter it is, such as the URI of a broker.
            what: what must happen, for a person.
            by: when it must have, on a monotonic clock, seconds.
        """
        self._expected[subject] = (what, by)

    def settle(self, subject: str) -> None:
        """Expect nothing more of a subject."""
        self._expected.pop(subject, None)

    def stalled(self) -> None:
        """Take note of a session that got nowhere by a fault of ours."""
        self._stalls += 1

    def progressed(self) -> None:
        """Take note of work that came: what was done about stalls has helped."""
        self._stalls = 0

    def overdue(self, now: float) -> str | None:
        """Return what should have happened and has not, one line, or None: all is well.

        Args:
            now: current time on the clock of `expect`.
        """
        if self._stalls >= _MOST_STALLS:
            return f"{self._stalls} sessions in a row sent no offer although a slot was free"
        for subject, (what, by) in self._expected.items():
            if now >= by:
                return f"{subject}: {what} is overdue by {now - by:.0f} s"
        return None
