"""Printing the status of a daemon once."""

from __future__ import annotations

import sys

from ..terminal import open_console
from .document import Document
from .view import view

__all__ = ["print_status"]

# Columns where the output goes to no terminal: what is not shown there cannot be scrolled to.
_WIDE = 160


def print_status(document: Document) -> None:
    """Write everything that a person wants to know to standard output."""
    console = open_console(sys.stdout)
    if not console.is_terminal:
        console.width = max(console.width, _WIDE)
    console.print(view(document, width=console.width))
