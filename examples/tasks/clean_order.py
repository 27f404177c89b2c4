# The code of a task is the body of a function, not a module: linters have to be told.
# mypy: ignore-errors
# ruff: noqa: F706, F821
#
# It runs once for each order, with `_item`; what it returns takes the order's place, None drops it.
# The runner must allow it to import datetime and re (TRIO_RUNNER_STDLIB_ALLOW=datetime,re).
import re
from datetime import date

MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
DATES = (
    r"(?P<year>\d{4})-(?P<month>\d\d)-(?P<day>\d\d)(T[0-9:]+Z)?",
    r"(?P<day>\d\d)\.(?P<month>\d\d)\.(?P<year>\d{4})",
    r"(?P<month>\d\d)/(?P<day>\d\d)/(?P<year>\d{4})",
    r"(?P<day>\d\d) (?P<month>[A-Z][a-z]{2}) (?P<year>\d{4})",
)


def day_of(text):
    for pattern in DATES:
        if found := re.fullmatch(pattern, text):
            name = found["month"]
            month = MONTHS.index(name) + 1 if name in MONTHS else int(name)
            return date(int(found["year"]), month, int(found["day"])).isoformat()
    raise ValueError(f"no date: {text!r}")


def price_of(text):
    # "$12.50", "12,50", "1,299.00" and "1.299,00 EUR" all end in two decimals.
    digits = re.sub(r"[^0-9]", "", text)
    return int(digits) / 100


order = _item["json"]
try:
    cleaned = {
        "order_id": order["order_id"],
        "day": day_of(order["ordered_on"]),
        "customer": order["customer"].strip(),
        "region": order["region"].strip().title() or "Unknown",
        "product": order["product"],
        "quantity": int(float(order["quantity"])),
        "unit_price": price_of(order["unit_price"]),
    }
except ValueError as problem:
    # print() reaches whoever submitted the task, while it runs.
    print(f"{order['order_id']} left out: {problem}")
    return None

return cleaned if cleaned["quantity"] > 0 else None
