"""Every attack, as root and as a user without rights, with the language open and with it checked.

Each must have got nothing, must have ended as it should, must have left its neighbour alone, and the task
after it must have worked. Where this machine has none of the walls that stop an attack, it would come through
and is not run: the report of the tests says which.
"""

from __future__ import annotations

import concurrent.futures
import re

import attrs
import pytest

from .arena import obstacle
from .attack import Attack
from .catalogue import BY_NAME, CATALOGUE, FAMILIES
from .driver import Findings, carry_out, standing
from .settings import setting_of

pytestmark = pytest.mark.process

LISTS = {"open": False, "empty": True}
CASES = [(user, lists) for user in ("self", "nobody") for lists in LISTS]


@attrs.frozen
class Campaign:
    """What was found for one user and one kind of lists.

    Attributes:
        obstacle: why nothing could be run; empty if it was.
        findings: the reports of the attacks, and the walls that stand.
    """

    obstacle: str
    findings: Findings

    def unopposed(self, attack: Attack, *, checked: bool) -> bool:
        """Whether none of the walls that should stop an attack stands here."""
        walls = self.findings.walls[setting_of(attack, checked=checked)]
        if checked and attack.refused_when_checked:
            return False
        return bool(attack.walls) and not set(attack.walls).intersection(walls)


def run_campaign(user: str, names: list[str], *, checked: bool) -> Campaign:
    """Run the attacks that something stops; the others would only cost time."""
    if why := obstacle(user):
        return Campaign(why, Findings({}, {}, {}))
    before = Campaign("", standing(user, names, checked=checked))
    opposed = [name for name in names if not before.unopposed(BY_NAME[name], checked=checked)]
    found = carry_out(user, opposed, checked=checked) if opposed else before.findings
    return Campaign("", attrs.evolve(found, walls=before.findings.walls, missing=before.findings.missing))


@pytest.fixture(scope="module")
def campaigns(request: pytest.FixtureRequest) -> dict[tuple[str, str], Campaign]:
    """Run, once, the attacks that are asked for, as each user and with each kind of lists."""
    wanted: dict[tuple[str, str], list[str]] = {}
    for item in request.session.items:
        call = getattr(item, "callspec", None)
        if item.path == request.path and call is not None:
            wanted.setdefault(call.params["case"], []).append(call.params["attack"].name)
    found: dict[tuple[str, str], Campaign] = {}

    def run(case: tuple[str, str]) -> None:
        found[case] = run_campaign(case[0], wanted[case], checked=LISTS[case[1]])

    with concurrent.futures.ThreadPoolExecutor(2) as both:
        list(both.map(run, wanted))
    return found


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("case", CASES, ids="-".join)
@pytest.mark.parametrize("attack", CATALOGUE, ids=lambda attack: f"{attack.family}: {attack.name}")
def test_it_gets_nothing(
    attack: Attack, case: tuple[str, str], campaigns: dict[tuple[str, str], Campaign]
) -> None:
    campaign = campaigns[case]
    if campaign.obstacle:
        pytest.skip(campaign.obstacle)
    checked = LISTS[case[1]]
    if campaign.unopposed(attack, checked=checked):
        pytest.xfail(f"none of {', '.join(attack.walls)} stands here")
    report = campaign.findings.reports[attack.name]
    assert list(report.gains) == []
    ends = attack.ends_checked if checked else attack.ends
    assert ends_as(ends, report.ending), report
    assert (report.neighbour, report.following) == ("", "")


def ends_as(pattern: str, ending: str) -> bool:
    """Whether a task ended in one of the ways that a pattern describes."""
    return re.match(f"(?:{pattern})", ending, re.DOTALL) is not None


def test_there_are_enough_of_each_family() -> None:
    counts = {family.attacks[0].family: len(family.attacks) for family in FAMILIES}
    assert sum(counts.values()) >= 80
    assert min(counts.values()) >= 3, counts
