"""Every attack, as root and as a user without rights, with the language open and with it checked.

Each must have got nothing, must have ended as it should, must have left its neighbour alone, and the task after
it must have worked. Where this machine has none of the walls that stop an attack, it is expected to come
through: the report of the run says which, and why the walls are missing.
"""

from __future__ import annotations

import re

import pytest

from .arena import obstacle
from .attack import Attack
from .campaign import LEFT
from .catalogue import CATALOGUE, FAMILIES
from .driver import Findings, carry_out
from .settings import setting_of

pytestmark = pytest.mark.process

LISTS = {"open": False, "empty": True}
CASES = [(user, lists) for user in ("self", "nobody") for lists in LISTS]


@pytest.fixture(scope="module")
def campaigns(request: pytest.FixtureRequest) -> dict[tuple[str, str], Findings | str]:
    """Run, once, the attacks that are asked for, and keep what was found, or why it cannot be run here."""
    wanted: dict[tuple[str, str], list[str]] = {}
    for item in request.session.items:
        call = getattr(item, "callspec", None)
        if item.path == request.path and call is not None:
            wanted.setdefault(call.params["case"], []).append(call.params["attack"].name)
    found: dict[tuple[str, str], Findings | str] = {}
    for (user, lists), names in wanted.items():
        found[user, lists] = obstacle(user) or carry_out(user, names, checked=LISTS[lists])
    return found


@pytest.mark.timeout(900)
@pytest.mark.parametrize("case", CASES, ids="-".join)
@pytest.mark.parametrize("attack", CATALOGUE, ids=lambda attack: f"{attack.family}: {attack.name}")
def test_it_gets_nothing(
    attack: Attack, case: tuple[str, str], campaigns: dict[tuple[str, str], Findings | str]
) -> None:
    found = campaigns[case]
    if isinstance(found, str):
        pytest.skip(found)
    checked = LISTS[case[1]]
    report = found.reports[attack.name]
    standing = set(found.walls.get(setting_of(attack, checked=checked), ()))
    ends = attack.ends_checked if checked else attack.ends
    came_through = bool(report.gains) or not ends_as(ends, report.ending)
    excusable = attack.walls and not standing.intersection(attack.walls) and LEFT not in report.gains
    if came_through and excusable:
        pytest.xfail(f"none of {', '.join(attack.walls)} stands here: {', '.join(report.gains)}")
    assert list(report.gains) == []
    assert ends_as(ends, report.ending), report
    assert (report.neighbour, report.following) == ("", "")


def ends_as(pattern: str, ending: str) -> bool:
    """Whether a task ended in one of the ways that a pattern describes."""
    return re.match(f"(?:{pattern})", ending, re.DOTALL) is not None


def test_there_are_enough_of_each_family() -> None:
    counts = {family.attacks[0].family: len(family.attacks) for family in FAMILIES}
    assert sum(counts.values()) >= 80
    assert min(counts.values()) >= 3, counts
