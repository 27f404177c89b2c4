"""Settings in force, written for people at a terminal, for a pipe, and as JSON."""

from __future__ import annotations

import json
from itertools import groupby

from rich.table import Table
from rich.text import Text

from ..terminal import PersonConsole, plain
from .effective import Effective, EffectiveSetting

__all__ = ["as_json", "as_lines", "show_table"]


def as_json(effective: Effective) -> str:
    """Return everything as one JSON document."""
    document = {
        "command": effective.command,
        "config_file": str(effective.file) if effective.file else None,
        "searched": [str(path) for path in effective.searched],
        "settings": [_json_setting(setting) for setting in effective.settings],
        "errors": list(effective.errors),
        "warnings": list(effective.warnings),
    }
    return json.dumps(document, indent=2, ensure_ascii=False)


def as_lines(effective: Effective) -> list[str]:
    """Return a line for each setting, to be searched and compared."""
    return [
        f"# {_about_file(effective)}",
        f"[{effective.command}]",
        *(plain(f"{one.entry.key} = {one.shown()}  # {one.source}") for one in effective.settings),
    ]


def show_table(effective: Effective, console: PersonConsole) -> None:
    """Write a table with a heading for each group, as wide as the terminal."""
    console.line(_about_file(effective), "dim")
    for group, settings in groupby(effective.settings, key=lambda setting: setting.entry.group):
        table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0), expand=True)
        table.add_column(min_width=_KEY_WIDTH, max_width=_KEY_WIDTH, no_wrap=True)
        table.add_column(ratio=1, overflow="fold")
        table.add_column(ratio=1, overflow="fold")
        for setting in settings:
            table.add_row(*_cells(setting))
        console.line()
        console.line(group, "bold")
        console.print(table)


# Room for the longest key, so that all tables are alike.
_KEY_WIDTH = 27


def _cells(setting: EffectiveSetting) -> tuple[Text, Text, Text]:
    style = "red" if setting.error else "dim" if setting.is_default else "green"
    key = Text(f"  {setting.entry.key}")
    shown = setting.shown()
    if setting.entry.kind.plural and not setting.is_default:
        # Broken between names and not within one.
        shown = ("\n" if isinstance(setting.value, tuple) else ", ").join(shown.split(","))
    return key, Text(plain(shown), style), Text(plain(setting.source), style)


def _about_file(effective: Effective) -> str:
    if effective.file is not None:
        return f"configuration file: {effective.file}"
    looked = ", ".join(str(path) for path in effective.searched)
    return f"no configuration file; looked for {looked}"


def _json_setting(setting: EffectiveSetting) -> dict[str, object]:
    entry = setting.entry
    return {
        "key": entry.key,
        "value": _json_value(setting),
        "source": setting.source,
        "variables": list(entry.variables),
        "flag": entry.flag,
        "secret": entry.secret,
        "live": entry.live,
        "error": setting.error or None,
    }


def _json_value(setting: EffectiveSetting) -> object:
    value = setting.value
    if setting.entry.secret:
        return "***" if value else None
    if isinstance(value, frozenset):
        return sorted(value)
    return list(value) if isinstance(value, tuple) else value
