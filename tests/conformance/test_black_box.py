"""This suite tests from outside: no file of it imports the package, and every test names its row."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from .table import rows

FILES = sorted(Path(__file__).parent.glob("*.py"))
# Tests of the harness, which are about no row of the document.
OF_THE_HARNESS = {"test_harness.py", "test_black_box.py"}
# Section 2 of the document, all of it.
MESSAGES = [
    f"{who}:{what}"
    for who, kinds in {
        "broker": "inforequest runnerregistered taskofferaccept tasksettings taskcancel rpcresponse"
        " taskdataresponse nodetypes drain taskready taskdone taskerror rpc taskdatarequest nodetypesrequest"
        " requestexpired",
        "runner": "info taskoffer taskaccepted taskrejected taskdeferred taskdone taskerror rpc"
        " taskdatarequest nodetypesrequest",
        "requester": "taskrequest tasksettings taskcancel rpcresponse taskdataresponse nodetypesresponse",
    }.items()
    for what in kinds.split()
]


def imported(tree: ast.Module) -> set[str]:
    """Return the top-level names of every module that a file imports."""
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names.add(str(node.module).split(".")[0])
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 1, "a relative import must stay in this folder"
    return names


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_no_file_imports_the_package(path: Path) -> None:
    tree = ast.parse(path.read_text())
    assert not imported(tree) & {"trio_runner", "trio_websocket", "cattrs", "msgspec", "importlib"}
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    assert not [call for call in calls if isinstance(call.func, ast.Name) and call.func.id == "__import__"]


def test_the_check_sees_an_import() -> None:
    assert imported(
        ast.parse("import trio_runner.runner\nfrom trio_runner import x\nfrom .wire import y")
    ) == {"trio_runner"}


@pytest.mark.parametrize("message", MESSAGES)
def test_every_message_has_a_row(message: str) -> None:
    whole_word = re.compile(rf"{message}\b")
    assert any(whole_word.search(row) for path in FILES for _, row, _ in rows(path))


@pytest.mark.parametrize(
    "path", [path for path in FILES if path.name.startswith("test_")], ids=lambda path: path.name
)
def test_every_test_names_its_row(path: Path) -> None:
    missing = [test for section, _, test in rows(path) if not section]
    assert path.name in OF_THE_HARNESS or missing in ([], ["test_the_measure_of_overlap"])
