"""The demo's data: always the same, dirty as promised, and what is in the repository."""

from __future__ import annotations

from pathlib import Path

import pytest

from trio_runner.service.demo import data as demo_data
from trio_runner.service.demo.data import ORDERS, load_orders, orders_csv

DATA_FILE = Path(__file__).parents[3] / "examples" / "data" / "orders.csv"


def test_the_file_in_the_repository_is_what_the_code_makes() -> None:
    assert DATA_FILE.read_text(encoding="utf-8") == orders_csv()
    assert DATA_FILE.stat().st_size < 600_000


def test_rows_are_found_in_a_clone() -> None:
    orders = load_orders()
    assert len(orders.rows) == ORDERS
    assert orders.source == "examples/data/orders.csv"


def test_rows_are_made_where_there_is_no_clone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from_file = load_orders()
    monkeypatch.setattr(demo_data, "__file__", str(tmp_path / "trio_runner" / "service" / "demo" / "data.py"))
    made = load_orders()
    assert made.rows == from_file.rows
    assert made.source == "orders made up for this demo"


def test_the_dirt_is_there() -> None:
    rows = load_orders().rows
    assert len({row["order_id"] for row in rows}) < ORDERS
    for column in ("ordered_on", "region", "quantity"):
        assert None in {row[column] for row in rows}
    prices = {row["unit_price"] for row in rows}
    for example in ("n/a", "$", "EUR", ","):
        assert any(example in (price or "") for price in prices)
