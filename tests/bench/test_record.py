"""Reports as JSON."""

from __future__ import annotations

import json
from typing import Any

import pytest

from bench.record import from_json, to_json

from .reports import sample_report


def document() -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(to_json(sample_report()))
    return loaded


def test_what_is_written_is_read_back() -> None:
    read = from_json(to_json(sample_report()))
    assert read.scenarios[0].figures == sample_report().scenarios[0].figures
    assert read.scenarios[1] == sample_report().scenarios[1]
    assert read.machine == sample_report().machine


def test_ratio_and_verdict_are_spelled_out() -> None:
    p50, p99, rate, size = document()["scenarios"][0]["figures"]
    assert (p50["ratio"], p50["verdict"]) == (2.0, "met")
    assert (p99["ratio"], p99["verdict"]) == (None, "missed")
    assert (rate["ratio"], rate["verdict"]) == (0.3, "missed")
    assert (size["target"], size["verdict"]) == (None, "no target")


def test_numbers_are_cut_to_what_they_mean() -> None:
    assert document()["scenarios"][0]["seconds"] == 12.346


@pytest.mark.parametrize("name", ["kind", "date", "machine", "scenarios", "format"])
def test_a_document_that_lacks_something_is_refused(name: str) -> None:
    changed = document()
    del changed[name]
    with pytest.raises(ValueError, match="not a report"):
        from_json(json.dumps(changed))


@pytest.mark.parametrize("change", [{"format": 99}, {"kind": "slow"}, {"scenarios": 3}, {"host": "mine"}])
def test_a_document_that_is_none_of_ours_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="not a report"):
        from_json(json.dumps(document() | change))


def test_text_that_is_no_json_is_refused() -> None:
    with pytest.raises(ValueError, match="not a report"):
        from_json("[")
