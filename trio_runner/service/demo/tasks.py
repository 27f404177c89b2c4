"""What the demo sends: the code of its tasks; and the plain computation that checks its answer."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime

__all__ = [
    "ADD_UP",
    "CLEAN",
    "CONVERT_BLINDLY",
    "LOOP_FOR_EVER",
    "MODULES",
    "Totals",
    "merged",
    "plain_totals",
    "without_duplicates",
]

MODULES = frozenset({"datetime", "re"})
"""What the code below imports: the demo's runner allows these and nothing else."""

CLEAN = '''\
import re
from datetime import date

MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
DATES = (
    r"(?P<year>\\d{4})-(?P<month>\\d\\d)-(?P<day>\\d\\d)(T[0-9:]+Z)?",
    r"(?P<day>\\d\\d)\\.(?P<month>\\d\\d)\\.(?P<year>\\d{4})",
    r"(?P<month>\\d\\d)/(?P<day>\\d\\d)/(?P<year>\\d{4})",
    r"(?P<day>\\d\\d) (?P<month>[A-Z][a-z]{2}) (?P<year>\\d{4})",
)

def day_of(text):
    for pattern in DATES:
        found = re.fullmatch(pattern, text)
        if found is not None:
            name = found["month"]
            month = MONTHS.index(name) + 1 if name in MONTHS else int(name)
            try:
                return date(int(found["year"]), month, int(found["day"])).isoformat()
            except ValueError:
                return None
    return None

def cents_of(text):
    """Understand 12.50, $12.50, 12,50, 1,299.00 and 1.299,00 EUR."""
    found = re.search(r"\\d[\\d.,]*", text)
    if found is None:
        return None
    whole, separator, cents = re.match(r"(.*?)([.,]?)(\\d*)$", found[0]).groups()
    return int(re.sub(r"\\D", "", whole) + cents) if separator and len(cents) == 2 else None

order = _item["json"]
day = day_of(order["ordered_on"] or "")
price = cents_of(order["unit_price"] or "")
quantity = re.fullmatch(r"\\s*(\\d+)(\\.0)?\\s*", order["quantity"] or "")

for name, value in (("date", day), ("price", price), ("quantity", quantity)):
    if value is None:
        print("dropped", order["order_id"], "for its", name)
        return None

return {
    "order_id": order["order_id"],
    "day": day,
    "region": (order["region"] or "unknown").strip().title(),
    "cents": int(quantity[1]) * price,
}
'''

ADD_UP = """\
totals = {}
for item in _items:
    order = item["json"]
    total = totals.setdefault(order["region"], {"orders": 0, "cents": 0})
    total["orders"] += 1
    total["cents"] += order["cents"]

print("added up", len(_items), "orders from", len(totals), "regions")
return totals
"""

CONVERT_BLINDLY = """\
revenue = 0
for item in _items:
    order = item["json"]
    revenue += int(order["quantity"]) * float(order["unit_price"])
return revenue
"""

LOOP_FOR_EVER = """\
print("this will take a while")
while True:
    pass
"""

Totals = Mapping[str, Mapping[str, int]]
Row = Mapping[str, str | None]


def without_duplicates(items: Iterable[Mapping[str, Mapping[str, object]]]) -> list[Mapping[str, object]]:
    """Return the cleaned orders, each only once: what no task can see that has only some of them."""
    orders = {item["json"]["order_id"]: item["json"] for item in reversed(list(items))}
    return list(reversed(orders.values()))


def merged(parts: Sequence[Totals]) -> dict[str, dict[str, int]]:
    """Return the sum of the totals that several tasks found."""
    totals: dict[str, dict[str, int]] = {}
    for part in parts:
        for region, found in dict(part).items():
            total = totals.setdefault(region, {"orders": 0, "cents": 0})
            total["orders"] += found["orders"]
            total["cents"] += found["cents"]
    return totals


# --- the same answer without runner, broker and tasks, in other words -------------------------------


def plain_totals(rows: Iterable[Row]) -> dict[str, dict[str, int]]:
    """Return the totals of each region in one plain loop over the rows."""
    totals: dict[str, dict[str, int]] = {}
    seen = set()
    for row in rows:
        quantity = (row["quantity"] or "").strip().removesuffix(".0")
        cents = _cents(row["unit_price"] or "")
        if not (quantity.isdecimal() and cents is not None and _day(row["ordered_on"] or "")):
            continue
        if row["order_id"] in seen:
            continue
        seen.add(row["order_id"])
        total = totals.setdefault(
            (row["region"] or "unknown").strip().capitalize(), {"orders": 0, "cents": 0}
        )
        total["orders"] += 1
        total["cents"] += int(quantity) * cents
    return totals


def _cents(price: str) -> int | None:
    """Every price has two decimals: without signs and separators it is an amount of cents."""
    digits = price.removeprefix("$").removesuffix(" EUR").replace(",", "").replace(".", "")
    return int(digits) if digits.isdecimal() else None


def _day(text: str) -> date | None:
    for form in ("%Y-%m-%d", "%Y-%m-%dT%H:%M:%SZ", "%d %b %Y", "%d.%m.%Y", "%m/%d/%Y"):
        try:
            return datetime.strptime(text, form).date()  # noqa: DTZ007 - days without a zone
        except ValueError:
            continue
    return None
