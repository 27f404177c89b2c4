"""The file to start from: with every comment taken away it says the defaults."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from trio_runner.service.config.example import example
from trio_runner.service.settings.commands import TABLES
from trio_runner.service.settings.config_file import ConfigFile
from trio_runner.service.settings.entry import settings_of
from trio_runner.service.settings.table import read_settings
from trio_runner.service.settings.unknown import unknown_keys


def test_as_it_is_it_changes_nothing(tmp_path: Path) -> None:
    file = tmp_path / "c.toml"
    file.write_text(example())
    assert ConfigFile.load(file).tables == {table: {} for table in TABLES}
    assert max(len(line) for line in example().splitlines() if line.startswith("# ")) <= 80


@pytest.mark.parametrize("table", TABLES)
def test_uncommented_it_says_the_defaults(table: str, tmp_path: Path) -> None:
    text = re.sub(r"(?m)^#(?=[a-z])", "", example((table,)))
    file = tmp_path / "c.toml"
    file.write_text(text)
    config = ConfigFile.load(file)
    entries = settings_of(TABLES[table])
    assert not list(unknown_keys(config))
    assert set(config.table(table).values) == {f"{e.key}-file" if e.secret else e.key for e in entries}
    file.write_text(re.sub(r"(?m)^.*-file = .*\n", "", text))
    settings = read_settings(TABLES[table], {}, {}, ConfigFile.load(file).table(table)).settings
    for entry in entries:
        if entry.name != "preload":  # its default depends on what may be imported
            assert getattr(settings, entry.name) == entry.default


def test_one_table_only() -> None:
    assert "[broker]" in example(("broker",))
    assert "[run]" not in example(("broker",))
