"""A report as JSON: written for machines, read back whole or refused."""

from __future__ import annotations

import json
import math
from typing import Any

import cattrs

from .figures import Report

__all__ = ["FORMAT", "from_json", "to_json"]

FORMAT = 1
"""Number of the format; raised whenever a reader of the old one would go wrong."""

_converter = cattrs.Converter(forbid_extra_keys=True)


def to_json(report: Report) -> str:
    """Write a report, with ratio and verdict of every figure spelled out for readers that only look."""
    document: dict[str, Any] = {"format": FORMAT, **_converter.unstructure(report)}
    for scenario, entry in zip(report.scenarios, document["scenarios"], strict=True):
        for figure, fields in zip(scenario.figures, entry["figures"], strict=True):
            fields["ratio"] = figure.ratio
            fields["verdict"] = figure.verdict
    return json.dumps(_rounded(document), indent=1, ensure_ascii=False) + "\n"


def from_json(text: str) -> Report:
    """Read a report.

    Raises:
        ValueError: the text is not a report of this format.
    """
    try:
        document = json.loads(text)
        if document.pop("format") != FORMAT:
            raise ValueError("it is of another format")
        for scenario in document["scenarios"]:
            for fields in scenario["figures"]:
                _drop_derived(fields)
        return _converter.structure(document, Report)
    except (ValueError, KeyError, TypeError, AttributeError, cattrs.BaseValidationError) as exc:
        raise ValueError(f"not a report of the benchmark: {exc}") from exc


def _drop_derived(fields: dict[str, Any]) -> None:
    """Drop what is computed from the rest."""
    known = {"ratio", "verdict"}
    for name in known & fields.keys():
        del fields[name]


def _rounded(value: Any) -> Any:
    """Cut floats to five digits: more of them mean nothing, and fewer lines change from run to run."""
    match value:
        case float():
            return float(f"{value:.5g}") if math.isfinite(value) else None
        case dict():
            return {key: _rounded(entry) for key, entry in value.items()}
        case list() | tuple():
            return [_rounded(entry) for entry in value]
    return value
