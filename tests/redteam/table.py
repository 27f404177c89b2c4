"""Switches walls off and prints which attacks come through: `make redteam-table`.

First with every wall up, then with one wall down at a time, then with none: there each attack that a wall is
to stop must come through, or it is no test of a wall. Takes several minutes.
"""

from __future__ import annotations

import concurrent.futures
import re
import sys
from collections import Counter
from collections.abc import Mapping, Sequence

import attrs

from trio_runner.sandbox.config import WALLS

from .arena import obstacle
from .attack import Attack
from .campaign import Report
from .catalogue import CATALOGUE
from .driver import carry_out

# Characters of a line.
_WIDTH = 100


@attrs.frozen
class Row:
    """What came through with some walls down.

    Attributes:
        down: which walls.
        standing: those that stood.
        through: the attacks that got something, and what.
    """

    down: str
    standing: int
    through: Mapping[str, Sequence[str]]


def measure(user: str, down: Sequence[str], attacks: Sequence[Attack]) -> Row:
    """Run attacks with some walls down."""
    found = carry_out(user, [attack.name for attack in attacks], checked=False, disabled=down)
    through = {}
    for attack in attacks:
        report = found.reports[attack.name]
        if gains := harm(attack, report):
            through[attack.name] = gains
    standing = {wall for walls in found.walls.values() for wall in walls}
    return Row(", ".join(down) if len(down) < len(WALLS) else "all", len(standing), through)


def harm(attack: Attack, report: Report) -> list[str]:
    """Return everything that an attack did: to the runner, to others, or in not ending as it should."""
    found = [*report.gains, *filter(None, (report.neighbour, report.following))]
    if not found and not re.match(f"(?:{attack.ends})", report.ending, re.DOTALL):
        found.append(f"ended otherwise: {report.ending}")
    return found


def show(row: Row, attacks: Sequence[Attack]) -> None:
    """Print one row and what is behind it."""
    count = f"{len(row.through)} of {len(attacks)}"
    print(f"\n{row.down or 'none'} down, {row.standing} up: {count} come through")
    for name, gains in row.through.items():
        print(f"    {name}: {gains[0]}"[:_WIDTH])
    sys.stdout.flush()


def main() -> None:
    """Print the table for a user: ``self`` or ``nobody``."""
    user = sys.argv[1] if len(sys.argv) > 1 else "self"
    if why := obstacle(user):
        sys.exit(why)
    against_walls = [attack for attack in CATALOGUE if attack.walls]
    families = Counter(attack.family for attack in CATALOGUE)
    print("Attacks: " + ", ".join(f"{name} {count}" for name, count in families.items()))
    print(f"{len(CATALOGUE)} in all, {len(against_walls)} of them against walls")
    every = [[], *([wall] for wall in WALLS), list(WALLS)]
    rows = []
    with concurrent.futures.ThreadPoolExecutor(2) as both:
        for row in both.map(lambda down: measure(user, down, against_walls), every):
            show(row, against_walls)
            rows.append(row)
    bare = rows[-1]
    idle = [attack.name for attack in against_walls if attack.name not in bare.through]
    print(f"\nStopped without any wall, so no test of one: {', '.join(idle) or 'none'}")
    print("\n| wall down | attacks that come through |\n| --- | --- |")
    for row in rows:
        print(f"| {row.down or 'none'} | {len(row.through)} of {len(against_walls)} |")


if __name__ == "__main__":
    main()
