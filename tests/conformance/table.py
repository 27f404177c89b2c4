"""Prints which test holds which row of the protocol's document: ``python tests/conformance/table.py``."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path


def rows(path: Path) -> Iterator[tuple[str, str, str]]:
    """Yield section, row and name for each row of each test; both are empty for a test without a row."""
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
            for section, row in list(_rows(node)) or [("", "")]:
                yield section, row, node.name


def _rows(node: ast.FunctionDef | ast.AsyncFunctionDef) -> Iterator[tuple[str, str]]:
    for decorator in node.decorator_list:
        if isinstance(decorator, ast.Call) and ast.unparse(decorator.func) == "pytest.mark.row":
            section, row = (ast.literal_eval(argument) for argument in decorator.args)
            yield section, row


def main() -> None:
    """Print the table, in the order of the document's sections."""
    folder = Path(__file__).parent
    found = [
        (section, path.stem, row, test)
        for path in sorted(folder.glob("test_*.py"))
        for section, row, test in rows(path)
    ]
    lines = ["| § | row | test |", "| --- | --- | --- |"]
    for section, module, row, test in sorted(found, key=lambda entry: (entry[0], entry[1])):
        if section:
            lines.append(f"| {section} | {row.replace('|', '∣')} | `{module}::{test}` |")
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
