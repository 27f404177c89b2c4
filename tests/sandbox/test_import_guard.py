"""``__import__`` as the person's code has it."""

from __future__ import annotations

import json
import os

import pytest

from trio_runner.sandbox.import_guard import guarded_import
from trio_runner.sandbox.policy import Policy, SecurityViolation

from .running import FREE, allowing


def test_an_allowed_module_is_imported() -> None:
    load = guarded_import(allowing("json", "os"), {})
    assert load("json") is json
    assert load("json.decoder") is json
    assert load("json.decoder", {}, {}, ("JSONDecoder",)) is json.decoder
    assert load("os", fromlist=("path",)) is os


@pytest.mark.parametrize("name", ["sys", "os.path", "numpy"])
def test_another_is_not(name: str) -> None:
    with pytest.raises(SecurityViolation, match=f"'{name}' is disallowed"):
        guarded_import(allowing("json"), {})(name)


def test_relative_imports_are_not() -> None:
    with pytest.raises(SecurityViolation, match=r"^Relative imports are disallowed\.$"):
        guarded_import(FREE, {})("json", {}, {}, (), 1)


def test_a_name_cannot_pretend_to_be_another() -> None:
    class Liar(str):
        __slots__ = ()

        def partition(self, sep: str, /) -> tuple[str, str, str]:
            return ("json", "", "")

        def __str__(self) -> str:
            return "json"

    with pytest.raises(SecurityViolation, match="'sys' is disallowed"):
        guarded_import(allowing("json"), {})(Liar("sys"))


def test_a_name_is_text() -> None:
    with pytest.raises(TypeError, match="module name must be a string, not int"):
        guarded_import(FREE, {})(7)


def test_names_from_a_module_are_no_way_to_another_module() -> None:
    load = guarded_import(allowing("json"), {})
    with pytest.raises(SecurityViolation, match="'codecs' is disallowed"):
        load("json", {}, {}, ("loads", "codecs"))


def test_the_module_builtins_shows_what_code_may_use() -> None:
    visible = {"len": len}
    view = guarded_import(Policy(stdlib_allow=frozenset("*")), visible)("builtins")
    assert vars(view)["len"] is len
    assert not hasattr(view, "open")


def test_the_module_builtins_is_itself_where_nothing_is_denied() -> None:
    import builtins

    assert guarded_import(FREE, {})("builtins") is builtins
