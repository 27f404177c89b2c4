"""The page about settings is the one that the code makes."""

from __future__ import annotations

from pathlib import Path

import pytest

from trio_runner.service.settings.commands import TABLES
from trio_runner.service.settings.documentation import settings_page, write_page
from trio_runner.service.settings.entry import settings_of

PAGE = Path(__file__).parents[3] / "docs" / "settings.md"


def test_the_page_in_the_documentation_is_up_to_date() -> None:
    assert PAGE.read_text(encoding="utf-8") == settings_page(), "run `make docs`"


def test_what_is_written_is_the_page(capsys: pytest.CaptureFixture[str]) -> None:
    write_page()
    assert capsys.readouterr().out == settings_page()


@pytest.mark.parametrize("table", TABLES)
def test_every_setting_is_on_the_page_with_all_its_names(table: str) -> None:
    _, _, rest = settings_page().partition(f"table `[{table}]`\n")
    section = rest.partition("\n## ")[0]
    for entry in settings_of(TABLES[table]):
        (row,) = (line for line in section.splitlines() if line.startswith(f"| `{entry.key}` |"))
        assert all(f"`{variable}`" in row for variable in entry.variables)
        assert f"`{entry.flag}`" in row
        assert entry.about in row
        assert entry.shown_default() in row
