"""What must happen next, and what is overdue."""

from __future__ import annotations

from trio_runner.scheduling.expectations import Expectations


def test_nothing_is_overdue_that_is_not_expected_or_has_happened() -> None:
    expectations = Expectations()
    assert expectations.overdue(1e9) is None
    expectations.expect("http://a", "a connection", 10.0)
    expectations.settle("http://a")
    expectations.settle("http://a")
    assert expectations.overdue(1e9) is None


def test_what_is_overdue_is_named() -> None:
    expectations = Expectations()
    expectations.expect("http://a", "a connection", 10.0)
    expectations.expect("http://b", "the next attempt", 20.0)
    assert expectations.overdue(9.9) is None
    assert expectations.overdue(12.0) == "http://a: a connection is overdue by 2 s"
    expectations.expect("http://a", "the next attempt", 30.0)
    assert expectations.overdue(12.0) is None
    assert expectations.overdue(25.0) == "http://b: the next attempt is overdue by 5 s"


def test_the_third_stall_in_a_row_is_no_progress_unless_work_came() -> None:
    expectations = Expectations()
    for _ in range(2):
        expectations.stalled()
    assert expectations.overdue(0.0) is None
    expectations.progressed()
    for _ in range(2):
        expectations.stalled()
    assert expectations.overdue(0.0) is None
    expectations.stalled()
    assert expectations.overdue(0.0) == "3 sessions in a row sent no offer although a slot was free"
