"""A report takes one finding for each step, in order, and skips what a failure leaves untried."""

from __future__ import annotations

from trio_runner.service.check.findings import Finding, Report, Status


def test_a_failure_skips_the_rest() -> None:
    found: list[Finding] = []
    report = Report("b", ["one", "two", "three", "four"], found.append)
    report.ok("fine")
    report.warn("odd", "look")
    report.fail("broken", "mend it")
    assert [(finding.step, finding.status) for finding in found] == [
        ("one", Status.OK),
        ("two", Status.WARNING),
        ("three", Status.FAILED),
        ("four", Status.SKIPPED),
    ]
    assert found[2].remedy == "mend it"
    assert found[3].detail == "not tried, because this failed: three"
    assert found[0].seconds is not None
    assert not report.steps


def test_a_failure_that_says_nothing_about_the_next_step() -> None:
    found: list[Finding] = []
    report = Report("b", ["one", "two"], found.append)
    report.fail("broken", "mend it", alone=True)
    report.ok()
    assert [finding.status for finding in found] == [Status.FAILED, Status.OK]
