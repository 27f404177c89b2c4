"""A configuration file to start from: every setting with its meaning and its default, commented out."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator
from itertools import groupby

from ..settings.commands import TABLES
from ..settings.entry import Setting, settings_of

__all__ = ["example"]

_WIDTH = 78
_HEAD = """\
# Settings of trio-runner. Take the # away in front of what you change.
# Flags and environment variables win over this file. A secret is better named
# by KEY-file than written down; relative paths begin where this file is.
"""


def example(tables: tuple[str, ...] = tuple(TABLES)) -> str:
    """Return the text of a configuration file.

    Args:
        tables: the commands it is for.
    """
    return "\n".join([_HEAD, *(line for table in tables for line in _table(table))])


def _table(table: str) -> Iterator[str]:
    yield f"[{table}]\n"
    for group, entries in groupby(settings_of(TABLES[table]), key=lambda entry: entry.group):
        yield f"# --- {group} ".ljust(_WIDTH, "-") + "\n"
        for entry in entries:
            yield from _setting(entry)


def _setting(entry: Setting) -> Iterator[str]:
    default = f" Default: {entry.default_text}." if entry.default_text else ""
    live = "" if entry.live else " Needs a restart."
    for line in textwrap.wrap(f"{entry.about}{default}{live}", _WIDTH - 2, break_on_hyphens=False):
        yield f"# {line}"
    if entry.secret:
        yield f'#{entry.key}-file = "{entry.key}"\n'
    else:
        yield f"#{entry.key} = {_literal(entry)}\n"


def _literal(entry: Setting) -> str:
    """Return the default as TOML; an empty text or list where the default is what nobody has to write."""
    value = entry.default
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return f"{value:g}" if value != int(value) else str(int(value))
    if isinstance(value, tuple | frozenset) and not (entry.empty_counts and not value):
        return json.dumps(sorted(value))
    return '""' if not value or not isinstance(value, str) else json.dumps(value)
