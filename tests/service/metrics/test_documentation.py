"""The page about metrics is what the code would write, and so is what the dashboard asks for."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from trio_runner.service.metrics.documentation import page

ROOT = Path(__file__).parents[3]
DASHBOARD = ROOT / "contrib" / "grafana-dashboard.json"


def dashboard() -> Any:
    return json.loads(DASHBOARD.read_text(encoding="utf-8"))


def test_the_page_in_the_documentation_is_up_to_date() -> None:
    assert (ROOT / "docs" / "metrics.md").read_text(encoding="utf-8") == page(), "run `make docs`"


def test_every_metric_is_on_the_page_once() -> None:
    names = re.findall(r"^\| `(trio_runner_\w+)`", page(), re.MULTILINE)
    assert len(names) > 40
    assert len(set(names)) == len(names) - 1  # the lag of the event loop is told by both


def test_the_dashboard_asks_only_for_metrics_that_there_are() -> None:
    known = set(re.findall(r"`(trio_runner_\w+)`", page()))
    expressions = [target["expr"] for panel in dashboard()["panels"] for target in panel.get("targets", [])]
    asked = {name for expression in expressions for name in re.findall(r"trio_runner_\w+", expression)}
    assert len(asked) > 25
    assert {re.sub(r"_(bucket|sum|count)$", "", name) for name in asked} <= known


def test_the_panels_of_the_dashboard_do_not_overlap() -> None:
    taken: set[tuple[int, int]] = set()
    ids = [panel["id"] for panel in dashboard()["panels"]]
    assert len(set(ids)) == len(ids)
    for panel in dashboard()["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        assert max(x for x, _ in cells) < 24
        taken |= cells


@pytest.mark.parametrize("forbidden", ["http://", "https://", "localhost", "127.0.0.1"])
def test_the_dashboard_names_no_machine(forbidden: str) -> None:
    assert forbidden not in DASHBOARD.read_text(encoding="utf-8")
