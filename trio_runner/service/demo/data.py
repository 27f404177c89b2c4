"""The orders that the demo works on: five thousand rows as a shop's old system might export them.

The rows are made up, always the same ones, and dirty on purpose: dates in five formats, prices with currency
signs, decimal commas and thousands separators, regions in any spelling, missing values, orders exported
twice. ``examples/data/orders.csv`` holds exactly what `orders_csv` returns.
"""

from __future__ import annotations

import csv
import io
import random
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from pathlib import Path

import attrs

__all__ = ["ORDERS", "Orders", "load_orders", "orders_csv"]

ORDERS = 5_000
_SEED = 20_261_122
_COLUMNS = ("order_id", "ordered_on", "customer", "region", "product", "quantity", "unit_price")
_FIRST_DAY = date(2025, 1, 1)
_DAYS = 365
_REGIONS = ("North", "South", "East", "West", "Overseas")
_NAMES = ("Abebe", "Bruun", "Costa", "Dvořák", "Eriksen", "Fujita", "García", "Hoang", "Ivanova", "Jensen")
_PRODUCTS = {
    "hex bolt M8": 0.35,
    "wood screw 4x40": 0.12,
    "claw hammer": 18.9,
    "cordless drill": 129.0,
    "ladder 3 m": 89.5,
    "work bench": 1249.0,
    "safety gloves": 7.25,
    "paint, white 10 l": 54.0,
}
_DATE_FORMATS = ("%Y-%m-%d", "%Y-%m-%d", "%Y-%m-%d", "%d.%m.%Y", "%m/%d/%Y", "%Y-%m-%dT%H:%M:%SZ", "%d %b %Y")


@attrs.frozen
class Orders:
    """The rows of the demo.

    Attributes:
        rows: a dict per row, every value a text or None.
        source: where they came from, for people.
    """

    rows: list[dict[str, str | None]]
    source: str


def load_orders() -> Orders:
    """Read the data file of a clone of the repository, or make the same rows where there is none."""
    path = Path(__file__).parents[3] / "examples" / "data" / "orders.csv"
    if path.is_file():
        return Orders(_parse(path.read_text(encoding="utf-8")), "examples/data/orders.csv")
    return Orders(_parse(orders_csv()), "orders made up for this demo")


def orders_csv() -> str:
    """Return the data file: a header and `ORDERS` rows, always the same."""
    chance = random.Random(_SEED)  # noqa: S311 - the same rows every time are the point
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_COLUMNS)
    writer.writerows(_rows(chance))
    return text.getvalue()


def _parse(text: str) -> list[dict[str, str | None]]:
    return [{name: value or None for name, value in row.items()} for row in csv.DictReader(io.StringIO(text))]


def _rows(chance: random.Random) -> Iterator[list[str]]:
    recent: list[list[str]] = []
    for number in range(ORDERS):
        if recent and chance.random() < 0.03:
            yield list(recent[int(chance.random() * len(recent))])  # exported twice
            continue
        row = _dirty(_clean_row(number, chance), chance)
        recent = [*recent[-40:], row]
        yield row


def _clean_row(number: int, chance: random.Random) -> list[str]:
    day = _FIRST_DAY + timedelta(days=number * _DAYS // ORDERS)
    product = _pick(tuple(_PRODUCTS), chance)
    price = _PRODUCTS[product] * (0.9 + 0.2 * chance.random())
    quantity = 1 + int(chance.random() * (200 if price < 1 else 9))
    return [
        f"A-{10_000 + number}",
        day.strftime(_pick(_DATE_FORMATS, chance)),
        f"{_pick(_NAMES, chance)} {_pick(('& Sons', 'Ltd', 'GmbH', 'SA', 'Trading'), chance)}",
        _pick(_REGIONS, chance),
        product,
        str(quantity),
        f"{price:.2f}",
    ]


def _dirty(row: list[str], chance: random.Random) -> list[str]:
    """Spoil a row as people and programs do, some of it beyond repair."""
    order_id, day, customer, region, product, quantity, price = row
    return [
        order_id,
        _spoil(day, chance, 0.02, lambda _: _pick(("", "", "n/a", "0000-00-00"), chance)),
        _spoil(customer, chance, 0.05, lambda text: f"  {text} "),
        _spoil(region, chance, 0.3, lambda text: _pick((text.upper(), text.lower(), f"{text} ", ""), chance)),
        product,
        _spoil(
            quantity, chance, 0.04, lambda text: _pick((f"{text}.0", f" {text}", "", "-1", "two"), chance)
        ),
        _spoil(price, chance, 0.35, lambda text: _other_price(text, chance)),
    ]


def _other_price(price: str, chance: random.Random) -> str:
    grouped = f"{float(price):,.2f}"
    swapped = grouped.translate(str.maketrans(",.", ".,"))
    return _pick((f"${price}", f"{price} EUR", grouped, swapped, price.replace(".", ","), "n/a"), chance)


def _spoil(text: str, chance: random.Random, probability: float, change: Callable[[str], str]) -> str:
    return change(text) if chance.random() < probability else text


def _pick(choices: tuple[str, ...], chance: random.Random) -> str:
    # random() alone: for a seed every Python gives the same sequence, which choice() does not promise.
    return choices[int(chance.random() * len(choices))]
