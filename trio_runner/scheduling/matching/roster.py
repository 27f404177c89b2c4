"""Who is connected to a broker: runners and requesters, by connection and by id."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Generic, TypeVar

import attrs

__all__ = ["ConnectedRequester", "ConnectedRunner", "Fleet", "Roster"]


@attrs.define(eq=False)
class ConnectedRequester:
    """A requester. `connection` is never used again, `peer_id` is its own choice and may come back."""

    connection: int
    peer_id: str


@attrs.define(eq=False)
class ConnectedRunner:
    """A registered runner.

    Attributes:
        connection: number of its connection, never used again.
        peer_id: its own choice; may come back.
        name: for people.
        task_types: what it may offer.
        strikes: accepts it has left unanswered since it was last heard from.
        joined: when it was registered, seconds.
        heard: when its last message came, seconds.
        ended: tasks of it that have ended.
        declined: matches with it that came to nothing, by how.
    """

    connection: int
    peer_id: str
    name: str
    task_types: frozenset[str]
    strikes: int = 0
    joined: float = 0.0
    heard: float = 0.0
    ended: int = 0
    declined: Counter[str] = attrs.field(factory=Counter)


PeerT = TypeVar("PeerT", ConnectedRequester, ConnectedRunner)


class Roster(Generic[PeerT]):
    """Peers of one role. At most one connection per id."""

    def __init__(self) -> None:
        self._by_connection: dict[int, PeerT] = {}
        self._by_id: dict[str, PeerT] = {}

    def __len__(self) -> int:
        return len(self._by_connection)

    def __iter__(self) -> Iterator[PeerT]:
        return iter(tuple(self._by_connection.values()))

    def join(self, peer: PeerT) -> None:
        """Add a peer whose id nobody has."""
        self._by_connection[peer.connection] = peer
        self._by_id[peer.peer_id] = peer

    def leave(self, connection: int) -> PeerT | None:
        """Remove a peer; None if it is not here."""
        peer = self._by_connection.pop(connection, None)
        if peer is not None:
            del self._by_id[peer.peer_id]
        return peer

    def on(self, connection: int) -> PeerT | None:
        """Return the peer on a connection; None if it is not here."""
        return self._by_connection.get(connection)

    def named(self, peer_id: str) -> PeerT | None:
        """Return the peer with an id; None if it is not here."""
        return self._by_id.get(peer_id)


class Fleet(Roster[ConnectedRunner]):
    """The registered runners, and which task types they serve."""

    def __init__(self) -> None:
        super().__init__()
        self._serving: Counter[str] = Counter()

    def join(self, peer: ConnectedRunner) -> None:
        """Add a runner whose id no other has."""
        super().join(peer)
        self._serving.update(peer.task_types)

    def leave(self, connection: int) -> ConnectedRunner | None:
        """Remove a runner; None if it is not here."""
        runner = super().leave(connection)
        for task_type in runner.task_types if runner else ():
            self._serving[task_type] -= 1
            if not self._serving[task_type]:
                del self._serving[task_type]
        return runner

    def serving(self, task_type: str) -> int:
        """Return how many runners serve a task type."""
        return self._serving.get(task_type, 0)
