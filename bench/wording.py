"""Numbers and targets in words, the same in the table, the plot and the page."""

from __future__ import annotations

from .figures import Figure, Target

__all__ = ["amount", "ceiling_text", "number", "ratio_text", "target_text"]


def number(value: float) -> str:
    """Write a number with three digits that count, without an exponent."""
    if value == 0:
        return "0"
    size = abs(value)
    if size >= 100:
        return f"{value:,.0f}".replace(",", " ")
    decimals = 1 if size >= 10 else 2 if size >= 1 else 3
    return f"{value:.{decimals}f}"


def amount(value: float, unit: str) -> str:
    """Write a number with its unit."""
    return f"{number(value)}{unit}" if unit.startswith("/") else f"{number(value)} {unit}".rstrip()


def ratio_text(figure: Figure) -> str:
    """Write the ratio of a figure to its ceiling."""
    return "" if figure.ratio is None else f"{number(figure.ratio)} ×"


def ceiling_text(figure: Figure) -> str:
    """Write what a figure is measured against."""
    if figure.ceiling is None:
        return ""
    return f"{amount(figure.ceiling.value, figure.unit)} ({figure.ceiling.name})"


def target_text(target: Target | None, unit: str) -> str:
    """Write what a figure must show."""
    if target is None:
        return ""
    sign = "≥" if target.at == "least" else "≤"
    return (
        f"{sign} {number(target.limit)} ×" if target.of == "ratio" else f"{sign} {amount(target.limit, unit)}"
    )
