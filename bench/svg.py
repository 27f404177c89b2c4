"""The few shapes of SVG that a plot needs, as text."""

from __future__ import annotations

from html import escape

__all__ = ["document", "line", "polyline", "rectangle", "text"]


def document(width: float, height: float, parts: list[str]) -> str:
    """Return a whole drawing on a white ground."""
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{_n(width)}" height="{_n(height)}"',
            f'viewBox="0 0 {_n(width)} {_n(height)}" font-family="Helvetica, Arial, sans-serif">',
            rectangle(0, 0, width, height, "#ffffff"),
            *parts,
            "</svg>\n",
        ]
    )


def rectangle(x: float, y: float, width: float, height: float, fill: str, title: str = "") -> str:
    """Return a filled rectangle; `title` shows when the pointer rests on it."""
    shape = f'<rect x="{_n(x)}" y="{_n(y)}" width="{_n(max(0.0, width))}" height="{_n(height)}" fill="{fill}"'
    return f"{shape}><title>{escape(title)}</title></rect>" if title else f"{shape}/>"


def line(x1: float, y1: float, x2: float, y2: float, stroke: str, *, dashed: bool = False) -> str:
    """Return a thin line."""
    dashes = ' stroke-dasharray="4 3"' if dashed else ""
    return f'<line x1="{_n(x1)}" y1="{_n(y1)}" x2="{_n(x2)}" y2="{_n(y2)}" stroke="{stroke}"{dashes}/>'


def polyline(points: list[tuple[float, float]], stroke: str) -> str:
    """Return a line through points."""
    path = " ".join(f"{_n(x)},{_n(y)}" for x, y in points)
    return f'<polyline points="{path}" fill="none" stroke="{stroke}" stroke-width="1.8"/>'


def text(
    x: float, y: float, content: str, *, size: float = 12, anchor: str = "start", fill: str = "#222222"
) -> str:
    """Return one line of text; `anchor` is start, middle or end."""
    place = f'x="{_n(x)}" y="{_n(y)}" font-size="{_n(size)}" text-anchor="{anchor}" fill="{fill}"'
    return f"<text {place}>{escape(content)}</text>"


def _n(value: float) -> str:
    return f"{value:.1f}".rstrip("0").rstrip(".")
