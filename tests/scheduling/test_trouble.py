"""What went wrong of late: the newest first, and what repeats itself once."""

from __future__ import annotations

from trio_runner.scheduling.trouble import Trouble, TroubleLog


def test_the_newest_first() -> None:
    log = TroubleLog()
    log.note("broker", "http://a", "refused", 10)
    log.note("workers", "", "no memory", 20)
    assert log.recent(25) == (
        Trouble(5, "workers", "", "no memory", 1, 5),
        Trouble(15, "broker", "http://a", "refused", 1, 15),
    )


def test_what_repeats_itself_takes_one_place_and_counts() -> None:
    log = TroubleLog()
    for second in (1, 2, 4):
        log.note("broker", "http://a", "refused", second)
        log.note("broker", "http://b", "refused", second)
    assert log.recent(10)[1] == Trouble(6, "broker", "http://a", "refused", 3, 9)
    assert len(log.recent(10)) == 2


def test_memory_is_bounded_whatever_peers_say() -> None:
    log = TroubleLog()
    for number in range(1000):
        log.note("runner", f"{number}" * 1000, "x" * 10_000, number)
    recent = log.recent(1000)
    assert len(recent) == 20
    assert recent[0].subject.startswith("999")
    assert max(len(trouble.message) + len(trouble.subject) for trouble in recent) == 1000
