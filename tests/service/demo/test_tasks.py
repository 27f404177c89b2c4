"""The code that the demo sends, run as the plain function body that it is."""

from __future__ import annotations

import functools
import itertools
import textwrap
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from trio_runner.service.demo.data import load_orders
from trio_runner.service.demo.tasks import (
    ADD_UP,
    CLEAN,
    CONVERT_BLINDLY,
    merged,
    plain_totals,
    without_duplicates,
)


@functools.cache
def compiled(code: str) -> tuple[Callable[..., Any], list[str]]:
    """Compile the body of a function, and return it with the list that collects what it prints."""
    printed: list[str] = []
    scope: dict[str, Any] = {"print": lambda *words: printed.append(" ".join(map(str, words)))}
    exec(f"def body(_item=None, _items=None):\n{textwrap.indent(code, '    ')}", scope)
    return scope["body"], printed


def perform(code: str, **names: object) -> tuple[Any, list[str]]:
    """Run the body of a function; return what it returned and printed."""
    body, printed = compiled(code)
    printed.clear()
    return body(**names), list(printed)


def order(**fields: str | None) -> dict[str, str | None]:
    usual = {
        "order_id": "A-1",
        "ordered_on": "2025-02-01",
        "customer": "Jensen",
        "region": "North",
        "product": "nut",
        "quantity": "2",
        "unit_price": "12.50",
    }
    return {**usual, **fields}


DAYS = ("2025-02-01", "01.02.2025", "02/01/2025", "2025-02-01T00:00:00Z", "01 Feb 2025")
PRICES = {
    "12.50": 1250,
    "$12.50": 1250,
    "12,50": 1250,
    "12.50 EUR": 1250,
    "1,299.00": 129900,
    "1.299,00": 129900,
    "0.12": 12,
}


@pytest.mark.parametrize(("quantity", "count"), [("2", 2), ("2.0", 2), (" 2", 2)])
@pytest.mark.parametrize(("region", "clean"), [("north", "North"), ("NORTH ", "North"), (None, "Unknown")])
def test_both_computations_understand_every_spelling(
    quantity: str, count: int, region: str | None, clean: str
) -> None:
    for day, (price, cents) in itertools.product(DAYS, PRICES.items()):
        row = order(ordered_on=day, unit_price=price, quantity=quantity, region=region)
        result, printed = perform(CLEAN, _item={"json": row})
        assert result == {"order_id": "A-1", "day": "2025-02-01", "region": clean, "cents": count * cents}
        assert printed == []
        assert plain_totals([row]) == {clean: {"orders": 1, "cents": count * cents}}


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"ordered_on": None}, "date"),
        ({"ordered_on": "0000-00-00"}, "date"),
        ({"unit_price": "n/a"}, "price"),
        ({"unit_price": None}, "price"),
        ({"quantity": "-1"}, "quantity"),
        ({"quantity": "two"}, "quantity"),
        ({"quantity": None}, "quantity"),
    ],
)
def test_both_computations_leave_out_the_same(fields: dict[str, str | None], why: str) -> None:
    row = order(**fields)
    assert perform(CLEAN, _item={"json": row}) == (None, [f"dropped A-1 for its {why}"])
    assert plain_totals([row]) == {}


def test_the_tasks_together_find_what_a_plain_loop_finds() -> None:
    rows = load_orders().rows
    cleaned = [{"json": result} for row in rows if (result := perform(CLEAN, _item={"json": row})[0])]
    orders: list[Mapping[str, object]] = without_duplicates(cleaned)
    parts = [
        perform(ADD_UP, _items=[{"json": one} for one in orders[start : start + 999]])[0]
        for start in (0, 999)
    ]
    assert len(orders) > 4_000
    assert len(cleaned) > len(orders)
    assert merged(parts) == plain_totals_of(rows, orders[:1998])


def plain_totals_of(
    rows: list[dict[str, str | None]], orders: list[Mapping[str, object]]
) -> dict[str, dict[str, int]]:
    wanted = {one["order_id"] for one in orders}
    return plain_totals(row for row in rows if row["order_id"] in wanted)


def test_converting_blindly_fails() -> None:
    rows = load_orders().rows[:500]
    with pytest.raises((ValueError, TypeError)):
        perform(CONVERT_BLINDLY, _items=[{"json": row} for row in rows])
