"""The report as a section of the documentation."""

from __future__ import annotations

import pytest

from bench.page import BEGIN, END, section, with_section

from .reports import sample_report


def test_what_is_between_the_marks_is_replaced_and_nothing_else() -> None:
    page = with_section(f"before\n{BEGIN}\nold\n{END}\nafter\n", sample_report())
    assert page.startswith(f"before\n{BEGIN}\n")
    assert page.endswith(f"{END}\nafter\n")
    assert "old" not in page
    assert with_section(page, sample_report()) == page


@pytest.mark.parametrize("page", ["nothing", BEGIN, f"{END}{BEGIN}", f"{BEGIN}{END}{BEGIN}{END}"])
def test_a_page_without_one_pair_of_marks_is_refused(page: str) -> None:
    with pytest.raises(ValueError, match="must hold"):
        with_section(page, sample_report())


def test_tables_hold_figures_and_loads() -> None:
    lines = section(sample_report()).splitlines()
    assert "| p50 | 3.50 ms | 1.75 ms (round trips) | 2.00 × | ≤ 4.00 ms | met |" in lines
    assert "| p99 (noisy \\| machine) | 25.0 ms |  |  | ≤ 12.0 ms | **missed** |" in lines
    assert "| idle | 100 | 1.50 | 4.25 | 3.00 |" in lines
    assert "failed: not done within 3 seconds" in lines
