"""Starts campaigns in arenas, goes on where an attack has ended one, and gathers the reports."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import attrs

from .arena import ROOT, command
from .campaign import Report
from .stage import TOKEN_VARIABLE, new_token

# Seconds for a whole campaign: far more than it takes, on a busy machine too.
_CAMPAIGN_LIMIT = 800.0


@attrs.frozen
class Findings:
    """What came of a plan.

    Attributes:
        reports: one for each attack.
        walls: for each executor, the walls that stood.
        missing: the walls that the machine lacks, and why.
    """

    reports: Mapping[str, Report]
    walls: Mapping[str, Sequence[str]]
    missing: Mapping[str, str]


def carry_out(user: str, attacks: Sequence[str], *, checked: bool, disabled: Sequence[str] = ()) -> Findings:
    """Run attacks in an arena.

    Args:
        user: see `arena.command`.
        attacks: their names.
        checked: whether the language is checked, and nothing may be imported.
        disabled: walls that are switched off.
    """
    reports: dict[str, Report] = {}
    walls: dict[str, Sequence[str]] = {}
    missing: dict[str, str] = {}
    left = list(attacks)
    while left:
        plan = json.dumps({"attacks": left, "checked": checked, "disabled": list(disabled)})
        begun, error = "", ""
        for said in _lines(user, plan):
            if "setting" in said:
                walls[said["setting"]] = said["walls"]
                missing.update(said["missing"])
            elif "begin" in said:
                begun = said["begin"]
            elif "attack" in said:
                reports[said["attack"]] = Report(**said)
            elif "error" in said:
                error = said["error"]
        if begun and begun not in reports:
            reports[begun] = Report(begun, "runner lost", [f"ended or hung the runner: {error}"])
        before = len(left)
        left = [name for name in left if name not in reports]
        if len(left) == before:
            raise AssertionError(f"the campaign cannot be run: {error}")
    return Findings(reports, walls, missing)


def standing(user: str, attacks: Sequence[str], *, checked: bool) -> Findings:
    """Return the walls that would stand around attacks; see `carry_out`."""
    plan = json.dumps({"attacks": list(attacks), "checked": checked, "look_only": True})
    said = list(_lines(user, plan))
    if errors := [each["error"] for each in said if "error" in each]:
        raise AssertionError(f"the campaign cannot be run: {errors[0]}")
    missing = {name: why for each in said for name, why in each["missing"].items()}
    return Findings({}, {each["setting"]: each["walls"] for each in said}, missing)


def _lines(user: str, plan: str) -> Iterator[dict[str, Any]]:
    words = command(user, ["tests.redteam.campaign", plan])
    environment = os.environ | {TOKEN_VARIABLE: new_token()}
    process = subprocess.Popen(
        words, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        said, errors = process.communicate(timeout=_CAMPAIGN_LIMIT)
    except subprocess.TimeoutExpired:
        process.terminate()
        said, errors = process.communicate()
        errors = f"it hangs; {errors}"
    for line in said.splitlines():
        if line.startswith("{") and line.endswith("}"):
            yield json.loads(line)
    if process.returncode != 0:
        yield {"error": f"exit status {process.returncode}: {errors[:6000]}"}
