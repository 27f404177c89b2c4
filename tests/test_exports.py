"""The public names: pinned, importable, and free of charge until used."""

from __future__ import annotations

import subprocess
import sys

import pytest

import trio_runner


@pytest.mark.parametrize("name", sorted(trio_runner.__all__))
def test_every_public_name_can_be_imported(name: str) -> None:
    assert getattr(trio_runner, name) is not None


def test_the_table_of_homes_names_what_is_public() -> None:
    assert set(trio_runner._HOMES) | {"__version__"} == set(trio_runner.__all__)
    assert dir(trio_runner) == sorted(trio_runner.__all__)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'serve_nothing'"):
        _ = trio_runner.serve_nothing


def test_importing_the_package_imports_nothing_else() -> None:
    code = (
        "import sys; before = set(sys.modules); import trio_runner;"
        "print(sorted(name for name in set(sys.modules) - before if not name.startswith('trio_runner')))"
    )
    heavy = {"trio", "attrs", "attr", "cattrs", "msgspec", "click", "h11", "trio_websocket"}
    printed = subprocess.run(
        [sys.executable, "-I", "-c", code], capture_output=True, text=True, check=True, timeout=30
    ).stdout
    assert not heavy & {name.strip(" '[]\n").split(".")[0] for name in printed.split(",")}
