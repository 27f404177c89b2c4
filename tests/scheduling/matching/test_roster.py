"""Who is connected."""

from __future__ import annotations

from trio_runner.scheduling.matching.roster import ConnectedRequester, ConnectedRunner, Fleet, Roster


def make(connection: int, *types: str) -> ConnectedRunner:
    return ConnectedRunner(connection, f"runner{connection}", "n", frozenset(types))


def test_found_by_connection_and_by_id() -> None:
    roster: Roster[ConnectedRequester] = Roster()
    peer = ConnectedRequester(7, "q")
    roster.join(peer)
    assert roster.on(7) is peer and roster.named("q") is peer
    assert list(roster) == [peer] and len(roster) == 1
    assert roster.leave(7) is peer
    assert roster.leave(7) is None
    assert (roster.on(7), roster.named("q"), len(roster)) == (None, None, 0)


def test_a_type_is_served_as_long_as_one_runner_does() -> None:
    fleet = Fleet()
    fleet.join(make(1, "a", "b"))
    fleet.join(make(2, "a"))
    fleet.leave(1)
    assert (fleet.serving("a"), fleet.serving("b")) == (1, 0)
    fleet.leave(2)
    fleet.leave(2)
    assert fleet.serving("a") == 0
    assert fleet._serving == {}
