"""Every example runs, says what it promises, and leaves nothing behind."""

from __future__ import annotations

import csv
import subprocess
import sys
from pathlib import Path

import pytest

from trio_runner.service.demo.process_tree import descendants

EXAMPLES = Path(__file__).parents[1] / "examples"
# Seconds; each takes two or three on a machine with nothing else to do.
LIMIT = 100

pytestmark = [pytest.mark.process, pytest.mark.timeout(LIMIT + 20)]


def run(name: str, *arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run an example as a person would, from somewhere else, and check that it ends well."""
    before = descendants()
    ended = subprocess.run(
        [sys.executable, "-W", "error", str(EXAMPLES / name), *arguments],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=LIMIT,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    assert descendants() <= before
    return ended


def test_every_example_is_tested_and_listed() -> None:
    scripts = {path.name for path in EXAMPLES.glob("*.py")}
    assert scripts == {"all_in_one.py", "clean_csv.py", "embed_handler.py", "timeouts.py"}
    index = (EXAMPLES / "README.md").read_text(encoding="utf-8")
    for path in [*EXAMPLES.glob("*.py"), *EXAMPLES.glob("*/*")]:
        assert f"({path.relative_to(EXAMPLES)})" in index


def test_all_in_one(tmp_path: Path) -> None:
    ended = run("all_in_one.py", cwd=tmp_path)
    assert ended.stdout.splitlines() == [
        "the task says: adding up 101 numbers",
        "the total is 5050",
        "line 2 of the code failed: division by zero",
    ]
    assert ended.stderr == ""


def test_embed_handler(tmp_path: Path) -> None:
    ended = run("embed_handler.py", cwd=tmp_path)
    assert ended.stdout.splitlines() == [
        "the shop says: reserving 40 bolt",
        "reserved: {'article': 'bolt', 'left': 60}",
        "the shop says: reserving 1 hammer",
        "reserved: {'article': 'hammer', 'left': 2}",
        "refused: only 2 of 'hammer' left",
        "stock: {'bolt': 60, 'hammer': 2}",
    ]
    assert ended.stderr == ""


def test_timeouts(tmp_path: Path) -> None:
    ended = run("timeouts.py", cwd=tmp_path)
    assert ended.stdout.splitlines() == [
        "gave up: True",
        "too slow",
        "the winner is the hare",
        "silent after step 5",
        "the next task had to wait: False",
    ]
    assert ended.stderr == ""


def test_clean_csv(tmp_path: Path) -> None:
    output = tmp_path / "cleaned.csv"
    ended = run("clean_csv.py", str(output), cwd=tmp_path)
    with output.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert ended.stderr.splitlines()[-1] == f"{len(rows)} of 5000 rows are clean"
    assert ended.stderr.count(" left out: ") > 100
    assert 4_000 < len(rows) < 5_000
    assert [row["order_id"] for row in rows] == sorted(row["order_id"] for row in rows)
    assert {row["region"] for row in rows} == {"North", "South", "East", "West", "Overseas", "Unknown"}
    assert all(row["day"].startswith("2025-") and float(row["unit_price"]) > 0 for row in rows)


def test_clean_csv_to_standard_output(tmp_path: Path) -> None:
    ended = run("clean_csv.py", cwd=tmp_path)
    assert ended.stdout.startswith(
        "order_id,day,customer,region,product,quantity,unit_price\nA-10000,2025-01-01,"
    )
