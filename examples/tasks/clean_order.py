# The code of a task is the body of a function, not a module: linters have to be told.
# mypy: ignore-errors
# ruff: noqa: DTZ007, F706, F821
#
# It runs once for each order, with `_item`; what it returns takes the order's place, None drops it.
# The runner must allow it to import datetime and re (TRIO_RUNNER_STDLIB_ALLOW=datetime,re).
import re
from datetime import datetime

DATE_FORMATS = ("%Y-%m-%d", "%Y-%m-%dT%H:%M:%SZ", "%d.%m.%Y", "%m/%d/%Y", "%d %b %Y")


def day_of(text):
    for form in DATE_FORMATS:
        try:
            return datetime.strptime(text, form).date().isoformat()
        except ValueError:
            continue
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
